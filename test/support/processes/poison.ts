// A start that ends the process that decodes it: its request is a million blocks without content, two
// bytes each on the way and an object each in memory. No api would let it through; it is written into the
// queue by hand, for a worker that runs with little memory.
import assert from 'node:assert/strict';
import type { ChatKey } from '../../../src/chat/chat-key.ts';
import type { Ports } from '../chats/chat-fixtures.ts';
import { chatKey, startCommandOf } from '../chats/chat-fixtures.ts';

const BLOCKS = 2_000_000;
/** For NODE_OPTIONS: enough for a worker with its chats, not for these blocks. */
export const LITTLE_MEMORY = '--max-old-space-size=128';

export async function startPoison(ports: Ports, like: ChatKey): Promise<ChatKey> {
  const chat = chatKey();
  const { meta, priority } = await startCommandOf(ports.inbox, like);
  const start = { chat, verb: 'start', priority, data: poison() } as const;
  const outcome = await ports.inbox.publish(
    { ...start, meta: { ...meta, appendId: chat.streamId, correlationId: 'poison' } },
    0,
  );
  assert.equal(outcome.type, 'stored');
  return chat;
}

/** InitiateChatStreamRequest.request.messages[0].content, each block an empty message. */
function poison(): Uint8Array {
  const content = Buffer.alloc(2 * BLOCKS);
  for (let i = 0; i < content.length; i += 2) content[i] = tagOf(2);
  return field(2, field(1, content));
}

const LENGTH_DELIMITED = 2;

function tagOf(number: number): number {
  return (number << 3) | LENGTH_DELIMITED;
}

function field(number: number, body: Uint8Array): Uint8Array {
  const head = [tagOf(number)];
  let length = body.length;
  for (; length > 127; length >>>= 7) head.push((length & 127) | 128);
  head.push(length);
  return Buffer.concat([Buffer.from(head), body]);
}
