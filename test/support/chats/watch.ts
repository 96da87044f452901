// Looking on: what workers log, what they send to NATS for a delivery, and what goes on at a log. The
// parts that are watched are the real ones.
import { inspect } from 'node:util';
import type { NatsConnection } from '@nats-io/transport-node';
import type { ChatKey } from '../../../src/chat/chat-key.ts';
import { keyOf } from '../../../src/chat/chat-key.ts';
import type { Delivery, WorkQueue } from '../../../src/chat/ports/commands.ts';
import type { Append, AppendOutcome, EventLog } from '../../../src/chat/ports/event-log.ts';
import type { Logger } from '../../../src/chat/ports/logger.ts';
import { tellIfItFails } from '../tell.ts';
import { HANGS_MS, until } from '../until.ts';

export interface Line {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface RecordingLogger extends Logger {
  readonly lines: readonly Line[];
  readonly said: (message: string) => boolean;
}

export function recordingLogger(onLine?: (line: Line) => void): RecordingLogger {
  const lines: Line[] = [];
  tellIfItFails('a log', () => lines.map((line) => inspect(line, { breakLength: Infinity })));
  const at =
    (level: Line['level']) =>
    (fields: object, message: string): void => {
      const line = { level, message, fields: { ...fields } };
      lines.push(line);
      onLine?.(line);
    };
  return {
    lines,
    said: (message) => lines.some((line) => line.message === message),
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
  };
}

/** What was sent for a delivery of a command. */
export interface Answer {
  readonly what: 'ack' | 'nak' | 'working';
  /** Which delivery of the command its token is of, from 1. */
  readonly delivery: number;
  /** The command's sequence. */
  readonly command: number;
  /** `performance.now()` when it was seen. */
  readonly atMs: number;
}

export interface Answers {
  readonly all: readonly Answer[];
  readonly next: (what: Answer['what']) => Promise<Answer>;
}

/** Every acknowledgement, hand-back and renewal that anybody sends from now on. */
export async function watchAnswers(nc: NatsConnection): Promise<Answers> {
  const all: Answer[] = [];
  nc.subscribe('$JS.ACK.COMMANDS.>', {
    callback: (error, msg) => {
      if (error !== null) return;
      const [, , , , delivery, command] = msg.subject.split('.');
      const said = msg.string();
      const what = said.startsWith('-NAK') ? 'nak' : said === '+WPI' ? 'working' : 'ack';
      all.push({
        what,
        delivery: Number(delivery),
        command: Number(command),
        atMs: performance.now(),
      });
    },
  });
  await nc.flush();
  let taken = 0;
  return {
    all,
    next: (what) =>
      until(
        `${what} to be sent`,
        () => {
          while (taken < all.length) {
            const answer = all[taken++];
            if (answer?.what === what) return answer;
          }
          return undefined;
        },
        HANGS_MS,
        () => all,
      ),
  };
}

export interface WatchedLog extends EventLog {
  /** Appends as they were tried, in order. */
  readonly appends: readonly (Append & { readonly chat: ChatKey; readonly expectedLast: number })[];
  /** The most appends of one chat that were under way at once. */
  readonly mostAtOnce: () => number;
  /** Until the returned function is called, appends wait before they are sent. */
  readonly hold: () => () => void;
}

/** The same log, looked at. `meddle` may change what an append's caller is told, or hold it. */
export function watchedLog(
  log: EventLog,
  meddle: (outcome: AppendOutcome, append: Append) => AppendOutcome | Promise<AppendOutcome> = (
    outcome,
  ) => outcome,
): WatchedLog {
  const appends: (Append & { chat: ChatKey; expectedLast: number })[] = [];
  const underWay = new Map<string, number>();
  let most = 0;
  let held: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined;
  return {
    ...log,
    appends,
    mostAtOnce: () => most,
    hold: () => {
      const own = Promise.withResolvers<void>();
      held = own;
      return () => {
        held = undefined;
        own.resolve();
      };
    },
    append: async (chat, expectedLast, append) => {
      const key = keyOf(chat);
      const now = (underWay.get(key) ?? 0) + 1;
      underWay.set(key, now);
      most = Math.max(most, now);
      appends.push({ ...append, chat, expectedLast });
      await held?.promise;
      const outcome = await meddle(await log.append(chat, expectedLast, append), append);
      underWay.set(key, (underWay.get(key) ?? 1) - 1);
      return outcome;
    },
  };
}

export interface WatchedQueue {
  readonly work: WorkQueue;
  /** Every delivery that came, in order. To nak one of them makes the command come again. */
  readonly deliveries: readonly Delivery[];
}

/** The same queue; the test sees what is handed out and may hand it back in the worker's place. */
export function watchedQueue(work: WorkQueue): WatchedQueue {
  const deliveries: Delivery[] = [];
  return {
    deliveries,
    work: {
      ...work,
      receiveWork: (onDelivery) =>
        work.receiveWork((delivery) => {
          deliveries.push(delivery);
          onDelivery(delivery);
        }),
    },
  };
}
