// Many observers of one chat in a process of their own: its arguments are a JSON object, its answer
// one line of JSON when they are attached and one at the end.
import { bareObservers, shared } from './bare-observers.ts';
import { type Summary, summary } from './stats.ts';

export interface ObserverProcessTask {
  readonly url: string;
  readonly streamId: string;
  readonly observers: number;
  readonly connections: number;
}

export interface Attached {
  readonly attachMs: number;
}

export interface Observed {
  /** From the model server's send of a token to each of its arrivals here, ms. */
  readonly latency: Summary;
  /** Of this process, from when all were attached. */
  readonly cpuSeconds: number;
}

const task = JSON.parse(process.argv[2] ?? '') as ObserverProcessTask;
const latencies: number[] = [];
const onToken = (sentUs: number, hereUs: number): void => {
  latencies.push((hereUs - sentUs) / 1_000);
};
const started = performance.now();
const all = await Promise.all(
  shared(task.observers, task.connections).map((count) =>
    bareObservers(task.url, Array<string>(count).fill(task.streamId), onToken),
  ),
);
await Promise.all(all.map((observers) => observers.attached));
say({ attachMs: performance.now() - started } satisfies Attached);
const cpuBefore = process.cpuUsage();
await Promise.all(all.map((observers) => observers.ended));
const { user, system } = process.cpuUsage(cpuBefore);
say({ latency: summary(latencies), cpuSeconds: (user + system) / 1e6 } satisfies Observed);
process.exit();

function say(line: unknown): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
