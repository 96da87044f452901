// Reading a chat's log up to a known target, page by page; and folding it.
import { fromBinary } from '@bufbuild/protobuf';
import type { Event } from '../../../gen/tailrace/v1/event_pb.ts';
import { EventBatchSchema } from '../../../gen/tailrace/v1/event_pb.ts';
import { AnswerFold } from '../fold/answer.ts';
import { AskedCalls } from '../fold/asked-calls.ts';
import type { ChatKey } from '../chat-key.ts';
import { ChatError } from '../errors.ts';
import type { EventLog, LogRecord, LogTail } from '../ports/event-log.ts';
import { REPLAY_PAGE_BYTES } from '../limits.ts';

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
  if (tail !== undefined) await applyUpTo(log, chat, 0, tail.last.storeSequence, fold);
  return fold;
}

/** A log that is read on as it grows, by whoever writes it: what was read does not change any more. */
export class LogReading {
  readonly #log: EventLog;
  readonly #chat: ChatKey;
  readonly #fold = new AnswerFold();
  #next = 0;

  constructor(log: EventLog, chat: ChatKey) {
    this.#log = log;
    this.#chat = chat;
  }

  /** The answer up to a record that the leader has, none of them undone: the same fold each time, gone on with. */
  async upTo(target: number): Promise<AnswerFold> {
    for await (const records of recordsUpTo(this.#log, this.#chat, this.#next, target)) {
      apply(records, this.#fold);
      this.#next = (records.at(-1)?.storeSequence ?? 0) + 1;
    }
    return this.#fold;
  }
}

/** The calls that the client was asked for: since the wait began that is the newest, or all of them. */
export async function readAskedCalls(
  log: EventLog,
  chat: ChatKey,
  tail: LogTail | undefined,
  which: 'newest' | 'all',
): Promise<AskedCalls> {
  const calls = new AskedCalls();
  if (tail === undefined) return calls;
  const { mark, storeSequence } = tail.status;
  const waits = mark.kind === 'wait' || mark.kind === 'results';
  if (which === 'newest' && !waits) return calls;
  const began = mark.waitRecord === 0 ? storeSequence : mark.waitRecord;
  if (which === 'newest' && began === storeSequence) calls.take(tail.status.data);
  else {
    const from = which === 'newest' ? began : 0;
    await applyUpTo(log, chat, from, tail.last.storeSequence, calls);
  }
  return calls;
}

async function applyUpTo(
  log: EventLog,
  chat: ChatKey,
  from: number,
  target: number,
  fold: { readonly apply: (event: Event) => void },
): Promise<void> {
  for await (const records of recordsUpTo(log, chat, from, target)) apply(records, fold);
}

function apply(
  records: readonly LogRecord[],
  fold: { readonly apply: (event: Event) => void },
): void {
  for (const record of records) {
    for (const event of fromBinary(EventBatchSchema, record.data).events) fold.apply(event);
  }
}
