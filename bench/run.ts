// `npm run bench`: a table and a JSON file. `npm run bench -- tokens replay` runs only these.
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { readFindings } from '../src/main/findings.ts';
import { acceptanceCost } from './acceptance.ts';
import { http2Echo, modelDirect, natsPublish } from './calibration.ts';
import { cancelRunning } from './cancel.ts';
import { fanOut } from './fan-out.ts';
import { idleObservers } from './idle.ts';
import { listMany } from './list.ts';
import type { Load } from './load.ts';
import { connectJsonLoad, grpcLoad } from './load.ts';
import type { TokenFigures } from './measures.ts';
import { firstToken, initiateAlone, initiateParallel, replay, tokens } from './measures.ts';
import {
  memoryMibOf,
  natsServerOf,
  startModelServerProcess,
  startTailraceProcess,
} from './processes.ts';
import type { Summary } from './stats.ts';
import { tagCost } from './think-tags.ts';

interface Row {
  readonly what: string;
  readonly figures: string;
  readonly bar: string;
}

const only = new Set(process.argv.slice(2));
const wanted = (name: string): boolean => only.size === 0 || only.has(name);
const rows: Row[] = [];
const results: Record<string, unknown> = {};

function report(name: string, what: string, figures: string, bar: string, data: unknown): void {
  rows.push({ what, figures, bar });
  results[name] = data;
  process.stdout.write(`${what.padEnd(44)} ${figures.padEnd(52)} ${bar}\n`);
}

const ms = (s: Summary): string =>
  `p50 ${s.p50.toFixed(2)}  p99 ${s.p99.toFixed(2)}  max ${s.max.toFixed(1)} ms`;

function reportTokens(name: string, what: string, bar: string, f: TokenFigures): void {
  const cpu = `${f.cpuPer10k.toFixed(2)}+${f.natsCpuPer10k.toFixed(2)} CPU s/10k`;
  report(name, what, `${ms(f.latency)}  ${f.perSecond.toFixed(0)}/s  ${cpu}`, bar, f);
}

const model = await startModelServerProcess();
const tailrace = await startTailraceProcess(model.url);
const grpc = grpcLoad(tailrace.url);
const json = connectJsonLoad(tailrace.url);
const findings = readFindings();

try {
  process.stdout.write(
    `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}, Node ${process.version}\n\n`,
  );
  if (wanted('calibration')) await calibrate();
  if (wanted('tags')) tags();
  if (wanted('acceptance')) await acceptance();
  report(
    'ready',
    'ready to serve',
    `${tailrace.readyMs.toFixed(0)} ms`,
    '≤ 1500',
    tailrace.readyMs,
  );
  await measureAll('gRPC', grpc);
  await measureAll('Connect JSON', json);
  if (wanted('fan-out')) await thousandObservers();
  if (wanted('ceiling')) await ceiling();
  if (wanted('cancel')) await cancels();
  if (wanted('idle')) await idle();
  if (wanted('list')) await list();
  const nats = natsServerOf(tailrace.pid);
  const memory = {
    program: memoryMibOf(tailrace.pid),
    natsServer: nats === undefined ? 0 : memoryMibOf(nats),
  };
  const both = `${memory.program.toFixed(0)} MiB + nats-server ${memory.natsServer.toFixed(0)} MiB`;
  report('memory', 'memory after all of this', both, '', memory);
  const file = new URL(
    `results/${new Date().toISOString().replaceAll(':', '-')}.json`,
    import.meta.url,
  );
  await mkdir(new URL('results/', import.meta.url), { recursive: true });
  await writeFile(file, `${JSON.stringify(results, undefined, 2)}\n`);
} finally {
  grpc.close();
  json.close();
  await tailrace[Symbol.asyncDispose]();
  await model[Symbol.asyncDispose]();
}

async function thousandObservers(): Promise<void> {
  for (const connections of [4, 1_000]) {
    const shape = { observers: 1_000, connections, tokens: 500, intervalMs: 20 };
    const f = await fanOut(grpc, tailrace.url, tailrace.pid, shape);
    const cpu = `${f.cpuPer10k.toFixed(2)}+${f.natsCpuPer10k.toFixed(3)} CPU s/10k`;
    const client = `all attached in ${f.attachMs.toFixed(0)} ms, client ${f.cpuSeconds.toFixed(1)} CPU s`;
    report(
      `observers1000by${connections}`,
      `gRPC: 1,000 observers, ${connections} connections`,
      `${ms(f.latency)}  ${cpu}  ${client}`,
      connections === 4 ? 'p99 ≤ 20' : '',
      f,
    );
  }
}

async function cancels(): Promise<void> {
  for (const others of [0, 50]) {
    const f = await cancelRunning(300, others);
    const what = others === 0 ? 'cancel, alone' : `cancel, ${others} chats run`;
    const name = `cancel${others}`;
    const bar = 'p99 ≤ 100';
    report(
      `${name}Closed`,
      `${what}: upstream closed`,
      ms(f.upstreamClosed),
      bar,
      f.upstreamClosed,
    );
    report(`${name}Seen`, `${what}: cancelled at an observer`, ms(f.observed), '', f.observed);
    report(`${name}Answered`, `${what}: answered`, ms(f.answered), '', f.answered);
  }
}

async function idle(): Promise<void> {
  for (const f of await idleObservers(1_000)) {
    const figures = `${f.heapKib.toFixed(1)} KiB each; resident ${f.residentKib.toFixed(1)} KiB`;
    report(`idle: ${f.what}`, `1,000 idle: ${f.what}`, figures, '≤ 25 KiB', f);
  }
}

async function list(): Promise<void> {
  if (findings.natsServer === undefined) return;
  const f = await listMany(findings.natsServer, model.url, 100_000);
  for (const page of f.pages) {
    const figures = `${ms(page.ms)}  ${page.chats} chats`;
    report(`list: ${page.what}`, `100,000 chats: ${page.what}`, figures, '≤ 50 ms', page);
  }
  const built = `${f.buildSeconds.toFixed(1)} s, ${f.fileMib.toFixed(0)} MiB`;
  report('listBuilt', '100,000 chats: view built into a file', built, '', f);
  const ready = `${(f.readyMs / 1_000).toFixed(1)} s, ${f.programMib.toFixed(0)} MiB + nats-server ${f.natsServerMib.toFixed(0)} MiB`;
  report('listReady', '100,000 chats: api start to first page', ready, '', f.readyMs);
}

async function calibrate(): Promise<void> {
  const echo = await http2Echo(2_000);
  report('http2Echo', 'calibration: raw http2 echo', ms(echo), '', echo);
  if (findings.natsServer !== undefined) {
    const publish = await natsPublish(findings.natsServer, 3_000);
    report('natsPublish', 'calibration: raw conditional publish', ms(publish), '', publish);
  }
  const direct = await modelDirect(model.url, 200, 20);
  report('modelDirect', 'calibration: token, model server directly', ms(direct), '', direct);
}

function tags(): void {
  const f = tagCost();
  const [event, thinking, text] = [f.eventUs, f.thinkingUs, f.textUs].map((us) => us.toFixed(2));
  const figures = `${thinking} µs, ${text} µs on ${event} µs for the event`;
  report('thinkTags', 'tags of reasoning, for each token', figures, '≤ 1 µs', f);
}

async function acceptance(): Promise<void> {
  for (const [messages, bytes, rounds, bar] of [
    [20, 4_000, 2_000, 'rules ≤ 10% of an initiate'],
    [200, 1_000_000, 100, '≤ 10 ms of CPU'],
  ] as const) {
    const f = await acceptanceCost(messages, bytes, rounds);
    const figures = `${f.binaryMs.toFixed(2)} ms binary, ${f.jsonMs.toFixed(2)} ms JSON; rules ${f.rulesMs.toFixed(3)} ms`;
    report(`acceptance${messages}`, `accepting ${messages} messages, CPU`, figures, bar, f);
  }
}

async function measureAll(protocol: string, load: Load): Promise<void> {
  const name = (what: string): string => `${protocol}: ${what}`;
  // Warm, as a server is that has run for a while.
  await initiateAlone(load, 100);
  if (wanted('initiate')) {
    const alone = await initiateAlone(load, 500);
    report(name('initiateAlone'), name('initiate alone'), ms(alone), 'p50 ≤ 3', alone);
    const parallel = await initiateParallel(load, 20, 4_000);
    const figures = `${ms(parallel)}  ${parallel.perSecond.toFixed(0)}/s`;
    report(name('initiate20'), name('initiate, 20 in parallel'), figures, '≥ 600/s', parallel);
  }
  if (wanted('first')) {
    const one = await firstToken(load, 1, 100);
    report(name('first1'), name('initiate to first token, 1 chat'), ms(one), 'p50 ≤ 8', one);
    const fifty = await firstToken(load, 50, 5);
    report(name('first50'), name('initiate to first token, 50 chats'), ms(fifty), '', fifty);
  }
  if (wanted('tokens')) {
    for (const [chats, bar] of [
      [1, ''],
      [10, 'p50 ≤ 1, p99 ≤ 5'],
      [50, 'CPU ≤ 2 s/10k'],
    ] as const) {
      const figures = await tokens(load, tailrace.pid, { chats, tokens: 200, intervalMs: 20 });
      reportTokens(name(`tokens${chats}`), name(`token, ${chats} chats`), bar, figures);
    }
  }
  if (wanted('observers')) {
    const shape = { chats: 1, tokens: 200, intervalMs: 20, observers: 100 };
    const figures = await tokens(load, tailrace.pid, shape);
    reportTokens(name('observers100'), name('100 observers of one chat'), 'p50 ≤ 3', figures);
  }
  if (wanted('replay')) {
    const figures = await replay(load, 5_000, 10);
    report(name('replay5000'), name('replay of 5,000 events'), ms(figures), '', figures);
  }
}

/** The highest rate of paced tokens that is still delivered at p50 ≤ 10 ms. */
async function ceiling(): Promise<void> {
  for (const chats of [200, 240, 280, 320, 380, 440]) {
    const figures = await tokens(grpc, tailrace.pid, { chats, tokens: 250, intervalMs: 20 });
    const offered = chats * 50;
    const bar = offered === 10_000 ? 'p50 ≤ 10' : '';
    reportTokens(`ceiling${offered}`, `gRPC: paced ${offered} tokens/s`, bar, figures);
    if (figures.latency.p50 > 10) break;
  }
}
