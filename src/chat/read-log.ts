// Reading a chat's log up to a known target, page by page; and folding it.
import { fromBinary } from '@bufbuild/protobuf';
import { EventBatchSchema } from '../../gen/tailrace/v1/event_pb.ts';
import { AnswerFold } from './answer.ts';
import type { ChatKey } from './chat-key.ts';
import { ChatError } from './errors.ts';
import type { EventLog, LogRecord, LogTail } from './event-log.ts';
import { REPLAY_PAGE_BYTES } from './limits.ts';

const BEHIND_WAIT_MS = 20;
const BEHIND_TRIES = 250;

/** The records from a store sequence on, up to and with the target's, which the leader has. */
export async function* recordsUpTo(
  log: EventLog,
  chat: ChatKey,
  from: number,
  target: number,
): AsyncGenerator<readonly LogRecord[]> {
  let next = from;
  for (let behind = 0; next <= target;) {
    const { records } = await log.page(chat, next, REPLAY_PAGE_BYTES);
    const last = records.at(-1);
    if (last === undefined) {
      // A follower that has not caught up with the leader yet.
      if (++behind > BEHIND_TRIES) {
        throw new ChatError('LOG_UNAVAILABLE', 'The log could not be read to its end in time.', {
          retryAfterMs: 1_000,
        });
      }
      await new Promise((resolve) => setTimeout(resolve, BEHIND_WAIT_MS));
      continue;
    }
    behind = 0;
    next = last.storeSequence + 1;
    yield records;
  }
}

/** The answer of the whole log up to its tail. */
export async function foldLog(
  log: EventLog,
  chat: ChatKey,
  tail: LogTail | undefined,
): Promise<AnswerFold> {
  const fold = new AnswerFold();
  if (tail === undefined) return fold;
  for await (const records of recordsUpTo(log, chat, 0, tail.last.storeSequence)) {
    for (const record of records) {
      for (const event of fromBinary(EventBatchSchema, record.data).events) fold.apply(event);
    }
  }
  return fold;
}
