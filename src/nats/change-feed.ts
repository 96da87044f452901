// What the list is made of: the commands without their bodies, and the records that change a status.
import type { ConsumerMessages, JsMsg } from '@nats-io/jetstream';
import { DeliverPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import type { ChangeFeed, ChatChange, ListPosition } from '../chat/ports/chat-list.ts';
import { CHANGES_PULL_MS, CHANGES_SILENT_MS } from '../chat/limits.ts';
import type { Exchange } from './exchange.ts';
import { commandMetaIn, markIn } from './headers.ts';
import { lastAtLeader, nextAtLeader } from './leader.ts';
import { COMMANDS, EVENTS, parseCommandSubject, parseLogSubject } from './subjects.ts';
import { untilLeader } from './until-leader.ts';

/** What a list shows. */
const SHOWN_COMMANDS = ['cmd.*.*.start.*', 'cmd.*.*.delete.*'];
/** And that a chat was continued, which is only for the sweep. */
const FOLLOWED_COMMANDS = [...SHOWN_COMMANDS, 'cmd.*.*.continue.*'];
const STATUS_RECORDS = 'log.0.*.*.s';

/** `writes` asks the leader; `replays` carries the reading of what may be a long past. */
export function natsChangeFeed(
  writes: Exchange,
  replays: NatsConnection,
  confirmed: () => Promise<void>,
): ChangeFeed {
  return {
    storeId: () => untilLeader(() => storeId(replays)),
    follow: async (after, onChange) => {
      const followed = await Promise.all([
        followStream(replays, COMMANDS, FOLLOWED_COMMANDS, after.commands, true, (msg) => {
          onChange(ownOrForeign(msg, 'commands', commandChange));
        }),
        followStream(replays, EVENTS, [STATUS_RECORDS], after.events, false, (msg) => {
          onChange(ownOrForeign(msg, 'events', statusChange));
        }),
      ]);
      return {
        stop: async () => {
          await Promise.all(followed.map((stop) => stop()));
        },
      };
    },
    end: async () => {
      await confirmed();
      const [commands, events] = await Promise.all(
        [COMMANDS, EVENTS].map((stream) => lastAtLeader(writes, stream, '>')),
      );
      return { commands: commands?.sequence ?? 0, events: events?.sequence ?? 0 };
    },
    next: async (after) => {
      const first = async (stream: string, filters: readonly string[], seen: number) => {
        const found = await Promise.all(
          filters.map((filter) => nextAtLeader(writes, stream, filter, seen + 1)),
        );
        return Math.min(...found.map((each) => each?.sequence ?? Infinity));
      };
      const [commands, events] = await Promise.all([
        first(COMMANDS, SHOWN_COMMANDS, after.commands),
        first(EVENTS, [STATUS_RECORDS], after.events),
      ]);
      return { commands, events };
    },
  };
}

async function storeId(nc: NatsConnection): Promise<string> {
  const jsm = await jetstreamManager(nc, { checkAPI: false });
  const [commands, events] = await Promise.all([
    jsm.streams.info(COMMANDS),
    jsm.streams.info(EVENTS),
  ]);
  return `${commands.created}/${events.created}`;
}

/**
 * Hands over what is stored after a sequence, in order, until it is stopped. The client's consumer
 * lives on one server alone, and the client waits for that one as long as it is away, without a word
 * when it was connected to the same server. So where nothing was heard for a while, or the client gave
 * up, another is made that begins after what was seen.
 */
async function followStream(
  nc: NatsConnection,
  stream: string,
  filters: readonly string[],
  after: number,
  headersOnly: boolean,
  onMessage: (msg: JsMsg) => void,
): Promise<() => Promise<void>> {
  let seen = after;
  let stopped = false;
  let heardMs = performance.now();
  const heard = (): void => {
    heardMs = performance.now();
  };
  const consume = async (): Promise<ConsumerMessages> => {
    const consumer = await jetstream(nc).consumers.get(stream, {
      filter_subjects: [...filters],
      headers_only: headersOnly,
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: seen + 1,
    });
    heard();
    return consumer.consume({
      callback: (msg) => {
        heard();
        seen = msg.seq;
        onMessage(msg);
      },
      expires: CHANGES_PULL_MS,
    });
  };
  let messages = await untilLeader(consume);
  const supervise = async (): Promise<void> => {
    for (;;) {
      await untilLost(messages, heard, () => performance.now() - heardMs);
      if (stopped || nc.isClosed() || nc.isDraining()) return;
      messages = await untilLeader(
        () => (stopped ? Promise.resolve(messages) : consume()),
        Infinity,
      );
      if (stopped) await messages.close();
    }
  };
  // What NATS refuses for good, such as a stream that is gone, is told by every other call as well.
  const supervised = supervise().catch(() => undefined);
  return async () => {
    stopped = true;
    await messages.close();
    await supervised;
  };
}

/** Resolves when nothing more comes of this consumer; it is closed then. */
async function untilLost(
  messages: ConsumerMessages,
  heard: () => void,
  silentMs: () => number,
): Promise<void> {
  const watch = setInterval(() => {
    if (silentMs() > CHANGES_SILENT_MS) void messages.close();
  }, CHANGES_SILENT_MS / 4);
  const listen = async (): Promise<void> => {
    for await (const { type } of messages.status()) {
      // What the server says while there is nothing to hand over.
      if (type === 'heartbeat' || type === 'debug') heard();
    }
  };
  await Promise.race([listen(), messages.closed()]);
  clearInterval(watch);
  await messages.close();
}

/** Who pulls commands says in the log what is not ours; here it is only passed. */
function ownOrForeign(
  msg: JsMsg,
  place: keyof ListPosition,
  read: (msg: JsMsg) => ChatChange,
): ChatChange {
  try {
    return read(msg);
  } catch {
    return { kind: 'foreign', sequence: msg.seq, in: place };
  }
}

function commandChange(msg: JsMsg): ChatChange {
  const { chat, verb, priority } = parseCommandSubject(msg.subject);
  if (msg.headers === undefined) throw new Error(`The command ${msg.subject} has no headers.`);
  const command = { sequence: msg.seq, chat, meta: commandMetaIn(msg.headers) };
  if (verb === 'start') return { kind: 'start', ...command, priority };
  if (verb === 'cancel') throw new Error(`The command ${msg.subject} is not listed.`);
  return { kind: verb, ...command };
}

function statusChange(msg: JsMsg): ChatChange {
  const mark = msg.headers === undefined ? undefined : markIn(msg.headers);
  if (mark === undefined) throw new Error(`The record ${msg.subject} does not say its status.`);
  const chat = parseLogSubject(msg.subject);
  return { kind: 'status', sequence: msg.seq, chat, mark, data: msg.data };
}
