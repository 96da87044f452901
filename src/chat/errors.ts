// The closed set of errors that a call may end with. Codes and wire details are made of them in one
// place, src/rpc/edge/errors.ts; causes and driver texts stay in `cause`, for the log.

/** ErrorReason of the contract without its prefix. */
export type ChatErrorReason =
  | 'INVALID_REQUEST'
  | 'UNKNOWN_FIELD'
  | 'FIELD_NOT_HONOURED'
  | 'MODEL_UNFIT'
  | 'UNKNOWN_MODEL'
  | 'MALFORMED_REQUEST'
  | 'STREAM_NOT_FOUND'
  | 'STREAM_DELETED'
  | 'STREAM_ID_TAKEN'
  | 'STREAM_ID_RETIRED'
  | 'NOT_WAITING_FOR_TOOL_RESULTS'
  | 'SEALING_KEY_MISSING'
  | 'CURSOR_EXPIRED'
  | 'CURSOR_BEYOND_END'
  | 'REQUEST_TOO_LARGE'
  | 'QUEUE_FULL'
  | 'TOO_MANY_OBSERVERS'
  | 'TOKEN_MISSING'
  | 'TOKEN_UNKNOWN'
  | 'PERMISSION_DENIED'
  | 'LOG_UNAVAILABLE'
  | 'MODELS_UNAVAILABLE'
  | 'SHUTTING_DOWN'
  | 'NOT_IMPLEMENTED'
  | 'INTERNAL';

/** One broken rule: the field's path in snake_case from the rpc's message, and what would be right. */
export interface Violation {
  readonly path: string;
  readonly description: string;
}

export class ChatError extends Error {
  readonly reason: ChatErrorReason;
  readonly violations: readonly Violation[];
  readonly metadata: Readonly<Record<string, string>>;
  /** Set where waiting helps. */
  readonly retryAfterMs: number | undefined;

  constructor(
    reason: ChatErrorReason,
    message: string,
    options: {
      readonly violations?: readonly Violation[];
      readonly metadata?: Readonly<Record<string, string>>;
      readonly retryAfterMs?: number;
      readonly cause?: unknown;
    } = {},
  ) {
    super(message, { cause: options.cause });
    this.name = 'ChatError';
    this.reason = reason;
    this.violations = options.violations ?? [];
    this.metadata = options.metadata ?? {};
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** The one wording for unknown, deleted, expired and other tenants' ids. */
export function streamNotFound(streamId: string): ChatError {
  return new ChatError('STREAM_NOT_FOUND', `There is no chat stream "${streamId}".`, {
    metadata: { stream_id: streamId },
  });
}

/** Cancelling and deleting need a little room: it is kept for them, and was used up all the same. */
export function storeFull(cause: unknown): ChatError {
  return new ChatError(
    'QUEUE_FULL',
    'The store (NATS JetStream) takes no more, not even this; nothing has changed. The operator must give it room; then repeat the call.',
    { retryAfterMs: 10_000, cause },
  );
}

/** For who observes a stream while it is deleted; later callers get streamNotFound. */
export function streamDeleted(streamId: string): ChatError {
  return new ChatError('STREAM_DELETED', `The chat stream "${streamId}" was deleted.`, {
    metadata: { stream_id: streamId },
  });
}

export function invalidRequest(
  reason: 'INVALID_REQUEST' | 'UNKNOWN_FIELD' | 'FIELD_NOT_HONOURED' | 'MODEL_UNFIT',
  violations: readonly Violation[],
): ChatError {
  const lead = {
    INVALID_REQUEST: 'The request breaks a rule',
    UNKNOWN_FIELD: 'The request has fields that this server does not know',
    FIELD_NOT_HONOURED: 'The request uses fields that this server does not honour yet',
    MODEL_UNFIT: 'The model cannot do what the request asks of it',
  }[reason];
  const said = violations.map((v) => `${v.path}: ${v.description}`).join('; ');
  return new ChatError(reason, `${lead}: ${said}`, { violations });
}
