// The places of all queued chats, of all tenants: for each priority the sequences of their starts, in
// order. Kept in step with the tables, so that a position is a search and no query, whoever asks for it.
import type { DatabaseSync } from 'node:sqlite';
import { ChatStreamStatus } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { PRIORITY_LEVELS } from '../chat/limits.ts';

/** What the statements of schema.ts return of the row that they changed. */
export type ChangedRow = Record<string, unknown>;

export interface QueuePlaces {
  /** Takes in what a row is now: queued, or not any more. */
  readonly changed: (row: ChangedRow | undefined) => void;
  /** How many queued chats are before this place. */
  readonly before: (priority: number, startSequence: number) => number;
}

export function openQueuePlaces(database: DatabaseSync): QueuePlaces {
  const places: number[][] = Array.from({ length: PRIORITY_LEVELS }, () => []);
  const of = (priority: number): number[] => places[priority] ?? [];
  const queued = database.prepare(`
    SELECT priority, start_sequence FROM chats
    WHERE status = ${ChatStreamStatus.PENDING} AND deleted = 0 AND started = 1 ORDER BY start_sequence`);
  for (const row of queued.iterate())
    of(Number(row['priority'])).push(Number(row['start_sequence']));

  return {
    changed: (row) => {
      if (row === undefined) return;
      const sequence = Number(row['start_sequence']);
      // A status record may come before the start: it is in no queue yet.
      if (sequence === 0) return;
      const level = of(Number(row['priority']));
      const at = placeIn(level, sequence);
      const isQueued = row['status'] === ChatStreamStatus.PENDING && row['deleted'] === 0;
      const known = level[at] === sequence;
      if (isQueued && !known) level.splice(at, 0, sequence);
      if (!isQueued && known) level.splice(at, 1);
    },
    before: (priority, startSequence) => {
      const better = places.slice(0, priority).reduce((sum, level) => sum + level.length, 0);
      return better + placeIn(of(priority), startSequence);
    },
  };
}

/** How many of the sorted numbers are smaller. */
function placeIn(sorted: readonly number[], value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] ?? 0) < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
