// A chat whose log the test writes itself, record by record, as a worker would: for what depends on
// how events lie in records.
import assert from 'node:assert/strict';
import { create } from '@bufbuild/protobuf';
import { randomUUID } from 'node:crypto';
import { EventSchema } from '../../../gen/tailrace/v1/event_pb.ts';
import { BlockKind } from '../../../gen/tailrace/v1/event_pb.ts';
import { StopReason } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import type { ChatKey } from '../../../src/chat/chat-key.ts';
import { FIRST_CLAIM } from '../../../src/chat/decisions/decisions.ts';
import { endChat } from '../../../src/chat/log/end-chat.ts';
import type { StatusMark } from '../../../src/chat/ports/event-log.ts';
import { preciseNowMs, timestampFromMillis } from '../../../src/chat/log/event-time.ts';
import { encodeBatch } from '../../../src/chat/log/record.ts';
import type { End, EventPayload } from '../../../src/chat/decisions/terminal.ts';
import { claimMark, claimPayload } from '../../../src/worker/log/claim.ts';
import { type ChatInit, type Ports, startChat, startCommandOf } from './chat-fixtures.ts';

export interface WrittenChat {
  readonly chat: ChatKey;
  readonly streamId: string;
  /** The sequence of the newest event. */
  readonly sequence: () => number;
  /** `started` and `block_started`, in one record. */
  readonly begin: () => Promise<void>;
  /** One record with a text delta for each. */
  readonly say: (...texts: readonly string[]) => Promise<void>;
  readonly end: (end?: End) => Promise<void>;
}

const SETTLE_MS = 60_000;

/** `started`: a chat that is queued already, in the place of a new one. */
export async function writeChat(
  ports: Ports,
  init: ChatInit = {},
  started?: ChatKey,
): Promise<WrittenChat> {
  const chat = started ?? (await startChat(ports, init));
  const command = await startCommandOf(ports.inbox, chat);
  let sequence = 0;
  let storeSequence = 0;

  async function append(payloads: readonly EventPayload[], mark?: StatusMark): Promise<void> {
    const events = payloads.map((payload) =>
      create(EventSchema, {
        sequence: ++sequence,
        attempt: 1,
        time: timestampFromMillis(preciseNowMs()),
        payload,
      }),
    );
    const record = { appendId: randomUUID(), data: encodeBatch(events), mark };
    const outcome = await ports.log.append(chat, storeSequence, record);
    assert.ok(outcome.type === 'stored');
    storeSequence = outcome.storeSequence;
  }

  return {
    chat,
    streamId: chat.streamId,
    sequence: () => sequence,
    begin: () =>
      append(
        [
          claimPayload(command, FIRST_CLAIM),
          { case: 'blockStarted', value: { index: 0, kind: BlockKind.TEXT, turn: 1 } },
        ],
        { ...claimMark(command, FIRST_CLAIM, 'the test', Date.now()), lastSequence: 2 },
      ),
    say: (...texts) =>
      append(texts.map((text) => ({ case: 'textDelta', value: { index: 0, text } }))),
    end: async (end = { kind: 'completed', stopReason: StopReason.END_TURN }) => {
      const tail = await ports.log.tail(chat);
      const settled = await endChat(ports.log, chat, command, tail, end, SETTLE_MS);
      assert.equal(settled.type, 'stored');
      sequence++;
    },
  };
}
