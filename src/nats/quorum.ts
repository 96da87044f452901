// A leader that is cut off from the others goes on answering reads for some seconds, and does not know
// that another was elected. What only a majority can carry out tells the two apart.
import { askLeader, logUnavailable } from './ask-leader.ts';
import type { Exchange } from './exchange.ts';
import { COMMANDS, EVENTS } from './subjects.ts';

/** No message has this sequence: its removal goes through the stream's raft log and changes nothing. */
const REMOVE_NOTHING = { seq: Number.MAX_SAFE_INTEGER, no_erase: true };
const NOTHING_REMOVED = 10057;

/** As CommandInbox.confirmLeaders. Calls of one turn of the event loop share one question. */
export function confirmLeaders(exchange: Exchange, replicas: number): () => Promise<void> {
  // A single server is its own majority.
  if (replicas === 1) return () => Promise.resolve();
  let asking: Promise<void> | undefined;
  const ask = async (): Promise<void> => {
    await new Promise((resolve) => setImmediate(resolve));
    asking = undefined;
    await Promise.all([COMMANDS, EVENTS].map((stream) => confirmLeader(exchange, stream)));
  };
  return () => (asking ??= ask());
}

interface RemoveAnswer {
  readonly error?: { readonly err_code?: number; readonly description?: string };
}

async function confirmLeader(exchange: Exchange, stream: string): Promise<void> {
  const verb = `STREAM.MSG.DELETE.${stream}`;
  const { error } = await askLeader<RemoveAnswer>(exchange, verb, REMOVE_NOTHING);
  if (error?.err_code !== NOTHING_REMOVED) {
    throw logUnavailable(new Error(`NATS answered ${error?.description ?? 'nothing'}`));
  }
}
