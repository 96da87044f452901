// How full the store is. What bounds it is looked at each second, what this process wrote since is
// added: a burst cannot run past the mark between two looks. Each change is logged once.
import type { AppendOutcome } from '../chat/ports/event-log.ts';
import { STORE_LOOK_EVERY_MS } from '../chat/limits.ts';
import type { Logger } from '../chat/ports/logger.ts';
import type { Fullness, StoreBound, StoreRoom } from '../chat/log/store-room.ts';
import { fullnessOf, reserveBytes } from '../chat/log/store-room.ts';
import type { Exchange } from './exchange.ts';
import { asText } from './publish-fenced.ts';
import { COMMANDS, EVENTS } from './subjects.ts';

export interface StoreLimits {
  /** What Tailrace may use of the store; undefined: what NATS and the disk give. */
  readonly maxBytes: number | undefined;
  /** Free bytes of the disk that the store lies on, where that is known. */
  readonly diskFreeBytes: (() => Promise<number>) | undefined;
}

export interface StoreGauge extends StoreRoom {
  readonly stop: () => void;
}

export async function openStoreGauge(
  writes: Exchange,
  limits: StoreLimits,
  replicas: number,
  logger: Logger,
): Promise<StoreGauge> {
  let bounds: readonly StoreBound[] = [];
  /** Written since `bounds` were asked for. */
  let addedBytes = 0;
  let fullness: Fullness = 'room';
  let refusing = false;
  /** The largest start that was refused since there was room: it must fit before there is room again. */
  let wantedBytes = 0;

  const look = async (): Promise<void> => {
    const before = addedBytes;
    try {
      bounds = await readBounds(writes, limits, replicas);
      addedBytes -= before;
    } catch {
      // NATS is away or slow, which every call tells of; what was known stands.
      return;
    }
    judge();
  };

  const judge = (): void => {
    const found = fullnessOf(bounds, addedBytes, fullness);
    if (found.fullness === 'room' && fullness !== 'room') {
      const wanted = fullnessOf(bounds, addedBytes + wantedBytes, fullness);
      if (wanted.fullness !== 'room') return enter('no-starts', wanted.bound);
      wantedBytes = 0;
    }
    enter(found.fullness, found.bound);
  };

  const enter = (now: Fullness, bound: StoreBound | undefined): void => {
    if (now === fullness) return;
    tellChange(logger, fullness, now, bound);
    fullness = now;
  };

  const timer = setInterval(() => void look(), STORE_LOOK_EVERY_MS).unref();
  await look();

  return {
    forStart: (bytes) => {
      const { bound } = fullnessOf(bounds, addedBytes + bytes, fullness);
      if (bound === undefined) return undefined;
      wantedBytes = Math.max(wantedBytes, bytes);
      if (fullness === 'room') enter('no-starts', bound);
      return inWords(bound);
    },
    forAnswers: () => {
      if (fullness !== 'no-answers') return undefined;
      const { bound } = fullnessOf(bounds, addedBytes, fullness);
      return bound === undefined ? undefined : inWords(bound);
    },
    wrote: (bytes, outcome) => {
      const changed = tellRefusal(logger, refusing, outcome);
      if (changed !== undefined) refusing = changed;
      if (outcome.type !== 'stored') return;
      addedBytes += bytes;
      judge();
    },
    stop: () => clearInterval(timer),
  };
}

interface StreamInfo {
  readonly config: { readonly max_bytes?: number };
  readonly state: { readonly bytes: number };
}

interface Usage {
  readonly storage: number;
  readonly limits: { readonly max_storage: number };
}

interface AccountInfo extends Partial<Usage> {
  readonly tiers?: Readonly<Record<string, Usage>>;
}

async function readBounds(
  writes: Exchange,
  limits: StoreLimits,
  replicas: number,
): Promise<readonly StoreBound[]> {
  const [commands, events, account, freeBytes] = await Promise.all([
    ask<StreamInfo>(writes, `STREAM.INFO.${COMMANDS}`),
    ask<StreamInfo>(writes, `STREAM.INFO.${EVENTS}`),
    ask<AccountInfo>(writes, 'INFO'),
    limits.diskFreeBytes?.(),
  ]);
  const usedBytes = commands.state.bytes + events.state.bytes;
  const bounds: StoreBound[] = [];
  const add = (what: string, limitBytes: number | undefined, usedBytes: number, copies = 1) => {
    // NATS says −1, or nothing, where there is no limit.
    if (limitBytes !== undefined && limitBytes > 0)
      bounds.push({ what, limitBytes, usedBytes, copies });
  };
  add('max_bytes of the NATS stream COMMANDS', commands.config.max_bytes, commands.state.bytes);
  add('max_bytes of the NATS stream EVENTS', events.config.max_bytes, events.state.bytes);
  add('TAILRACE_STORE_MAX_BYTES', limits.maxBytes, usedBytes);
  if (freeBytes !== undefined) {
    add('the disk that the store lies on', usedBytes + freeBytes, usedBytes);
  }
  add(
    'the storage of the NATS account',
    account.limits?.max_storage,
    account.storage ?? 0,
    replicas,
  );
  const tier = account.tiers?.[`R${replicas}`];
  add(
    `the storage of the NATS account’s tier R${replicas}`,
    tier?.limits.max_storage,
    tier?.storage ?? 0,
  );
  return bounds;
}

async function ask<T>(writes: Exchange, what: string): Promise<T> {
  const { data, status } = await writes.ask(`$JS.API.${what}`, NOTHING);
  if (data.length === 0) throw new Error(`NATS answered ${status}`);
  const answer = JSON.parse(asText(data)) as T & {
    readonly error?: { readonly description: string };
  };
  if (answer.error !== undefined) throw new Error(answer.error.description);
  return answer;
}

const NOTHING = new Uint8Array(0);

function inWords(bound: StoreBound): string {
  const used = `${bound.usedBytes} of ${bound.limitBytes} bytes are used`;
  return `${bound.what}: ${used}, and ${Math.round(reserveBytes(bound.limitBytes))} are kept for ends, cancels and deletes`;
}

const RANK: Readonly<Record<Fullness, number>> = { room: 0, 'no-starts': 1, 'no-answers': 2 };

function tellChange(
  logger: Logger,
  before: Fullness,
  now: Fullness,
  bound: StoreBound | undefined,
): void {
  const fields = bound === undefined ? {} : { full: inWords(bound) };
  switch (now) {
    case 'room':
      logger.info(fields, 'the store has room again: new chats are taken');
      return;
    case 'no-starts':
      if (RANK[before] > RANK[now]) {
        logger.warn(fields, 'answers are stored again; new chats are still refused');
        return;
      }
      logger.warn(
        fields,
        'the store is nearly full: new chats are refused, those that are there go on; delete chats or give it room',
      );
      return;
    case 'no-answers':
      logger.error(
        fields,
        'the store is full but for its reserve: the answers of running chats wait, and after 30 s their chats are handed back; ends, cancels and deletes are stored. Delete chats or give it room',
      );
  }
}

/** Whether NATS refuses now, where this outcome changes that. */
function tellRefusal(
  logger: Logger,
  refusing: boolean,
  outcome: AppendOutcome,
): boolean | undefined {
  if (outcome.type === 'full' && !refusing) {
    logger.error(
      { err: outcome.cause },
      'NATS refuses to store: it is full, and nothing can be stored until it has room; nothing that is stored is lost',
    );
    return true;
  }
  if (outcome.type === 'stored' && refusing) {
    logger.info({}, 'NATS stores again');
    return false;
  }
  return undefined;
}
