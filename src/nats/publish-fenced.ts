// The one way in: every write to COMMANDS and EVENTS is a conditional publish under a fence. Raw
// requests with one wildcard inbox for all acknowledgements and a table of deadlines, because the
// JetStream client costs several times as much for each token (7-hot-path, lever 1).
import type { MsgHdrs, NatsConnection } from '@nats-io/transport-node';
import { createInbox } from '@nats-io/transport-node';
import type { AppendOutcome } from '../chat/event-log.ts';

const WRONG_LAST_SEQUENCE = 10071;
const WRONG_LAST_SEQUENCE_CONSTANT = 10164;
/** Store or stream limits reached: maximum messages, bytes, or the disk. */
const STORE_FULL: ReadonlySet<number> = new Set([10077, 10047, 10023, 10025]);
const SWEEP_MS = 250;

export interface FencedPublisher {
  readonly publish: (subject: string, data: Uint8Array, headers: MsgHdrs) => Promise<AppendOutcome>;
  /** Settles everything in flight as doubt, for example when the connection came back. */
  readonly doubtAll: (cause: unknown) => void;
  readonly close: () => void;
}

interface Waiting {
  readonly deadlineMs: number;
  readonly resolve: (outcome: AppendOutcome) => void;
}

interface PubAck {
  readonly seq?: number;
  readonly error?: { readonly err_code?: number; readonly description?: string };
}

export function fencedPublisher(nc: NatsConnection, timeoutMs: number): FencedPublisher {
  const inbox = createInbox();
  const waiting = new Map<string, Waiting>();
  let counter = 0;
  let sweep: NodeJS.Timeout | undefined;

  const settle = (token: string, outcome: AppendOutcome): void => {
    const entry = waiting.get(token);
    if (entry === undefined) return;
    waiting.delete(token);
    entry.resolve(outcome);
  };

  const subscription = nc.subscribe(`${inbox}.*`, {
    callback: (error, msg) => {
      const token = msg.subject.slice(inbox.length + 1);
      settle(token, error === null ? readAck(msg.data, msg.headers) : doubt(error));
    },
  });

  const sweepLate = (): void => {
    const now = performance.now();
    for (const [token, entry] of waiting) {
      if (entry.deadlineMs > now) break; // the same timeout for all: the map is in order
      settle(token, doubt(new Error(`NATS did not answer within ${timeoutMs} ms`)));
    }
    if (waiting.size === 0) {
      clearInterval(sweep);
      sweep = undefined;
    }
  };

  return {
    publish: (subject, data, headers) =>
      new Promise((resolve) => {
        const token = (counter++).toString(36);
        waiting.set(token, { deadlineMs: performance.now() + timeoutMs, resolve });
        sweep ??= setInterval(sweepLate, SWEEP_MS).unref();
        try {
          nc.publish(subject, data, { headers, reply: `${inbox}.${token}` });
        } catch (error) {
          settle(token, doubt(error));
        }
      }),
    doubtAll: (cause) => {
      for (const token of waiting.keys()) settle(token, doubt(cause));
    },
    close: () => {
      clearInterval(sweep);
      subscription.unsubscribe();
      for (const token of waiting.keys()) settle(token, doubt(new Error('closed')));
    },
  };
}

function readAck(data: Uint8Array, headers: MsgHdrs | undefined): AppendOutcome {
  // An empty answer with a status is the server's own: 503, nobody serves the stream now.
  if (data.length === 0) return doubt(new Error(`NATS answered ${headers?.code ?? 'nothing'}`));
  const ack = JSON.parse(
    Buffer.from(data.buffer, data.byteOffset, data.length).toString(),
  ) as PubAck;
  if (ack.error !== undefined) {
    const code = ack.error.err_code ?? 0;
    const cause = new Error(`NATS refused the write: ${ack.error.description ?? ''} (${code})`);
    if (code === WRONG_LAST_SEQUENCE) return { type: 'refused' };
    if (code === WRONG_LAST_SEQUENCE_CONSTANT) return { type: 'doubt', cause };
    if (STORE_FULL.has(code)) return { type: 'full', cause };
    return { type: 'doubt', cause };
  }
  if (ack.seq === undefined) return doubt(new Error('NATS answered without a sequence'));
  return { type: 'stored', storeSequence: ack.seq };
}

function doubt(cause: unknown): AppendOutcome {
  return { type: 'doubt', cause };
}
