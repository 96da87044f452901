// What a scenario is, and the steps that many of them take.
import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import type { JsonObject } from '@bufbuild/protobuf';
import { z } from 'zod';
import { scripted } from '../../model-server/model-server.ts';
import type { ScriptInput } from '../../model-server/script.ts';
import type { Client } from '../client.ts';
import type { CallError, ObservedEnd, Target } from '../driver.ts';
import type { World } from '../world.ts';

export interface Stage {
  readonly client: Client;
  readonly world: World;
  /** How long it took from a drop to the next event. */
  readonly resumed: (ms: number) => void;
}

export interface Scenario {
  readonly name: string;
  readonly run: (stage: Stage) => Promise<void>;
}

export const ChatAnswer = z.object({
  chatStream: z.looseObject({
    streamId: z.string(),
    status: z.string(),
    stopReason: z.string().optional(),
    latestSequence: z.number().default(0),
    contentSha256: z.string().default(''),
    outputTruncated: z.boolean().default(false),
    output: z.array(z.looseObject({ text: z.string().optional() })).default([]),
  }),
});

export const StartAnswer = z.looseObject({
  streamId: z.string(),
  created: z.boolean(),
  status: z.string(),
});

export function asking(script: ScriptInput, more: JsonObject = {}): JsonObject {
  return { messages: [{ role: 'ROLE_USER', content: [{ text: scripted(script) }] }], ...more };
}

export async function start(
  { client, world }: Stage,
  script: ScriptInput,
  more: { readonly request?: JsonObject; readonly call?: JsonObject } = {},
): Promise<string> {
  const request = asking(script, more.request);
  const streamId = `interop-${randomUUID()}`;
  const call = { streamId, request, ...more.call };
  StartAnswer.parse(await client.call({ url: world.url }, 'InitiateChatStream', call));
  return streamId;
}

export async function chatOf(client: Client, to: Target, streamId: string) {
  const view = 'CHAT_STREAM_VIEW_FULL';
  const { chatStream } = ChatAnswer.parse(
    await client.call(to, 'GetChatStream', { streamId, view }),
  );
  return chatStream;
}

/** Goes on until it is cancelled: how many events there are by a time depends on the machine. */
export const ENDLESS: ScriptInput = { fault: 'endless', interval_ms: 10 };

export async function cancel({ client, world }: Stage, streamId: string): Promise<void> {
  await client.call({ url: world.url }, 'CancelChatStream', { streamId });
}

/** The client has all of the chat, once, as the server tells it. */
export async function isWhole({ client, world }: Stage, streamId: string, end: ObservedEnd) {
  const chat = await chatOf(client, { url: world.url }, streamId);
  assert.equal(end.status, chat.status);
  assert.equal(end.cursor, chat.latestSequence);
  assert.equal(createHash('sha256').update(end.text).digest('hex'), chat.contentSha256);
  return chat;
}

export function says(
  error: CallError,
  wanted: Partial<CallError> & Pick<CallError, 'code'>,
  fields: readonly string[] = [],
): void {
  for (const [key, value] of Object.entries(wanted)) {
    assert.deepEqual(error[key as keyof CallError], value, JSON.stringify(error));
  }
  assert.notEqual(error.message, '');
  const told = error.violations.map(({ field }) => field).toSorted();
  assert.deepEqual(told, fields, JSON.stringify(error));
  for (const { description } of error.violations) assert.notEqual(description, '');
}
