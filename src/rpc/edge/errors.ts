// The one place where the product's errors become Connect and gRPC errors. What callers may see is
// decided here; causes and driver texts go to the log.
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from '../../../gen/google/rpc/error_details_pb.ts';
import { ChatError, type ChatErrorReason, type Violation } from '../../chat/errors.ts';
import { MAX_ERROR_METADATA_BYTES, MAX_REQUEST_BYTES } from '../../chat/limits.ts';

const ERROR_DOMAIN = 'tailrace.dev';

/** Every reason has its code; proto/tailrace/v1/error.proto says the same to callers. */
export const CODE_OF_REASON: Readonly<Record<ChatErrorReason, Code>> = {
  INVALID_REQUEST: Code.InvalidArgument,
  UNKNOWN_FIELD: Code.InvalidArgument,
  FIELD_NOT_HONOURED: Code.InvalidArgument,
  MODEL_UNFIT: Code.InvalidArgument,
  UNKNOWN_MODEL: Code.InvalidArgument,
  MALFORMED_REQUEST: Code.InvalidArgument,
  STREAM_NOT_FOUND: Code.NotFound,
  STREAM_DELETED: Code.NotFound,
  STREAM_ID_TAKEN: Code.AlreadyExists,
  STREAM_ID_RETIRED: Code.AlreadyExists,
  NOT_WAITING_FOR_TOOL_RESULTS: Code.FailedPrecondition,
  SEALING_KEY_MISSING: Code.FailedPrecondition,
  CURSOR_EXPIRED: Code.OutOfRange,
  CURSOR_BEYOND_END: Code.OutOfRange,
  REQUEST_TOO_LARGE: Code.ResourceExhausted,
  QUEUE_FULL: Code.ResourceExhausted,
  TOO_MANY_OBSERVERS: Code.ResourceExhausted,
  TOKEN_MISSING: Code.Unauthenticated,
  TOKEN_UNKNOWN: Code.Unauthenticated,
  PERMISSION_DENIED: Code.PermissionDenied,
  LOG_UNAVAILABLE: Code.Unavailable,
  MODELS_UNAVAILABLE: Code.Unavailable,
  SHUTTING_DOWN: Code.Unavailable,
  NOT_IMPLEMENTED: Code.Unimplemented,
  INTERNAL: Code.Internal,
};

const MAX_MESSAGE_BYTES = 1_000;
/** Where the full message would crowd out violations: each of them is told once, in the details. */
const SHORT_MESSAGE_BYTES = 300;
const MAX_PATH_CHARS = 200;
const MAX_DESCRIPTION_CHARS = 400;
const MAX_METADATA_VALUE_CHARS = 256;
/** Status, type names of the details, header names: what is there whatever the error says. */
const FIXED_BYTES = 600;
const PER_VIOLATION_BYTES = 8;

/** Gets what callers must not see: the error itself with its cause. */
export type LogError = (error: unknown) => void;

/** What a caller is told about whatever went wrong. */
export function toConnectError(error: unknown, logError: LogError): ConnectError {
  // Connect's own: deadlines, cancellation, protocol errors.
  if (error instanceof ConnectError) return error;
  if (callerLeft(error)) return callerGone();
  if (!(error instanceof ChatError)) {
    logError(error);
    return wireError(
      new ChatError('INTERNAL', 'Tailrace could not answer this call; its log has the cause.'),
    );
  }
  if (error.reason === 'INTERNAL' || error.cause !== undefined) logError(error);
  return wireError(error);
}

export function callerGone(): ConnectError {
  return new ConnectError('The caller left.', Code.Canceled);
}

/** Node's words for a stream whose other side went away: no fault of anyone's. */
const LEFT: readonly unknown[] = [
  'ERR_STREAM_PREMATURE_CLOSE',
  'ERR_STREAM_DESTROYED',
  'ERR_HTTP2_INVALID_STREAM',
];

export function callerLeft(error: unknown): boolean {
  return error instanceof Error && 'code' in error && LEFT.includes(error.code);
}

/**
 * A message as gRPC writes it in headers: percent-encoded only where it must be. Connect encodes
 * more, and not every client undoes that.
 */
export function grpcMessage(message: string): string {
  return message.toWellFormed().replace(/[^ -$&-~]+/g, encodeURIComponent);
}

/** How long a request may be, in the words of the contract. */
export function requestTooLarge(maxBytes = MAX_REQUEST_BYTES): ChatError {
  return new ChatError(
    'REQUEST_TOO_LARGE',
    `The request is larger than the ${maxBytes} bytes that this server takes.`,
    { metadata: { max_bytes: String(maxBytes) } },
  );
}

/** The body could not be read as what the rpc takes; `sentence` says what would be right. */
export function malformedRequest(sentence: string): ChatError {
  return new ChatError('MALFORMED_REQUEST', sentence);
}

function wireError(error: ChatError): ConnectError {
  const { said, kept } = fitting(error.violations, error.message);
  const left = error.violations.length - kept.length;
  const message = said + (left > 0 ? ` (${left} more)` : '');
  return new ConnectError(
    message,
    CODE_OF_REASON[error.reason],
    undefined,
    details(error, kept, left),
    error.cause,
  );
}

function details(error: ChatError, violations: readonly Violation[], left: number) {
  const metadata = Object.fromEntries(
    Object.entries(error.metadata).map(([key, value]) => [
      key,
      clip(value, MAX_METADATA_VALUE_CHARS),
    ]),
  );
  if (left > 0) metadata['violations_not_listed'] = String(left);
  const made: NonNullable<ConstructorParameters<typeof ConnectError>[3]> = [
    {
      desc: ErrorInfoSchema,
      value: create(ErrorInfoSchema, { reason: error.reason, domain: ERROR_DOMAIN, metadata }),
    },
  ];
  if (violations.length > 0) {
    const fieldViolations: MessageInitShape<typeof BadRequestSchema>['fieldViolations'] =
      violations.map((v) => ({ field: v.path, description: v.description }));
    made.push({ desc: BadRequestSchema, value: create(BadRequestSchema, { fieldViolations }) });
  }
  if (error.retryAfterMs !== undefined) {
    const retryDelay = {
      seconds: BigInt(Math.floor(error.retryAfterMs / 1_000)),
      nanos: Math.round((error.retryAfterMs % 1_000) * 1e6),
    };
    made.push({ desc: RetryInfoSchema, value: create(RetryInfoSchema, { retryDelay }) });
  }
  return made;
}

/**
 * Error metadata travels in HTTP headers, and clients and proxies refuse long ones: as many
 * violations as fit are sent, the message says how many more there are.
 */
function fitting(
  violations: readonly Violation[],
  message: string,
): { readonly said: string; readonly kept: readonly Violation[] } {
  const said = clipMessage(message, MAX_MESSAGE_BYTES);
  const kept = keptBeside(said, violations);
  if (kept.length === violations.length) return { said, kept };
  const short = clipMessage(message, SHORT_MESSAGE_BYTES);
  return { said: short, kept: keptBeside(short, violations) };
}

function keptBeside(said: string, violations: readonly Violation[]): readonly Violation[] {
  let bytes = FIXED_BYTES + encodedBytes(said) + base64Bytes(Buffer.byteLength(said));
  const kept: Violation[] = [];
  for (const { path, description } of violations) {
    const short = {
      path: clip(path, MAX_PATH_CHARS),
      description: clip(description, MAX_DESCRIPTION_CHARS),
    };
    bytes += base64Bytes(
      Buffer.byteLength(short.path) + Buffer.byteLength(short.description) + PER_VIOLATION_BYTES,
    );
    if (bytes > MAX_ERROR_METADATA_BYTES) break;
    kept.push(short);
  }
  return kept;
}

/** A caller's own text may be long, and may hold halves of surrogate pairs, which cannot be sent. */
function clip(text: string, maxChars: number): string {
  return (text.length > maxChars ? `${text.slice(0, maxChars)}…` : text).toWellFormed();
}

/** gRPC sends the message percent-encoded: that is the length that counts. */
function clipMessage(text: string, maxBytes: number): string {
  const whole = clip(text, maxBytes);
  if (encodedBytes(whole) <= maxBytes) return whole;
  let bytes = encodedBytes('…');
  let cut = '';
  for (const char of whole) {
    bytes += encodedBytes(char);
    if (bytes > maxBytes) break;
    cut += char;
  }
  return `${cut}…`;
}

function encodedBytes(text: string): number {
  return grpcMessage(text).length;
}

function base64Bytes(bytes: number): number {
  return Math.ceil((bytes * 4) / 3);
}
