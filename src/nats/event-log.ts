// The log of chats on the stream EVENTS.
import type { Msg, MsgHdrs, NatsConnection, Subscription } from '@nats-io/transport-node';
import { createInbox } from '@nats-io/transport-node';
import type { ChatKey } from '../chat/chat-key.ts';
import { ChatError } from '../chat/errors.ts';
import type { EventLog, LogEraser, LogRecord, LogTail } from '../chat/ports/event-log.ts';
import { MAX_CATCH_UP_RECORDS, NATS_REQUEST_MS } from '../chat/limits.ts';
import { sequenceRange } from '../chat/log/record.ts';
import { logUnavailable } from './ask-leader.ts';
import type { Exchange } from './exchange.ts';
import { appendIdIn, markIn, recordHeaders, storeSequenceIn } from './headers.ts';
import type { StoredMessage } from './leader.ts';
import { lastAtLeader } from './leader.ts';
import { purgeBefore } from './purge.ts';
import { publishFenced } from './publish-fenced.ts';
import { EVENTS, logFence, logSubject } from './subjects.ts';

/** Appends and leader reads go over `writes`, replays over `replays`: a long replay delays no token. */
export function natsEventLog(writes: Exchange, replays: NatsConnection): EventLog {
  const last = async (chat: ChatKey): Promise<LogRecord | undefined> => {
    const found = await lastAtLeader(writes, EVENTS, logFence(chat));
    return found === undefined ? undefined : toRecord(found);
  };
  return {
    append: (chat, expectedLast, append) => {
      const subject = logSubject(chat, append.mark === undefined ? 'd' : 's');
      const fence = { subject: logFence(chat), expectedLast };
      const headers = recordHeaders(append.appendId, append.mark, fence);
      return publishFenced(writes, subject, append.data, headers);
    },
    last,
    tail: (chat) => readTail(writes, chat, last),
    page: (chat, from, maxBytes) => readPage(replays, chat, from, maxBytes),
  };
}

export function natsLogEraser(writes: Exchange): LogEraser {
  return {
    eraseBefore: (chat, storeSequence) =>
      purgeBefore(writes, EVENTS, logFence(chat), storeSequence),
  };
}

async function readTail(
  writes: Exchange,
  chat: ChatKey,
  last: (chat: ChatKey) => Promise<LogRecord | undefined>,
): Promise<LogTail | undefined> {
  for (;;) {
    const newest = await last(chat);
    if (newest === undefined) return undefined;
    if (newest.mark !== undefined) {
      const { mark } = newest;
      return { last: newest, status: { ...newest, mark }, lastSequence: mark.lastSequence };
    }
    const found = await lastAtLeader(writes, EVENTS, logSubject(chat, 's'));
    const status = found === undefined ? undefined : toRecord(found);
    if (status?.mark === undefined) {
      throw new ChatError('INTERNAL', 'The log of this chat has no record of its status.');
    }
    // A status record that came between the two reads is newer than what was called the last.
    if (status.storeSequence > newest.storeSequence) continue;
    const lastSequence = sequenceRange(newest.data)?.last ?? status.mark.lastSequence;
    return { last: newest, status: { ...status, mark: status.mark }, lastSequence };
  }
}

function toRecord(message: StoredMessage): LogRecord {
  return {
    storeSequence: message.sequence,
    storedAtMs: message.storedAtMs,
    appendId: appendIdIn(message.headers),
    data: message.data,
    mark: markIn(message.headers),
  };
}

const END_OF_BATCH = 204;
const NOT_FOUND = 404;

/** One batch direct get: the records under the chat's subjects from a store sequence on. */
function readPage(
  nc: NatsConnection,
  chat: ChatKey,
  from: number,
  maxBytes: number,
): Promise<{ readonly records: readonly LogRecord[]; readonly more: boolean }> {
  return new Promise((resolve, reject) => {
    const records: LogRecord[] = [];
    const inbox = createInbox();
    // On a connection that is closed there is none.
    let subscription: Subscription | undefined;
    const finish = (error: unknown, more: boolean): void => {
      clearTimeout(timer);
      subscription?.unsubscribe();
      if (error === undefined) resolve({ records, more });
      else reject(logUnavailable(error));
    };
    const timer = setTimeout(late, NATS_REQUEST_MS);
    function late(): void {
      finish(new Error(`a replay got no answer within ${NATS_REQUEST_MS} ms`), false);
    }
    const callback = (error: Error | null, msg: Msg): void => {
      if (error !== null) return finish(error, false);
      const headers = msg.headers;
      if (headers === undefined) return finish(new Error('a record without headers'), false);
      if (headers.code === NOT_FOUND) return finish(undefined, false);
      if (headers.code === END_OF_BATCH) {
        return finish(undefined, Number(headers.get('Nats-Num-Pending')) > 0);
      }
      if (headers.code !== 0) {
        return finish(new Error(`${headers.code} ${headers.description}`), false);
      }
      timer.refresh();
      records.push(recordOf(headers, msg.data));
    };
    try {
      subscription = nc.subscribe(inbox, { callback });
      nc.publish(
        `$JS.API.DIRECT.GET.${EVENTS}`,
        JSON.stringify({
          seq: Math.max(from, 1),
          next_by_subj: logFence(chat),
          batch: MAX_CATCH_UP_RECORDS,
          max_bytes: maxBytes,
        }),
        { reply: inbox },
      );
    } catch (error) {
      finish(error, false);
    }
  });
}

/** A record as direct get and republish carry it: the store's own facts are headers. */
export function recordOf(headers: MsgHdrs, data: Uint8Array): LogRecord {
  return {
    storeSequence: storeSequenceIn(headers),
    storedAtMs: storeTimeMs(headers.get('Nats-Time-Stamp')),
    appendId: appendIdIn(headers),
    data,
    mark: markIn(headers),
  };
}

const WHOLE_SECONDS = 'yyyy-mm-ddThh:mm:ss'.length;

/** RFC 3339 in UTC with nanoseconds, kept to the microsecond; Date.parse would keep only ms. */
function storeTimeMs(rfc3339: string): number {
  const fraction = Number(`0${rfc3339.slice(WHOLE_SECONDS, -1)}`);
  return Date.parse(`${rfc3339.slice(0, WHOLE_SECONDS)}Z`) + Math.floor(fraction * 1e6) / 1e3;
}
