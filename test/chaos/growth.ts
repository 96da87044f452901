// Whether something grew over time: the middle of the last third of the samples against the middle of
// the second, for the first is warm-up. Pure.

export interface Sample {
  /** Begun and over so far: they are stored, and the list knows them. */
  readonly chats: number;
  readonly memoryMib: Readonly<Record<string, number>>;
  /** Open files and sockets. */
  readonly handles: Readonly<Record<string, number>>;
  readonly subscriptions: number;
  readonly consumers: number;
}

export interface Growth {
  readonly within: boolean;
  readonly lines: readonly string[];
}

/** Over the whole soak, whatever is stored. */
const MEMORY_MIB = 24;
/** What may grow with each stored chat: a row in the list of an api; subjects and indexes in NATS. */
const API_BYTES_PER_CHAT = 2 * 1024;
const NATS_BYTES_PER_CHAT = 12 * 1024;
const HANDLES = 20;
/** Both move with the chats that are observed at the moment. */
const SUBSCRIPTIONS = 60;
const CONSUMERS = 2;
const BYTES_PER_MIB = 1024 * 1024;

export function growthOf(samples: readonly Sample[]): Growth {
  const third = Math.floor(samples.length / 3);
  if (third === 0) return { within: false, lines: ['too few samples to compare'] };
  const before = samples.slice(third, 2 * third);
  const after = samples.slice(-third);
  const grown = (of: (sample: Sample) => number): number =>
    median(after.map(of)) - median(before.map(of));
  const chats = grown((sample) => sample.chats);
  const lines: string[] = [];
  let within = true;
  const judge = (what: string, by: number, bound: number): void => {
    const ok = by <= bound;
    within &&= ok;
    lines.push(`${ok ? 'ok  ' : 'FAIL'}  ${what}: ${by.toFixed(1)}, bound ${bound.toFixed(1)}`);
  };
  for (const name of Object.keys(samples[0]?.memoryMib ?? {})) {
    const perChat = name.startsWith('api')
      ? API_BYTES_PER_CHAT
      : name.startsWith('nats')
        ? NATS_BYTES_PER_CHAT
        : 0;
    const bound = MEMORY_MIB + (perChat * chats) / BYTES_PER_MIB;
    judge(
      `${name}, MiB over ${chats} chats`,
      grown((s) => s.memoryMib[name] ?? 0),
      bound,
    );
    judge(
      `${name}, handles`,
      grown((s) => s.handles[name] ?? 0),
      HANDLES,
    );
  }
  judge(
    'NATS subscriptions',
    grown((s) => s.subscriptions),
    SUBSCRIPTIONS,
  );
  judge(
    'NATS consumers',
    grown((s) => s.consumers),
    CONSUMERS,
  );
  return { within, lines };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}
