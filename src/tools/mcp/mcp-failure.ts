// Why an MCP server could not be used, in words that go on after it: "the MCP server … cannot be used: it …". They
// are our own and not the server's, which could say anything, what it was sent included.
import {
  ProtocolError,
  SdkError,
  SdkErrorCode,
  SdkHttpError,
  SseError,
  UnauthorizedError,
} from '@modelcontextprotocol/client';
import { FetchFailure } from '../fetch/fetch-failure.ts';

export class McpFailure extends Error {
  constructor(words: string, options: { readonly cause?: unknown } = {}) {
    super(words, options);
    this.name = 'McpFailure';
  }
}

export function wordsOf(error: unknown): string {
  const failure = fetchFailureIn(error);
  if (failure !== undefined) return failure.message;
  if (error instanceof McpFailure) return error.message;
  if (error instanceof UnauthorizedError) return 'refuses the credentials';
  const status = statusOf(error);
  if (status !== undefined) return wordsOfStatus(status);
  if (error instanceof ProtocolError) return `answered with the error ${error.code}`;
  if (error instanceof SdkError && error.code === SdkErrorCode.RequestTimeout) {
    return 'did not answer in time';
  }
  if (error instanceof SdkError && WANTS_INPUT.has(error.code)) {
    return 'asks for more input, by a person or a model, which it cannot have here';
  }
  return 'answered with what is no MCP';
}

const WANTS_INPUT: ReadonlySet<SdkErrorCode> = new Set([
  SdkErrorCode.CapabilityNotSupported,
  SdkErrorCode.InputRequiredRoundsExceeded,
  SdkErrorCode.UnsupportedResultType,
]);

export function statusOf(error: unknown): number | undefined {
  if (error instanceof SdkHttpError) return error.status;
  return error instanceof SseError ? error.code : undefined;
}

function wordsOfStatus(status: number): string {
  if (status === 401 || status === 403) return `refuses the credentials (status ${status})`;
  if (status >= 300 && status < 400) {
    return `redirects to another address (status ${status}), which is not followed; give that one, if it is the right one`;
  }
  return `answered with status ${status}`;
}

/** How deep errors lie in each other. */
const MAX_CAUSES = 5;

function fetchFailureIn(error: unknown): FetchFailure | undefined {
  let inner = error;
  for (let i = 0; i < MAX_CAUSES && inner instanceof Error; i++) {
    if (inner instanceof FetchFailure) return inner;
    inner = inner.cause;
  }
  return undefined;
}
