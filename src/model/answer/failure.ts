// What went wrong, in a sentence for people: what failed, what it means, what to do. Nothing that
// the model server wrote is repeated but single words; causes are for the log and hold no prompt.
import { APIConnectionError, APIError } from 'openai';
import { FailureReason } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import { ModelFailure } from '../../chat/ports/model.ts';
import { identifierOf } from './identifier.ts';
import { overflowNumbers } from './overflow-numbers.ts';

/** A try of a call that failed, and what the retry policy asks about it. */
export interface FailedTry {
  readonly failure: ModelFailure;
  /** Another try may help, as long as no token has come. */
  readonly again: boolean;
  /** The model server's own wish. */
  readonly retryAfterMs: number | undefined;
}

const QUOTA_CODES: ReadonlySet<unknown> = new Set(['insufficient_quota', 'billing_not_active']);
const OVERFLOW_CODES: ReadonlySet<unknown> = new Set([
  'context_length_exceeded',
  'exceed_context_size_error',
]);
const OVERFLOW_TEXT =
  /context (?:length|window|size)|maximum (?:input|model|sequence) length|prompt is too long/i;
const CERTIFICATE_CODE = /^(?:ERR_TLS_|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_)/;

export function failedTry(error: unknown): FailedTry {
  if (error instanceof ModelFailure) {
    const again = error.reason === FailureReason.UPSTREAM_CUT;
    return { failure: error, again, retryAfterMs: undefined };
  }
  if (error instanceof APIConnectionError) return unreachable(error);
  if (error instanceof APIError) {
    // instanceof alone leaves the class's type parameters open.
    const answered = error as APIError;
    if (answered.status !== undefined) return refused(answered, answered.status);
  }
  const failure = new ModelFailure(
    FailureReason.INTERNAL,
    'The model call failed inside Tailrace. That is a defect; its log has the cause.',
    { retryable: false, cause: error },
  );
  return { failure, again: false, retryAfterMs: undefined };
}

function unreachable(error: APIConnectionError): FailedTry {
  const code = codeOf(error.cause);
  const certificate = code !== undefined && CERTIFICATE_CODE.test(code);
  const shown = code === undefined ? '' : ` (${code})`;
  const message = certificate
    ? `The model server's certificate is not trusted${shown}, so nothing was sent to it. The ` +
      'operator must correct the certificate or the address.'
    : `The model server could not be reached${shown}; nothing was generated. Try again later; if ` +
      'it lasts, the operator should look at the model server and OPENAI_BASE_URL.';
  const failure = new ModelFailure(FailureReason.UPSTREAM_UNAVAILABLE, message, {
    retryable: !certificate,
    cause: error.cause,
  });
  return { failure, again: !certificate, retryAfterMs: undefined };
}

function refused(error: APIError, status: number): FailedTry {
  const retryAfterMs = retryAfterOf(error.headers);
  const forbidden = error.headers?.get('x-should-retry') === 'false';
  const said = [`HTTP ${status}`, ...wordsOf(error)].join(', ');
  const of = (reason: FailureReason, message: string, retryable: boolean): FailedTry => ({
    failure: new ModelFailure(reason, message, { retryable, cause: causeOf(error, said) }),
    again: retryable && !forbidden,
    retryAfterMs,
  });
  if (status === 401 || status === 403) {
    return of(
      FailureReason.UPSTREAM_UNAUTHENTICATED,
      `The model server refused the operator's key (${said}). No chat can run with this model ` +
        'until the operator sets an OPENAI_API_KEY that it accepts.',
      false,
    );
  }
  if (status === 429) {
    const quota = QUOTA_CODES.has(error.code) || QUOTA_CODES.has(error.type);
    if (quota) {
      return of(
        FailureReason.UPSTREAM_RATE_LIMITED,
        `The operator's quota at the model server is used up (${said}). Waiting does not help; ` +
          'the operator must raise it.',
        false,
      );
    }
    const wish = retryAfterMs === undefined ? '' : ` It asks for ${seconds(retryAfterMs)}.`;
    return of(
      FailureReason.UPSTREAM_RATE_LIMITED,
      `The model server takes no more requests for now (${said}). Try again later.${wish}`,
      true,
    );
  }
  if (status >= 500 || status === 408 || status === 409) {
    return of(
      FailureReason.UPSTREAM_UNAVAILABLE,
      `The model server failed to answer (${said}); nothing was generated. Try again later.`,
      true,
    );
  }
  if (isOverflow(error.error) || OVERFLOW_CODES.has(error.code)) {
    return of(FailureReason.CONTEXT_OVERFLOW, contextOverflow(said, error.error), false);
  }
  if (status < 400) {
    return of(
      FailureReason.UPSTREAM_REJECTED,
      `The model server sends its callers elsewhere (${said}), and the key is not carried there. ` +
        'The operator should set OPENAI_BASE_URL to the final address.',
      false,
    );
  }
  return of(
    FailureReason.UPSTREAM_REJECTED,
    status === 404
      ? `The model server does not know this model, or has no chats at its address (${said}). ` +
          'Choose a model out of ListModels, or have the operator check OPENAI_BASE_URL.'
      : `The model server refused the request (${said}). The same request will be refused again; ` +
          "change what it complains about, or see the model server's log under the correlation id.",
    false,
  );
}

/** Status 200, but not a stream: perhaps an error in disguise, perhaps no model server at all. */
export function notAStream(contentType: string, text: string): ModelFailure {
  let error: unknown;
  try {
    error = fieldOf(JSON.parse(text), 'error');
  } catch {
    // Not JSON, then: the content type says enough.
  }
  if (error !== undefined && error !== null) return errorInStream(error);
  const html = contentType.startsWith('text/html');
  return unreadable(`${html ? 'a web page' : 'JSON'} instead of a stream of events`);
}

/** An error that came as an event of the stream, after the answer had begun with status 200. */
export function errorInStream(error: unknown): ModelFailure {
  const code = fieldOf(error, 'code');
  const status = typeof code === 'number' ? code : Number(fieldOf(error, 'status'));
  const words = [...new Set([code, fieldOf(error, 'type')].map(identifierOf))]
    .filter((word) => word !== undefined)
    .join(', ');
  const said = words === '' ? 'without a code' : words;
  if (isOverflow(error)) {
    return new ModelFailure(FailureReason.CONTEXT_OVERFLOW, contextOverflow(said, error), {
      retryable: false,
    });
  }
  const rejected = status >= 400 && status < 500 && ![408, 409, 429].includes(status);
  return new ModelFailure(
    FailureReason.UPSTREAM_INVALID,
    `The model server reported an error within its answer (${said}). What came so far is ` +
      `incomplete; ${rejected ? 'the same request will likely fail again.' : 'try again.'}`,
    { retryable: !rejected },
  );
}

/** Something that is no chat completion. `what` goes on: "The model server sent …". */
export function unreadable(what: string): ModelFailure {
  return new ModelFailure(
    FailureReason.UPSTREAM_INVALID,
    `The model server sent ${what}. What came so far cannot be called an answer; if it happens ` +
      'again, the operator should check that OPENAI_BASE_URL is an OpenAI-compatible server.',
    { retryable: true },
  );
}

export function cutAnswer(): ModelFailure {
  return new ModelFailure(
    FailureReason.UPSTREAM_CUT,
    'The connection to the model server ended before the answer was finished. What came so far ' +
      'is incomplete; try again.',
    { retryable: true },
  );
}

export function emptyAnswer(): ModelFailure {
  return new ModelFailure(
    FailureReason.EMPTY_ANSWER,
    'The model ended without having said anything. Try again, or say it differently.',
    { retryable: true },
  );
}

export function firstTokenTimeout(timeoutMs: number): ModelFailure {
  return new ModelFailure(
    FailureReason.FIRST_TOKEN_TIMEOUT,
    `The model said nothing within ${seconds(timeoutMs)}. It may be overloaded; try again later.`,
    { retryable: true },
  );
}

export function listTimeout(timeoutMs: number): ModelFailure {
  return new ModelFailure(
    FailureReason.UPSTREAM_UNAVAILABLE,
    `The model server did not list its models within ${seconds(timeoutMs)}. Try again later.`,
    { retryable: true },
  );
}

export function idleTimeout(timeoutMs: number): ModelFailure {
  return new ModelFailure(
    FailureReason.IDLE_TIMEOUT,
    `The model fell silent for ${seconds(timeoutMs)} in the middle of its answer. What came so ` +
      'far is incomplete; try again.',
    { retryable: true },
  );
}

/** retry-after-ms, or Retry-After as seconds or as a date; undefined where it says nothing. */
export function retryAfterOf(headers: Headers | undefined): number | undefined {
  const exact = headers?.get('retry-after-ms') ?? '';
  if (/^\d+(?:\.\d+)?$/.test(exact)) return Number(exact);
  const given = headers?.get('retry-after') ?? '';
  if (/^\d+(?:\.\d+)?$/.test(given)) return Number(given) * 1_000;
  // Date.parse takes nearly anything for a date, -1 too; an HTTP date begins with the weekday.
  const at = /^[A-Z]/.test(given) ? Date.parse(given) : Number.NaN;
  return Number.isNaN(at) ? undefined : Math.max(0, at - Date.now());
}

function contextOverflow(said: string, error: unknown): string {
  const numbers = overflowNumbers(error);
  const how = numbers === undefined ? said : `${said}; ${numbers}`;
  return (
    `The conversation does not fit the model's context (${how}). Shorten it, ask for fewer ` +
    'max_tokens, or choose a model with a larger context.'
  );
}

/** Servers agree on no code, so their text is read; it is not repeated. */
function isOverflow(error: unknown): boolean {
  if (OVERFLOW_CODES.has(fieldOf(error, 'code'))) return true;
  if (OVERFLOW_CODES.has(fieldOf(error, 'type'))) return true;
  const message = fieldOf(error, 'message');
  return typeof message === 'string' && OVERFLOW_TEXT.test(message);
}

function wordsOf(error: APIError): string[] {
  const words = [error.code, error.type].map(identifierOf).filter((word) => word !== undefined);
  const param = identifierOf(error.param);
  return [...new Set(words), ...(param === undefined ? [] : [`parameter ${param}`])];
}

/** The SDK's own error holds the server's text, and with it perhaps the prompt. */
function causeOf(error: APIError, said: string): Error {
  const id = identifierOf(error.requestID?.replaceAll('-', '_'));
  return new Error(id === undefined ? said : `${said}, request ${error.requestID}`);
}

function codeOf(error: unknown): string | undefined {
  return identifierOf(fieldOf(error, 'code'));
}

function fieldOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  return Reflect.get(value, name);
}

function seconds(ms: number): string {
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${Math.round(ms / 100) / 10} s`;
}
