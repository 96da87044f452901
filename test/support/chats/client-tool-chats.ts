// Chats whose model calls tools of the client's, by a script: asked for, waiting, and answered.
import assert from 'node:assert/strict';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ChatRequestSchema } from '../../../gen/tailrace/v1/chat_request_pb.ts';
import { ChatStreamStatus } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import type { ToolResultBlockSchema } from '../../../gen/tailrace/v1/content_pb.ts';
import { Role } from '../../../gen/tailrace/v1/content_pb.ts';
import type { Event } from '../../../gen/tailrace/v1/event_pb.ts';
import { scripted } from '../../model-server/model-server.ts';
import type { ScriptInput } from '../../model-server/script.ts';
import type { ChatClient } from '../clients.ts';
import type { Watch } from './watch-chat.ts';

export type Request = MessageInitShape<typeof ChatRequestSchema>;
export type Result = MessageInitShape<typeof ToolResultBlockSchema>;

export const SCHEMA =
  '{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}';
export const WEATHER = {
  kind: {
    case: 'client',
    value: { name: 'weather', description: 'The weather now.', inputSchema: SCHEMA },
  },
} as const;

export function asking(script: ScriptInput, more: Partial<Request> = {}): Request {
  const content = [{ block: { case: 'text', value: scripted(script) } }] as const;
  return {
    messages: [{ role: Role.USER, content: [...content] }],
    tools: [WEATHER],
    ...more,
  } as Request;
}

export function answer(toolUseId: string, text: string, isError?: boolean): Result {
  const content = [{ block: { case: 'text', value: text } }] as const;
  return { toolUseId, content: [...content], ...(isError === undefined ? {} : { isError }) };
}

export const ONE_CALL: ScriptInput = {
  text: ['Let me see. '],
  calls: [{ id: 'call_1', name: 'weather', input: ['{"city":', '"Zürich"}'] }],
  rounds: [{ text: ['It is ', 'sunny.'] }],
};

export async function startWaiting(
  client: ChatClient,
  script: ScriptInput,
  more: Partial<Request> = {},
): Promise<string> {
  const { streamId } = await client.initiateChatStream({
    request: asking(script, more),
    awaitToolResults: true,
  });
  const { chatStream } = await client.waitChatStream({ streamId });
  assert.equal(chatStream?.status, ChatStreamStatus.PROCESSING);
  assert.ok(chatStream.pendingToolUses.length > 0, 'it waits for its tools');
  return streamId;
}

type Payload = Event['payload'];
type ValueOf<C extends Payload['case']> = Extract<Payload, { readonly case: C }>['value'];

export function payloads<C extends Payload['case']>(watch: Watch, kind: C): ValueOf<C>[] {
  return watch.events.flatMap(({ payload }) =>
    payload.case === kind ? [payload.value as ValueOf<C>] : [],
  );
}
