// How a command reaches Tailrace: by Connect over HTTP/1.1, which every proxy passes on.
import type {
  DescMessage,
  DescMethodUnary,
  JsonObject,
  JsonValue,
  MessageShape,
} from '@bufbuild/protobuf';
import { fromJson } from '@bufbuild/protobuf';
import type { Client, Interceptor, Transport } from '@connectrpc/connect';
import { Code, ConnectError, createClient } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import { codeFromHttpStatus, errorFromJson } from '@connectrpc/connect/protocol-connect';
import {
  createTailraceClient,
  type TailraceClient,
} from '../../../clients/typescript/src/client.ts';
import { ChatStreamService } from '../../../gen/tailrace/v1/chat_stream_service_pb.ts';
import { CLI_CALL_TIMEOUT_MS } from '../../chat/limits.ts';
import type { ConnectionOptions } from './connection-options.ts';
import { usageFailure } from '../outcome/failure.ts';

export interface Connection {
  readonly address: string;
  readonly transport: Transport;
  /** One call, one answer: what fails is told at once. */
  readonly client: Client<typeof ChatStreamService>;
  /** For what takes its time: waits out what may pass, and resumes. */
  readonly watching: TailraceClient;
  /** Sends JSON as it is: the server knows best what is wrong with it, and says so. */
  readonly postJson: <O extends DescMessage>(
    method: DescMethodUnary<DescMessage, O>,
    body: JsonObject,
  ) => Promise<MessageShape<O>>;
}

export function connect({ address, token }: ConnectionOptions): Connection {
  checkSecrets(address, token);
  const interceptors: Interceptor[] = [
    (next) => (request) => {
      if (token !== undefined) request.header.set('authorization', `Bearer ${token}`);
      return next(request);
    },
  ];
  const transport = createConnectTransport({ baseUrl: address, httpVersion: '1.1', interceptors });
  return {
    address,
    transport,
    client: createClient(ChatStreamService, transport),
    // A wrong address is told at once; what was there once is waited for.
    watching: createTailraceClient(transport, { maxRetries: 0 }),
    postJson: async (method, body) => {
      const answer = await post(`${address}/${method.parent.typeName}/${method.name}`, token, body);
      return fromJson(method.output, answer, { ignoreUnknownFields: true });
    },
  };
}

/** Here and not where flags are read: commander says the value of a flag that it refuses. */
function checkSecrets(address: string, token = ''): void {
  const { username, password } = new URL(address);
  if (username !== '' || password !== '') {
    throw usageFailure(
      'The address holds a user or password, and Tailrace knows neither.',
      'give the address without them, and a token with --token or in TAILRACE_TOKEN.',
    );
  }
  if (/[^\t\x20-\x7e]/.test(token.trim())) {
    throw usageFailure(
      'The token has a character that no header may have.',
      'look at --token and TAILRACE_TOKEN: a token is one line of letters, digits and signs.',
    );
  }
}

/** For all unary calls: an answer that takes longer will not come. */
export function callOptions(): { readonly timeoutMs: number } {
  return { timeoutMs: CLI_CALL_TIMEOUT_MS };
}

async function post(url: string, token: string | undefined, body: JsonObject): Promise<JsonValue> {
  const headers = {
    'content-type': 'application/json',
    'connect-protocol-version': '1',
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
  };
  let response: Response;
  let text: string;
  try {
    response = await fetch(url, {
      method: 'POST',
      headers,
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(CLI_CALL_TIMEOUT_MS),
    });
    text = await response.text();
  } catch (cause) {
    const late = cause instanceof Error && cause.name === 'TimeoutError';
    const code = late ? Code.DeadlineExceeded : Code.Unavailable;
    // What fetch says itself is always the same.
    const why = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
    const said = why instanceof Error ? why.message : 'no answer';
    throw new ConnectError(said, code, undefined, undefined, cause);
  }
  const fallback = new ConnectError(`HTTP ${response.status}`, codeFromHttpStatus(response.status));
  let parsed: JsonValue;
  try {
    parsed = JSON.parse(text) as JsonValue;
  } catch {
    // A page, of a proxy or of another program.
    throw fallback;
  }
  if (response.status !== 200) throw errorFromJson(parsed, undefined, fallback);
  return parsed;
}
