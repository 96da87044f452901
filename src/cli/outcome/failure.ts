// What a person, or with --json a program, is told when a command fails: what failed, what that means, what
// to do, and the exit code. The server's own words come first; here stands what only the caller's side knows.
import { Code, ConnectError } from '@connectrpc/connect';
import { TailraceError } from '../../../clients/typescript/src/errors.ts';
import { EXIT, type ExitCode } from './exit-codes.ts';
import { exitOfCode } from './exit-of.ts';
import { harmless, note, onErr } from '../terminal/terminal.ts';

interface FailureParts {
  readonly what: string;
  readonly means?: string | undefined;
  readonly todo?: string | undefined;
  readonly violations?: readonly { readonly field: string; readonly description: string }[];
}

/** Thrown where a command cannot do what it was asked for. */
export class CliFailure extends Error {
  readonly exit: ExitCode;
  readonly parts: FailureParts;

  constructor(exit: ExitCode, parts: FailureParts, options?: ErrorOptions) {
    super(parts.what, options);
    this.name = 'CliFailure';
    this.exit = exit;
    this.parts = parts;
  }
}

export function usageFailure(what: string, todo?: string): CliFailure {
  return new CliFailure(EXIT.usage, { what, todo });
}

export interface Told extends FailureParts {
  readonly exit: ExitCode;
  /** Connect's name of the code; undefined for what never reached a server. */
  readonly code: string | undefined;
  /** Tailrace's ErrorReason. */
  readonly reason: string | undefined;
  readonly retryAfterMs: number | undefined;
}

export function toldOf(error: unknown, address: string | undefined): Told {
  if (error instanceof ConnectError || error instanceof TailraceError) {
    return toldOfCall(TailraceError.from(error), address ?? 'its address');
  }
  const bare = { code: undefined, reason: undefined, retryAfterMs: undefined };
  if (error instanceof CliFailure) return { ...error.parts, exit: error.exit, ...bare };
  const what = error instanceof Error ? error.message : String(error);
  return { what, exit: EXIT.failed, ...bare };
}

function toldOfCall(error: TailraceError, address: string): Told {
  const { code, reason, fieldViolations: violations, retryAfterMs } = error;
  return {
    ...(reason === undefined ? unexplained(error, address) : explained(error, reason)),
    violations,
    exit: NO_TLS.has(networkCode(error) ?? '') ? EXIT.failed : exitOfCode(code),
    code: Code[code]?.replaceAll(/(?<!^)[A-Z]/g, '_$&').toLowerCase(),
    reason,
    retryAfterMs,
  };
}

/** Tailrace's own answer: what it says holds what failed and mostly what to do. */
function explained({ message, fieldViolations }: TailraceError, reason: string): FailureParts {
  const first = fieldViolations[0]?.field;
  // The list below has the rest of the sentence.
  const at = first === undefined ? -1 : message.indexOf(first);
  const lead = at < 0 ? message : message.slice(0, at).replace(/:? $/, ':');
  const what = lead === '' ? 'The request cannot be taken:' : lead;
  return { what, ...BY_REASON[reason] };
}

const BY_REASON: Readonly<Record<string, Omit<FailureParts, 'what'>>> = {
  STREAM_NOT_FOUND: {
    means: 'It was deleted, has expired, belongs to another tenant, or never was.',
    todo: '`tailrace list` shows the chats of your token.',
  },
  STREAM_DELETED: { means: 'Somebody deleted it just now; its id stays taken.' },
  TOKEN_MISSING: {
    means: 'Nothing was asked or changed.',
    todo: 'give it with --token or in TAILRACE_TOKEN; the operator makes one with `tailrace token <tenant>`.',
  },
  TOKEN_UNKNOWN: {
    means: 'It was changed or taken away, or is for another server. Nothing was asked or changed.',
    todo: 'look at --token and TAILRACE_TOKEN, and at the address; the operator makes a token with `tailrace token <tenant>`.',
  },
  UNKNOWN_MODEL: { todo: '`tailrace models` shows what each can do.' },
  STREAM_ID_TAKEN: {
    means: 'The other chat is as it was, and none was started.',
    todo: 'leave --stream-id out, or give another.',
  },
  STREAM_ID_RETIRED: {
    means: 'An id is used once, also after its chat was deleted. None was started.',
    todo: 'leave --stream-id out, or give another.',
  },
  NOT_WAITING_FOR_TOOL_RESULTS: { todo: '`tailrace get <id>` shows the calls that it waits for.' },
  CURSOR_BEYOND_END: { todo: 'give --after a sequence that you have seen, or leave it out.' },
  LOG_UNAVAILABLE: {
    means:
      'Tailrace is there, and NATS, where it keeps chats, is not. Chats that run go on when it is back.',
    todo: 'repeat it a little later; `tailrace doctor`, run where Tailrace runs, looks at NATS.',
  },
  MODELS_UNAVAILABLE: {
    means: 'Tailrace is there, and its model server is not.',
    todo: 'repeat it a little later; `tailrace doctor`, run where Tailrace runs, looks at the model servers.',
  },
  SHUTTING_DOWN: { todo: 'repeat it: another, or the same a moment later, takes the call.' },
};

const OTHER_ADDRESS = 'or name another address with --address or TAILRACE_ADDRESS';

/** OpenSSL's words for an answer without TLS, by each of Node's two HTTP clients. */
const NO_TLS: ReadonlySet<string> = new Set(['EPROTO', 'ERR_SSL_WRONG_VERSION_NUMBER']);

/** Nobody who knows Tailrace's errors has answered. */
function unexplained(error: TailraceError, address: string): FailureParts {
  const reason = networkCode(error);
  if (reason !== undefined && NO_TLS.has(reason)) {
    return {
      what: `What answers at ${address} does not speak TLS.`,
      means: 'Nothing was asked or changed.',
      todo: `use http:// where no proxy with TLS stands in front of Tailrace, ${OTHER_ADDRESS}.`,
    };
  }
  if (reason === 'ENOTFOUND') {
    return {
      what: `There is no host of that name: ${address}.`,
      means: 'Nothing was asked or changed.',
      todo: `look at the address and the network, ${OTHER_ADDRESS}.`,
    };
  }
  switch (error.code) {
    case Code.DeadlineExceeded:
      return {
        what: `${address} did not answer in time.`,
        means: 'Whether it did what it was asked for is not known.',
        todo: 'repeat it; `tailrace doctor` looks at what it stands on.',
      };
    case Code.Canceled:
      return { what: 'Interrupted.' };
    case Code.Unavailable:
    case Code.Aborted:
      return reason === 'ECONNREFUSED'
        ? {
            what: `Nothing listens at ${address} (connection refused).`,
            means: 'No Tailrace runs there, so nothing was asked or changed.',
            todo: `start one with \`tailrace serve\`, ${OTHER_ADDRESS}.`,
          }
        : {
            what: `${address} cannot be reached: ${reason ?? error.message}.`,
            means: 'Whether it did what it was asked for is not known.',
            todo: `look at the address and the network, ${OTHER_ADDRESS}.`,
          };
    default:
      return {
        what: `What answers at ${address} is not Tailrace: ${error.message}.`,
        todo: `look at the address, ${OTHER_ADDRESS}.`,
      };
  }
}

function networkCode(error: unknown): string | undefined {
  for (let at = error; at instanceof Error; at = at.cause) {
    if ('code' in at && typeof at.code === 'string') return at.code;
    if (at instanceof AggregateError && at.errors.length > 0) return networkCode(at.errors[0]);
  }
  return undefined;
}

export function tell(told: Told, command: string, asJson: boolean): void {
  const { what, means, todo, violations = [], exit, code, reason, retryAfterMs } = told;
  if (asJson) {
    const error = {
      command,
      ...(code === undefined ? {} : { code }),
      ...(reason === undefined ? {} : { reason }),
      message: what,
      ...(means === undefined ? {} : { means }),
      ...(todo === undefined ? {} : { remedy: todo }),
      ...(violations.length === 0 ? {} : { violations }),
      ...(retryAfterMs === undefined ? {} : { retry_after_ms: retryAfterMs }),
      exit_code: exit,
    };
    note(JSON.stringify({ error }));
    return;
  }
  note(`${onErr(['red', 'bold'], command)}: ${harmless(what)}`);
  const width = Math.max(0, ...violations.map(({ field }) => field.length));
  for (const { field, description } of violations) {
    note(`  ${harmless(field).padEnd(width)}  ${harmless(description)}`);
  }
  if (means !== undefined) note(`  ${means}`);
  if (todo !== undefined) note(`  ${onErr('bold', 'To do:')} ${todo}`);
  if (retryAfterMs !== undefined) note(`  It may help after ${retryAfterMs / 1_000} s.`);
}
