// Chats with MCP servers, on a Tailrace of the test's own with a scripted model server: started, watched, and asked
// what the model was told.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type {
  ChatRequestSchema,
  McpServerSchema,
} from '../../../gen/tailrace/v1/chat_request_pb.ts';
import { ChatStreamStatus } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import { Role } from '../../../gen/tailrace/v1/content_pb.ts';
import type { Event, WarningReason } from '../../../gen/tailrace/v1/event_pb.ts';
import { type ModelServer, scripted } from '../../model-server/model-server.ts';
import type { ScriptInput } from '../../model-server/script.ts';
import type { ChatClient } from '../clients.ts';
import { type SettingsFor, startScripted } from '../processes/scripted-tailrace.ts';
import type { TestTailrace } from '../processes/tailrace.ts';
import { until } from '../until.ts';
import { type Watch, watchToEnd } from './watch-chat.ts';

export type McpRequest = MessageInitShape<typeof ChatRequestSchema>;
export type McpServerInit = MessageInitShape<typeof McpServerSchema>;

interface Asked {
  readonly tools?: readonly { readonly function: { readonly name: string } }[];
  readonly tool_choice?: unknown;
  readonly messages: readonly { readonly role: string; readonly content: unknown }[];
}

export interface McpChats extends AsyncDisposable {
  readonly client: ChatClient;
  readonly model: ModelServer;
  readonly tailrace: TestTailrace;
  /** The id of the chat. */
  readonly start: (
    script: ScriptInput,
    servers: readonly McpServerInit[],
    more?: McpRequest,
  ) => Promise<string>;
  /** To its end, which is COMPLETED: no server ends a run. */
  readonly runToEnd: (
    script: ScriptInput,
    servers: readonly McpServerInit[],
    more?: McpRequest,
  ) => Promise<Watch>;
  /** What the model server was asked for the chat that was started last: its first turn, its second one. */
  readonly modelAsked: (turn: number) => Promise<Asked>;
  /** The names of the tools that it was told of. */
  readonly toolsToldOf: (turn?: number) => Promise<readonly string[]>;
}

export async function startMcpChats(settingsFor: SettingsFor = () => ({})): Promise<McpChats> {
  const scriptedTailrace = await startScripted((own) => ({
    TAILRACE_FETCH_ALLOW: '127.0.0.1',
    TAILRACE_SEAL_KEYS: `k1:${randomBytes(32).toString('base64')}`,
    ...settingsFor(own),
  }));
  const { model, tailrace, client } = scriptedTailrace;
  /** Each chat's calls of the model are told apart by the id of its script. */
  let started = 0;
  const start: McpChats['start'] = async (script, servers, more = {}) => {
    const text = scripted({ ...script, id: `chat ${++started}.` });
    const content = [{ block: { case: 'text', value: text } }] as const;
    const messages = [...(more.messages ?? []), { role: Role.USER, content: [...content] }];
    const { streamId } = await client.initiateChatStream({
      request: { mcpServers: [...servers], ...more, messages } as McpRequest,
    });
    return streamId;
  };
  const modelAsked: McpChats['modelAsked'] = async (turn) => {
    const id = `chat ${started}.`;
    const request = await until(`turn ${turn} of ${id}`, () => {
      const own = model.requests.filter(({ body }) => JSON.stringify(body).includes(id));
      return own[turn - 1];
    });
    return request.body as Asked;
  };
  return {
    client,
    model,
    tailrace,
    start,
    runToEnd: async (...asked) => {
      const watch = await watchToEnd(client, await start(...asked));
      assert.equal(watch.end().status, ChatStreamStatus.COMPLETED, 'no server ends a run');
      return watch;
    },
    modelAsked,
    toolsToldOf: async (turn = 1) => {
      const { tools = [] } = await modelAsked(turn);
      return tools.map((tool) => tool.function.name);
    },
    [Symbol.asyncDispose]: () => scriptedTailrace[Symbol.asyncDispose](),
  };
}

/** The model calls these, side by side, and then says that it is done. */
export function calling(
  ...calls: readonly (readonly [name: string, input?: string])[]
): ScriptInput {
  return {
    text: [],
    calls: calls.map(([name, input = '{}'], i) => ({ id: `call_${i}`, name, input })),
    rounds: [{ text: ['done'] }],
  };
}

export function warningsIn(
  events: readonly Event[],
): { readonly reason: WarningReason; readonly message: string }[] {
  return events.flatMap(({ payload }) =>
    payload.case === 'warning'
      ? [{ reason: payload.value.reason, message: payload.value.message }]
      : [],
  );
}
