// Removing what a deleted chat leaves behind. The newest message under the filter is never removed: a
// purge of all would set the fence back to 0.
import { ChatError } from '../chat/errors.ts';
import { askLeader, logUnavailable } from './ask-leader.ts';
import type { Exchange } from './exchange.ts';

interface PurgeAnswer {
  readonly success?: boolean;
  readonly error?: { readonly description?: string };
}

/** Removes the messages under a filter before a sequence; the one that has it stays. */
export async function purgeBefore(
  exchange: Exchange,
  stream: string,
  filter: string,
  sequence: number,
): Promise<void> {
  // 0 and 1 would mean no bound to the server, or nothing.
  if (sequence <= 1) throw new ChatError('INTERNAL', 'A purge needs a sequence to end before.');
  const verb = `STREAM.PURGE.${stream}`;
  // Put twice it finds nothing more to remove.
  const answer = await askLeader<PurgeAnswer>(exchange, verb, { filter, seq: sequence });
  if (answer.success !== true) {
    throw logUnavailable(new Error(answer.error?.description ?? 'the purge was not carried out'));
  }
}
