// A small steady load that remembers what it was promised: every start that was answered, every event
// that an observer saw. After a fault it says how long nothing came, and at the end what is missing.
import { setTimeout as sleep } from 'node:timers/promises';
import { create, toBinary } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { randomUUID } from 'node:crypto';
import { ChatRequestSchema } from '../../gen/tailrace/v1/chat_request_pb.ts';
import { Role } from '../../gen/tailrace/v1/content_pb.ts';
import { EventSchema } from '../../gen/tailrace/v1/event_pb.ts';
import type { ChatClient } from '../support/clients.ts';
import { grpcClient } from '../support/clients.ts';

const START_EVERY_MS = 200;
const TOKENS = 100;
const TOKEN_EVERY_MS = 60;
const AGAIN_MS = 50;
/** A chat that says nothing for longer was held up. */
const HELD_UP_MS = 300;
const GIVE_UP_MS = 120_000;

interface Chat {
  readonly streamId: string;
  readonly askedMs: number;
  ackedMs: number | undefined;
  /** Of each event seen, by its sequence. */
  readonly seen: string[];
  readonly seenMs: number[];
  ended: boolean;
  /** It was promised, and there is no such chat. */
  gone: boolean;
}

export interface Stall {
  /** From the fault until a start asked for after it was answered. */
  readonly startMs: number;
  /** From the fault until the last chat that it held up said more. */
  readonly goesOnMs: number;
  readonly heldUp: number;
  /** What clients were told meanwhile, by code. */
  readonly told: Readonly<Record<string, number>>;
}

export interface Survivors {
  /** Chats that run now. */
  readonly running: () => number;
  /** Resolves with what the fault did when every chat that ran at `faultMs` has said more. */
  readonly stallAfter: (faultMs: number) => Promise<Stall>;
  /** Ends the load, waits for the chats, and reads everything again. */
  readonly finish: () => Promise<Verdict>;
  readonly stop: () => void;
}

export interface Verdict {
  readonly acked: number;
  readonly events: number;
  readonly lostStarts: number;
  /** Seen by an observer, and not in the log any more, or other bytes. */
  readonly lostEvents: number;
  readonly unfinished: number;
}

export function startSurvivors(urls: readonly string[]): Survivors {
  const clients = urls.map((url) => grpcClient(url));
  const chats: Chat[] = [];
  const errors: { readonly atMs: number; readonly code: string }[] = [];
  const stopping = new AbortController();
  const observing = new Set<Promise<void>>();
  const enough = new AbortController();

  /** Asks one api, and the next where it fails, until it is answered. */
  const insist = async <T>(first: number, ask: (client: ChatClient) => Promise<T>): Promise<T> => {
    for (let i = first; ; i++) {
      const client = clients[i % clients.length];
      if (client === undefined) throw new Error('there is no api');
      try {
        return await ask(client);
      } catch (error) {
        const { code, message } = ConnectError.from(error);
        if (stopping.signal.aborted || code === Code.NotFound) throw error;
        if (code !== Code.Unavailable && code !== Code.Unknown && code !== Code.Internal) {
          if (!/socket|stream closed|refused|reset/i.test(message)) throw error;
        }
        errors.push({ atMs: performance.now(), code: Code[code] });
        await sleep(AGAIN_MS);
      }
    }
  };

  const live = async (chat: Chat, i: number): Promise<void> => {
    const text = JSON.stringify({ tokens: TOKENS, interval_ms: TOKEN_EVERY_MS });
    const request = create(ChatRequestSchema, {
      messages: [{ role: Role.USER, content: [{ block: { case: 'text', value: text } }] }],
    });
    const { streamId } = chat;
    await insist(i, (client) => client.initiateChatStream({ streamId, request }));
    chat.ackedMs = performance.now();
    await insist(i, (client) => observe(client, chat, stopping.signal));
  };

  const starter = async (): Promise<void> => {
    for (let i = 0; !enough.signal.aborted; i++) {
      const chat: Chat = {
        streamId: randomUUID(),
        askedMs: performance.now(),
        ackedMs: undefined,
        seen: [],
        seenMs: [],
        ended: false,
        gone: false,
      };
      chats.push(chat);
      const living = live(chat, i).catch((error: unknown) => {
        chat.gone = ConnectError.from(error).code === Code.NotFound;
      });
      observing.add(living);
      void living.then(() => observing.delete(living));
      await sleep(START_EVERY_MS);
    }
  };
  void starter();

  const runningAt = (atMs: number): Chat[] =>
    chats.filter(({ seenMs, ended }) => {
      const [first] = seenMs;
      const last = seenMs.at(-1);
      return first !== undefined && first < atMs && !(ended && (last ?? 0) < atMs);
    });

  return {
    running: () => runningAt(performance.now()).length,
    stallAfter: async (faultMs) => {
      const ran = runningAt(faultMs);
      const settled = (): boolean =>
        performance.now() > faultMs + 2 * HELD_UP_MS &&
        ran.every(
          ({ ended, gone, seenMs }) => ended || gone || (seenMs.at(-1) ?? 0) > faultMs + HELD_UP_MS,
        ) &&
        chats.some(({ askedMs, ackedMs }) => askedMs > faultMs && ackedMs !== undefined);
      const deadlineMs = faultMs + GIVE_UP_MS;
      while (!settled() && performance.now() < deadlineMs) await sleep(20);
      const answered = chats.flatMap(({ askedMs, ackedMs }) =>
        askedMs > faultMs && ackedMs !== undefined ? [ackedMs] : [],
      );
      const back = ran.map(({ seenMs }) => heldUpUntil(seenMs, faultMs)).filter((ms) => ms > 0);
      const told: Record<string, number> = {};
      for (const { atMs, code } of errors) {
        if (atMs >= faultMs) told[code] = (told[code] ?? 0) + 1;
      }
      return {
        startMs: Math.min(...answered) - faultMs,
        goesOnMs: Math.max(0, ...back),
        heldUp: back.length,
        told,
      };
    },
    finish: async () => {
      enough.abort();
      const late = sleep(GIVE_UP_MS, undefined, { ref: false }).then(() => stopping.abort());
      await Promise.race([Promise.all(observing), late]);
      const verdict = { acked: 0, events: 0, lostStarts: 0, lostEvents: 0, unfinished: 0 };
      for (const [i, chat] of chats.entries()) {
        if (chat.ackedMs === undefined) continue;
        verdict.acked++;
        verdict.events += chat.seen.length;
        if (!chat.ended && !chat.gone) verdict.unfinished++;
        const again = { ...chat, seen: [], seenMs: [] };
        const client = clients[i % clients.length];
        if (client === undefined) continue;
        const signal = AbortSignal.timeout(5_000);
        const found = await observe(client, again, signal).then(
          () => true,
          () => again.seen.length > 0,
        );
        if (!found) verdict.lostStarts++;
        verdict.lostEvents += chat.seen.filter((bytes, at) => again.seen[at] !== bytes).length;
      }
      return verdict;
    },
    stop: () => {
      enough.abort();
      stopping.abort();
    },
  };
}

/** Observes from where the chat's own record ends to its end. */
async function observe(client: ChatClient, chat: Chat, signal: AbortSignal): Promise<void> {
  const request = { streamId: chat.streamId, afterSequence: chat.seen.length };
  for await (const { frame } of client.observeChatStream(request, { signal })) {
    if (frame.case !== 'batch') continue;
    for (const event of frame.value.events) {
      chat.seen.push(Buffer.from(toBinary(EventSchema, event)).toString('base64'));
      chat.seenMs.push(performance.now());
    }
  }
  chat.ended = true;
}

/** When a chat that was held up by a fault said more, since the fault; 0: it was not. */
function heldUpUntil(seenMs: readonly number[], faultMs: number): number {
  const at = seenMs.findIndex((ms, i) => {
    const before = seenMs[i - 1];
    return (
      ms > faultMs &&
      before !== undefined &&
      before < faultMs + HELD_UP_MS &&
      ms - before > HELD_UP_MS
    );
  });
  return at === -1 ? 0 : (seenMs[at] ?? 0) - faultMs;
}
