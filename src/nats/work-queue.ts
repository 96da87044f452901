// The queues of commands as workers and control loops take them, and the bell that wakes them.
import type { Msg, NatsConnection } from '@nats-io/transport-node';
import type { ChatKey } from '../chat/chat-key.ts';
import type { Command, ControlQueue, Delivery, WorkQueue } from '../chat/ports/commands.ts';
import { OWNER_QUESTION_MS, PRIORITY_LEVELS } from '../chat/limits.ts';
import { startAtLeader } from './command-inbox.ts';
import type { Exchange } from './exchange.ts';
import { bellHeaders, commandMetaIn, storeSequenceIn } from './headers.ts';
import type { Puller } from './pull.ts';
import { puller } from './pull.ts';
import {
  bellSubject,
  CONTROL_CONSUMER,
  CONTROL_VERBS,
  ownerSubject,
  parseCommandSubject,
  WORK_VERBS,
  workConsumer,
} from './subjects.ts';

const EMPTY = new Uint8Array(0);

/** `writes` pulls, acknowledges and asks; `live` hears the bell. */
export function natsWorkQueue(
  writes: Exchange,
  live: NatsConnection,
  onReconnect: (listener: () => void) => () => void,
): WorkQueue {
  const pullers = new Map<number, Puller>();
  return {
    receiveWork: (onDelivery) => {
      for (let priority = 0; priority < PRIORITY_LEVELS; priority++) {
        pullers.set(priority, puller(writes, workConsumer(priority), onDelivery));
      }
      return {
        pull: (priority, batch, linger) => {
          const found = pullers.get(priority);
          if (found === undefined) throw new Error(`There is no priority ${priority}.`);
          return found.pull(batch, linger);
        },
        stop: () => {
          for (const each of pullers.values()) each.close();
        },
      };
    },
    onWork: (listener) =>
      onBells(live, WORK_VERBS, (msg) => {
        listener(parseCommandSubject(msg.subject.slice('bell.'.length)).priority);
      }),
    startOf: (chat) => startAtLeader(writes, chat),
    ring: (chat, verb, priority) => {
      writes.send(bellSubject(chat, verb, priority), EMPTY);
    },
    onControl: (listener) => onControl(live, listener),
    onReconnect,
    askOwner: async (owner, chat, command) => {
      try {
        const question = JSON.stringify({ ...chat, command } satisfies OwnerQuestion);
        const answer = await writes.nc.request(ownerSubject(owner), question, {
          timeout: OWNER_QUESTION_MS,
        });
        return answer.string() === 'yes';
      } catch {
        // Nobody there, or too slow: the fence decides who is right (law 7).
        return false;
      }
    },
    answerAsOwner: (owner, holds) => {
      const subscription = live.subscribe(ownerSubject(owner), {
        callback: (error, msg) => {
          if (error !== null) return;
          const question = readQuestion(msg);
          if (question === undefined) return;
          const { tenant, streamId, command } = question;
          msg.respond(holds({ tenant, streamId }, command) ? 'yes' : 'no');
        },
      });
      return () => {
        if (!live.isClosed()) subscription.unsubscribe();
      };
    },
  };
}

function readQuestion(msg: Msg): OwnerQuestion | undefined {
  try {
    return msg.json<OwnerQuestion>();
  } catch {
    // Not a question of ours: unanswered, it counts as a no.
    return undefined;
  }
}

interface OwnerQuestion extends ChatKey {
  readonly command: number;
}

export function natsControlQueue(writes: Exchange, live: NatsConnection): ControlQueue {
  return {
    receiveControl: (onDelivery: (delivery: Delivery) => void) => {
      const control = puller(writes, CONTROL_CONSUMER, onDelivery);
      return { pull: control.pull, stop: control.close };
    },
    ring: (command) => {
      const { chat, verb, priority } = command;
      writes.send(bellSubject(chat, verb, priority), EMPTY, { headers: bellHeaders(command) });
    },
    onControl: (listener) => onControl(live, listener),
  };
}

function onControl(
  live: NatsConnection,
  listener: (command: Omit<Command, 'data'>) => void,
): () => void {
  return onBells(live, CONTROL_VERBS, (msg) => {
    if (msg.headers === undefined) return;
    listener({
      ...parseCommandSubject(msg.subject.slice('bell.'.length)),
      sequence: storeSequenceIn(msg.headers),
      meta: commandMetaIn(msg.headers),
    });
  });
}

function onBells(
  live: NatsConnection,
  verbs: readonly string[],
  listener: (msg: Msg) => void,
): () => void {
  const subscriptions = verbs.map((verb) =>
    live.subscribe(`bell.cmd.*.*.${verb}.*`, {
      callback: (error, msg) => {
        if (error !== null) return;
        try {
          listener(msg);
        } catch {
          // Not a command of ours. An error would end the connection; the queue itself is the truth.
        }
      },
    }),
  );
  return () => {
    if (live.isClosed()) return;
    for (const subscription of subscriptions) subscription.unsubscribe();
  };
}
