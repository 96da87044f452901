// Sending and asking over one connection, cheaply. All that is sent in one turn of the event loop
// leaves in one write, since a write costs more than the message in it; with nothing else to do that
// costs no delay. Answers come to one wildcard inbox and a table of deadlines: the client's own
// request makes several promises and an error object for each (7-hot-path, levers 1 and 3).
import type { MsgHdrs, NatsConnection } from '@nats-io/transport-node';
import { createInbox } from '@nats-io/transport-node';
import { ASK_AGAIN_MS } from '../chat/limits.ts';

export interface Answer {
  readonly data: Uint8Array;
  /** The server's own status, for example 503: nobody serves the subject. 0 for a plain answer. */
  readonly status: number;
}

export interface Exchange {
  readonly nc: NatsConnection;
  /** Sends with the others of this turn. Lost if the connection is closed before. */
  readonly send: (subject: string, data: Uint8Array, options?: SendOptions) => void;
  /** Rejects when no answer came in time, or when the connection was lost meanwhile. */
  readonly ask: (subject: string, data: Uint8Array, headers?: MsgHdrs) => Promise<Answer>;
  /**
   * As `ask`, for a question that may be put twice: it is, as long as no answer came, since nobody
   * answers during an election, nor what was sent over a connection that was lost; and as long as what
   * came is `notYet` the answer.
   */
  readonly askAgain: (
    subject: string,
    data: Uint8Array,
    notYet: (answer: Answer) => boolean,
  ) => Promise<Answer>;
  readonly close: () => void;
}

/** This process has closed its connection: whoever asked gets no answer any more. */
export class ConnectionClosed extends Error {
  constructor() {
    super('the connection to NATS is closed');
    this.name = 'ConnectionClosed';
  }
}

export interface SendOptions {
  readonly reply?: string;
  readonly headers?: MsgHdrs;
}

interface Waiting {
  readonly deadlineMs: number;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (cause: Error) => void;
  /** Puts the question once more. */
  readonly again: (() => void) | undefined;
  againMs: number;
  readonly notYet: ((answer: Answer) => boolean) | undefined;
  /** The newest answer that was not yet one: better than none when the time is over. */
  refusal: Answer | undefined;
}

const SWEEP_MS = 250;

export function openExchange(
  nc: NatsConnection,
  timeoutMs: number,
  onReconnect: (listener: () => void) => () => void,
): Exchange {
  const inbox = createInbox();
  const waiting = new Map<string, Waiting>();
  let outgoing: { subject: string; data: Uint8Array; options: SendOptions | undefined }[] = [];
  let counter = 0;
  let sweep: NodeJS.Timeout | undefined;
  let closed = false;

  const send: Exchange['send'] = (subject, data, options) => {
    outgoing.push({ subject, data, options });
    if (outgoing.length === 1) setImmediate(flush);
  };

  const flush = (): void => {
    const leaving = outgoing;
    outgoing = [];
    if (nc.isClosed() || nc.isDraining()) return;
    for (const { subject, data, options } of leaving) {
      try {
        nc.publish(subject, data, options);
      } catch (cause) {
        // Larger than NATS takes, or closed under our hands: that is for who asked; the others go on.
        refuse(options?.reply, cause);
      }
    }
  };

  const take = (token: string): Waiting | undefined => {
    const entry = waiting.get(token);
    waiting.delete(token);
    return entry;
  };

  const putAgain = (entry: Waiting, now: number): void => {
    entry.againMs = now + ASK_AGAIN_MS;
    entry.again?.();
  };

  const refuse = (reply: string | undefined, cause: unknown): void => {
    if (reply?.startsWith(`${inbox}.`) !== true) return;
    take(reply.slice(inbox.length + 1))?.reject(new Error('NATS cannot be sent this', { cause }));
  };

  const subscription = nc.subscribe(`${inbox}.*`, {
    callback: (error, msg) => {
      const token = msg.subject.slice(inbox.length + 1);
      if (error !== null) return take(token)?.reject(error);
      const answer = { data: msg.data, status: msg.headers?.code ?? 0 };
      if (!isNotYet(token, answer)) take(token)?.resolve(answer);
    },
  });

  const isNotYet = (token: string, answer: Answer): boolean => {
    const entry = waiting.get(token);
    if (entry?.notYet?.(answer) !== true) return false;
    entry.refusal = answer;
    entry.againMs = performance.now() + SWEEP_MS;
    return true;
  };

  const sweepLate = (): void => {
    const now = performance.now();
    for (const [token, entry] of waiting) {
      if (entry.deadlineMs <= now) {
        waiting.delete(token);
        if (entry.refusal !== undefined) entry.resolve(entry.refusal);
        else entry.reject(new Error(`NATS did not answer within ${timeoutMs} ms`));
      } else if (entry.againMs <= now) {
        putAgain(entry, now);
      }
    }
    if (waiting.size > 0) return;
    clearInterval(sweep);
    sweep = undefined;
  };

  const rejectAll = (cause: Error): void => {
    for (const token of waiting.keys()) take(token)?.reject(cause);
  };
  // What was in flight may or may not have arrived: that is settled now, not after its timeout.
  const stopReconnect = onReconnect(() => {
    const now = performance.now();
    for (const [token, entry] of waiting) {
      if (entry.again !== undefined) putAgain(entry, now);
      else take(token)?.reject(new Error('the connection to NATS was lost and came back'));
    }
  });

  const question = (
    subject: string,
    data: Uint8Array,
    headers: MsgHdrs | undefined,
    notYet: ((answer: Answer) => boolean) | undefined,
  ): Promise<Answer> =>
    new Promise((resolve, reject) => {
      // Nobody would answer, nor sweep what is late.
      if (closed) return reject(new ConnectionClosed());
      const token = (counter++).toString(36);
      const reply = `${inbox}.${token}`;
      const put = (): void =>
        send(subject, data, headers === undefined ? { reply } : { reply, headers });
      const now = performance.now();
      waiting.set(token, {
        deadlineMs: now + timeoutMs,
        resolve,
        reject,
        again: notYet === undefined ? undefined : put,
        againMs: notYet === undefined ? Infinity : now + ASK_AGAIN_MS,
        notYet,
        refusal: undefined,
      });
      sweep ??= setInterval(sweepLate, SWEEP_MS).unref();
      put();
    });

  return {
    nc,
    send,
    ask: (subject, data, headers) => question(subject, data, headers, undefined),
    askAgain: (subject, data, notYet) => question(subject, data, undefined, notYet),
    close: () => {
      closed = true;
      flush();
      clearInterval(sweep);
      stopReconnect();
      rejectAll(new ConnectionClosed());
      if (!nc.isClosed()) subscription.unsubscribe();
    },
  };
}
