// Removing what a deleted chat leaves behind. The newest message under the filter is never removed: a
// purge of all would set the fence back to 0.
import { ChatError } from '../chat/errors.ts';
import type { Exchange } from './exchange.ts';
import { logUnavailable } from './leader.ts';
import { asText } from './publish-fenced.ts';

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
  let answer: PurgeAnswer;
  try {
    const order = Buffer.from(JSON.stringify({ filter, seq: sequence }));
    const { data, status } = await exchange.ask(`$JS.API.STREAM.PURGE.${stream}`, order);
    if (data.length === 0) throw new Error(`NATS answered ${status}`);
    answer = JSON.parse(asText(data)) as PurgeAnswer;
  } catch (cause) {
    throw logUnavailable(cause);
  }
  if (answer.success !== true) {
    throw logUnavailable(new Error(answer.error?.description ?? 'the purge was not carried out'));
  }
}
