// What the list is made of: the commands without their bodies, and the records that change a status.
import type { JsMsg } from '@nats-io/jetstream';
import { DeliverPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import type { ChangeFeed, ChatChange } from '../chat/chat-list.ts';
import type { Exchange } from './exchange.ts';
import { commandMetaIn, markIn } from './headers.ts';
import { lastAtLeader } from './leader.ts';
import {
  COMMANDS,
  EVENTS,
  parseCommandSubject,
  parseLogSubject,
  subjectToken,
} from './subjects.ts';

const LISTED_VERBS = ['start', 'delete'] as const;

/** `writes` asks the leader; `replays` carries the reading of what may be a long past. */
export function natsChangeFeed(writes: Exchange, replays: NatsConnection): ChangeFeed {
  return {
    storeId: async () => {
      const jsm = await jetstreamManager(replays, { checkAPI: false });
      const [commands, events] = await Promise.all([
        jsm.streams.info(COMMANDS),
        jsm.streams.info(EVENTS),
      ]);
      return `${commands.created}/${events.created}`;
    },
    follow: async (after, onChange) => {
      const followed = await Promise.all([
        consume(replays, COMMANDS, commandFilters('*'), after.commands, true, (msg) => {
          onChange(commandChange(msg));
        }),
        consume(replays, EVENTS, [STATUS_RECORDS], after.events, false, (msg) => {
          const change = statusChange(msg);
          if (change !== undefined) onChange(change);
        }),
      ]);
      return {
        stop: async () => {
          await Promise.all(followed.map((each) => each.close()));
        },
      };
    },
    newest: async (tenant) => {
      const [events, ...commands] = await Promise.all([
        lastAtLeader(writes, EVENTS, `log.0.${subjectToken(tenant)}.*.s`),
        ...commandFilters(subjectToken(tenant)).map((filter) =>
          lastAtLeader(writes, COMMANDS, filter),
        ),
      ]);
      return {
        events: events?.sequence ?? 0,
        commands: Math.max(...commands.map((each) => each?.sequence ?? 0)),
      };
    },
  };
}

const STATUS_RECORDS = 'log.0.*.*.s';

function commandFilters(tenant: string): string[] {
  return LISTED_VERBS.map((verb) => `cmd.${tenant}.*.${verb}.*`);
}

async function consume(
  nc: NatsConnection,
  stream: string,
  filters: readonly string[],
  after: number,
  headersOnly: boolean,
  onMessage: (msg: JsMsg) => void,
): Promise<{ readonly close: () => Promise<unknown> }> {
  const js = jetstream(nc);
  const consumer = await js.consumers.get(stream, {
    filter_subjects: [...filters],
    headers_only: headersOnly,
    deliver_policy: DeliverPolicy.StartSequence,
    opt_start_seq: after + 1,
  });
  return consumer.consume({ callback: onMessage });
}

function commandChange(msg: JsMsg): ChatChange {
  const { chat, verb, priority } = parseCommandSubject(msg.subject);
  if (msg.headers === undefined) throw new Error(`The command ${msg.subject} has no headers.`);
  const kind = verb === 'delete' ? 'delete' : 'start';
  return { kind, sequence: msg.seq, chat, priority, meta: commandMetaIn(msg.headers) };
}

function statusChange(msg: JsMsg): ChatChange | undefined {
  const mark = msg.headers === undefined ? undefined : markIn(msg.headers);
  if (mark === undefined) return undefined;
  const chat = parseLogSubject(msg.subject);
  return { kind: 'status', sequence: msg.seq, chat, mark, data: msg.data };
}
