// What a call ends with when it fails: one error type, with what the server says in its details read out of them.
// No retrying here: retry.ts asks `waitingHelps`.
import { Code, ConnectError } from '@connectrpc/connect';
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from './gen/google/rpc/error_details_pb.ts';
import type { ErrorReason } from './gen/tailrace/v1/error_pb.ts';

const DOMAIN = 'tailrace.dev';

/** What the client itself finds wrong. */
type ClientReason =
  /** Events were missing or came twice, and did so again after reconnecting. */
  | 'SEQUENCE_BROKEN'
  /** The end says another count or SHA-256 than what was received has. */
  | 'CONTENT_MISMATCH'
  /** Nothing came for longer than the server's heartbeats allow. */
  | 'SILENCE'
  /** The connection ended before the chat did. */
  | 'CONNECTION_LOST';

/** ErrorReason of the contract without its prefix, and the client's own. A newer server may know more. */
export type TailraceErrorReason =
  | Exclude<keyof typeof ErrorReason, 'UNSPECIFIED'>
  | ClientReason
  | (string & {});

/** A field of the request that breaks a rule. */
export interface FieldViolation {
  /** In snake_case from the rpc's message, for example request.messages[0].role. */
  readonly field: string;
  readonly description: string;
}

interface Parts {
  readonly reason?: TailraceErrorReason | undefined;
  readonly fieldViolations?: readonly FieldViolation[];
  readonly metadata?: Readonly<Record<string, string>>;
  readonly retryAfterMs?: number | undefined;
  readonly cause?: unknown;
}

export class TailraceError extends Error {
  override readonly name = 'TailraceError';
  /** Connect's code; the same numbers as gRPC's. */
  readonly code: Code;
  /** Undefined where what answered was not Tailrace: a proxy, or no network. */
  readonly reason: TailraceErrorReason | undefined;
  readonly fieldViolations: readonly FieldViolation[];
  /** For example earliest_sequence with CURSOR_EXPIRED. */
  readonly metadata: Readonly<Record<string, string>>;
  /** How long the server asks to wait before the call is made again. */
  readonly retryAfterMs: number | undefined;

  constructor(message: string, code: Code, parts: Parts = {}) {
    super(message, { cause: parts.cause });
    this.code = code;
    this.reason = parts.reason;
    this.fieldViolations = parts.fieldViolations ?? [];
    this.metadata = parts.metadata ?? {};
    this.retryAfterMs = parts.retryAfterMs;
  }

  /** Reads out of whatever a transport throws. */
  static from(thrown: unknown): TailraceError {
    if (thrown instanceof TailraceError) return thrown;
    const error = ConnectError.from(thrown);
    const info = error.findDetails(ErrorInfoSchema).find(({ domain }) => domain === DOMAIN);
    const delay = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
    return new TailraceError(error.rawMessage, error.code, {
      reason: info?.reason,
      fieldViolations: error
        .findDetails(BadRequestSchema)
        .flatMap(({ fieldViolations }) => fieldViolations)
        .map(({ field, description }) => ({ field, description })),
      metadata: info?.metadata ?? {},
      retryAfterMs:
        delay === undefined ? undefined : Number(delay.seconds) * 1_000 + delay.nanos / 1e6,
      cause: thrown,
    });
  }
}

export function connectionLost(message: string, reason: ClientReason = 'CONNECTION_LOST') {
  return new TailraceError(message, Code.Unavailable, { reason });
}

const MAY_PASS: ReadonlySet<Code> = new Set([
  Code.Unavailable,
  Code.Aborted,
  Code.DeadlineExceeded,
  // Of transports: a reset stream, a cut answer, a fetch that failed.
  Code.Canceled,
  Code.Internal,
  Code.Unknown,
  Code.DataLoss,
]);

/** Whether the same call may do better later. What Tailrace says about the request itself never changes. */
export function waitingHelps(error: TailraceError): boolean {
  if (error.retryAfterMs !== undefined) return true;
  return MAY_PASS.has(error.code) && error.reason !== 'CONTENT_MISMATCH';
}
