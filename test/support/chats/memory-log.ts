// The reference model of the log: what EventLog promises, in a few lines that are plainly right. It
// passes the same contract suite as the adapter of NATS, and stands in where a test is about what is
// above the log.
import type { ChatKey } from '../../../src/chat/chat-key.ts';
import { keyOf } from '../../../src/chat/chat-key.ts';
import type { EventLog, LogRecord, LogTail } from '../../../src/chat/ports/event-log.ts';
import { sequenceRange } from '../../../src/chat/log/record.ts';

export function memoryLog(): EventLog {
  const logs = new Map<string, LogRecord[]>();
  // One store for all chats: each record takes the next number, whoever it is of.
  let stored = 0;
  const recordsOf = (chat: ChatKey): LogRecord[] => logs.get(keyOf(chat)) ?? [];
  return {
    append: (chat, expectedLast, { appendId, data, mark }) => {
      const records = recordsOf(chat);
      if ((records.at(-1)?.storeSequence ?? 0) !== expectedLast) {
        return Promise.resolve({ type: 'refused' });
      }
      const storeSequence = ++stored;
      logs.set(keyOf(chat), [
        ...records,
        { storeSequence, storedAtMs: Date.now(), appendId, data: data.slice(), mark },
      ]);
      return Promise.resolve({ type: 'stored', storeSequence });
    },
    last: (chat) => Promise.resolve(recordsOf(chat).at(-1)),
    tail: (chat) => Promise.resolve(tailOf(recordsOf(chat))),
    page: (chat, from, maxBytes) => {
      const left = recordsOf(chat).filter((record) => record.storeSequence >= from);
      let bytes = 0;
      // At least one record, however large.
      const fitting = left.findIndex(({ data }, i) => (bytes += data.length) > maxBytes && i > 0);
      const records = fitting === -1 ? left : left.slice(0, fitting);
      return Promise.resolve({ records, more: records.length < left.length });
    },
  };
}

function tailOf(records: readonly LogRecord[]): LogTail | undefined {
  const last = records.at(-1);
  if (last === undefined) return undefined;
  const status = records.findLast((record) => record.mark !== undefined);
  if (status?.mark === undefined) throw new Error('a log begins with a record of its status');
  const lastSequence = last.mark?.lastSequence ?? sequenceRange(last.data)?.last;
  return {
    last,
    status: { ...status, mark: status.mark },
    lastSequence: lastSequence ?? status.mark.lastSequence,
  };
}
