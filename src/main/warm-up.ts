// The first calls of a process are ten times slower than the thousandth: code that never ran is
// compiled while the caller waits. So the way of a call is walked before the port opens, by calls
// that create nothing: a start that names no model there is, and the reading of a chat that is not.
import { ConnectError, createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { ChatStreamService } from '../../gen/tailrace/v1/chat_stream_service_pb.ts';
import { Role } from '../../gen/tailrace/v1/content_pb.ts';
import { UNTRACED } from '../chat/ports/span.ts';
import { DEFAULT_TENANT, makeToken, tenantsByToken } from '../rpc/edge/auth.ts';
import { createHttpHandler, type HttpHandlerOptions } from '../rpc/http-handler.ts';
import { listen } from '../rpc/edge/listener.ts';
import { parseTokens } from '../rpc/edge/tokens-file.ts';

const ROUNDS = 20;
/** A model server that does not answer holds the port up no longer than this. */
const LONGEST_MS = 500;
const NO_MODEL = 'warm-up: there is no such model';
const NO_CHAT = 'warm-up';
/** The first schema that is compiled takes 50 ms. */
const SCHEMA = '{"type":"object"}';
const TOOL = {
  kind: { case: 'client', value: { name: NO_CHAT, inputSchema: SCHEMA } },
} as const;
const FORMAT = {
  format: { case: 'jsonSchema', value: { name: NO_CHAT, schema: SCHEMA } },
} as const;

/**
 * `edge` is the real one, on a loopback port that takes no token but one that only this call has. Its
 * calls fail where the model server is away: the first real one says so, not each of these.
 */
export async function warmUp(
  edge: HttpHandlerOptions,
  logError: (error: unknown) => void,
): Promise<void> {
  const { token, line } = makeToken(DEFAULT_TENANT);
  const rows = parseTokens(line, 'warm-up');
  const tenants = tenantsByToken(() => rows);
  const handler = createHttpHandler({
    ...edge,
    tenants,
    tracer: UNTRACED,
    logError: () => undefined,
  });
  await using listener = await listen({ host: '127.0.0.1', port: 0, handler, logError });
  const client = createClient(ChatStreamService, createGrpcTransport({ baseUrl: listener.url }));
  const headers = { authorization: `Bearer ${token}` };
  const messages = [
    { role: Role.USER, content: [{ block: { case: 'text', value: 'hi' } as const }] },
  ];
  const deadlineMs = performance.now() + LONGEST_MS;
  for (let round = 0; round < ROUNDS; round++) {
    const timeoutMs = Math.ceil(deadlineMs - performance.now());
    if (timeoutMs <= 0) return;
    const request = { model: NO_MODEL, messages, tools: [TOOL], responseFormat: FORMAT };
    await refused(client.initiateChatStream({ request }, { timeoutMs, headers }));
    await refused(client.getChatStream({ streamId: NO_CHAT }, { timeoutMs, headers }));
  }
}

/** Every answer is a refusal here; which one tells nothing, since the model server may be away. */
async function refused(call: Promise<unknown>): Promise<void> {
  try {
    await call;
  } catch (error) {
    if (!(error instanceof ConnectError)) throw error;
  }
}
