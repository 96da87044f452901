// An answer other than 200, in the shape in which OpenAI's API says it.

export class Refusal extends Error {
  readonly status: number;
  readonly param: string | null;
  readonly code: string;
  readonly retryAfterSeconds: number | undefined;

  constructor(
    status: number,
    code: string,
    message: string,
    options: { readonly param?: string; readonly retryAfterSeconds?: number } = {},
  ) {
    super(message);
    this.name = 'Refusal';
    this.status = status;
    this.code = code;
    this.param = options.param ?? null;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }
}

export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string;
  };
}

export function errorBody(refusal: Refusal): ErrorBody {
  const type =
    refusal.status === 429
      ? 'rate_limit_error'
      : refusal.status >= 500
        ? 'server_error'
        : 'invalid_request_error';
  const { message, param, code } = refusal;
  return { error: { message, type, param, code } };
}
