// What this process wrote to one stream and has not seen there yet: each write until a look at the stream shows its
// sequence. So none is counted twice, also where its answer and that of the look overtake each other.
import { MAX_UNSEEN_WRITES } from '../chat/limits.ts';

export interface UnseenWrites {
  readonly bytes: () => number;
  readonly wrote: (sequence: number, bytes: number) => void;
  /** The stream's last sequence, as the newest look has it. */
  readonly looked: (lastSequence: number) => void;
}

interface Write {
  readonly sequence: number;
  readonly bytes: number;
}

export function unseenWrites(): UnseenWrites {
  let seen = 0;
  let unseen: Write[] = [];
  let total = 0;
  return {
    bytes: () => total,
    wrote: (sequence, bytes) => {
      if (sequence <= seen) return;
      total += bytes;
      // While no look is answered the newest are counted as one.
      const last = unseen.length < MAX_UNSEEN_WRITES ? undefined : unseen.pop();
      unseen.push({
        sequence: Math.max(sequence, last?.sequence ?? 0),
        bytes: bytes + (last?.bytes ?? 0),
      });
    },
    looked: (lastSequence) => {
      seen = lastSequence;
      unseen = unseen.filter(({ sequence }) => sequence > seen);
      total = unseen.reduce((sum, { bytes }) => sum + bytes, 0);
    },
  };
}
