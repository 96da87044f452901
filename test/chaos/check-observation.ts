// What one observer saw, over all its attachments: everything after its cursor once, in order, the same
// bytes as everyone, to the end.
import type { ChatLog } from './chat-log.ts';
import type { Observation } from './history.ts';
import type { Say } from './violation.ts';

export function checkObservation(
  { observer, attachments }: Observation,
  log: ChatLog,
  say: Say,
): void {
  const had = new Set<number>();
  let cursor = attachments[0]?.afterSequence ?? 0;
  for (const { api, events, end } of attachments) {
    for (const { sequence, bytes } of events) {
      const where = `${observer} at ${api}: ${sequence} after ${cursor}`;
      if (sequence > cursor + 1) say('gap', where);
      else if (had.has(sequence)) say('repeat', where);
      else if (sequence <= cursor) say('reorder', where);
      had.add(sequence);
      cursor = Math.max(cursor, sequence);
      const known = log.events.get(sequence);
      if (known !== undefined && Buffer.compare(bytes, known.bytes) !== 0) {
        say('different-bytes', `${observer} at ${api}: event ${sequence}`);
      }
    }
    if (end === 'ok' && cursor !== log.end?.at.event.sequence) {
      say('ended-without-end', `${observer} at ${api}: OK after ${cursor}`);
    }
    if (end === 'CURSOR_BEYOND_END' || end === 'CURSOR_EXPIRED') {
      say('cursor-refused', `${observer} at ${api}: ${end} for ${cursor}`);
    }
    if (end === 'INTERNAL') say('internal-error', `${observer} at ${api}`);
    if (end === '') say('observer-stuck', `${observer} at ${api}: waits after ${cursor}`);
  }
}
