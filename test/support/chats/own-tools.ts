// Tools that a test gives to a worker in the place of Tailrace's own, and chats that call them.
import { BlockKind } from '../../../gen/tailrace/v1/event_pb.ts';
import { StopReason } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import type { ChatKey } from '../../../src/chat/chat-key.ts';
import type { ServerTool } from '../../../src/chat/ports/tool.ts';
import type { LogWriter } from '../../../src/worker/log/log-writer.ts';
import type { ChatInit, Ports } from './chat-fixtures.ts';
import { startedAt } from './chat-fixtures.ts';
import type { HandCall } from './hand-model.ts';

const DAY_MS = 86_400_000;

/** Under names that the contract has for tools of ours. */
export type OwnName = 'document_search' | 'database_query' | 'table_query' | 'web_fetch';

export interface CountedTool extends ServerTool {
  /** The inputs that it was called with, in order. */
  readonly calls: Readonly<Record<string, unknown>>[];
}

export function ownTool(
  name: OwnName,
  answer: ServerTool['call'],
  given: Partial<Pick<ServerTool, 'idempotent' | 'inputSchema'>> = {},
): CountedTool {
  const calls: Readonly<Record<string, unknown>>[] = [];
  return {
    name,
    description: `What ${name} does.`,
    inputSchema: '{"type":"object","properties":{"of":{"type":"string"}},"required":["of"]}',
    idempotent: true,
    ...given,
    calls,
    call: (input, ...rest) => {
      calls.push(input);
      return answer(input, ...rest);
    },
  };
}

/** A chat with these tools of ours, and with the client's tool "look" where the test says so. */
export function startWithTools(
  ports: Pick<Ports, 'inbox'>,
  names: readonly OwnName[],
  init: ChatInit & { readonly look?: boolean; readonly maxUses?: number } = {},
): Promise<ChatKey> {
  const { look = false, maxUses, ...rest } = init;
  const max = maxUses === undefined ? {} : { maxUses };
  const own = names.map((name) => ({ kind: { case: 'server' as const, value: { name, ...max } } }));
  const client = [{ kind: { case: 'client' as const, value: { name: 'look' } } }];
  const now = Date.now();
  return startedAt(ports, now, now + DAY_MS, {
    ...rest,
    request: { tools: look ? [...own, ...client] : own, ...rest.request },
  });
}

/** The model calls these, id: name or [name, input], and is done with its turn. */
export function callThem(
  call: HandCall,
  calls: Readonly<Record<string, string | readonly [string, string]>>,
): void {
  for (const [i, [id, what]] of Object.entries(calls).entries()) {
    const [name, input] = typeof what === 'string' ? [what, `{"of":"${id}"}`] : what;
    call.sink.toolUse(i, id, name);
    call.sink.toolInput(i, input);
  }
  call.finish(StopReason.TOOL_USE);
}

/** The turn of a lost worker: calls of tools of ours, by id and name. */
export function pushCalls(writer: LogWriter, calls: Readonly<Record<string, OwnName>>): void {
  const kind = BlockKind.SERVER_TOOL_USE;
  for (const [index, [id, name]] of Object.entries(calls).entries()) {
    writer.push({ case: 'blockStarted', value: { index, kind, turn: 1, id, name } });
    writer.push({ case: 'toolInputDelta', value: { index, json: `{"of":"${id}"}` } });
    writer.push({ case: 'blockStopped', value: { index } });
  }
}
