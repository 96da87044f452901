// The test model server as a process of its own that says what it is asked: a line of JSON when a call
// begins and one when it ends. It ends with its stdin, so that it never outlives whoever started it.
import { parseArgs } from 'node:util';
import { startModelServer } from '../model-server/model-server.ts';

/** Calls that may arrive before the loop below takes them. */
const KEPT_REQUESTS = 10_000;

const { values } = parseArgs({
  options: {
    calls: { type: 'boolean', default: false },
    host: { type: 'string', default: '127.0.0.1' },
  },
});
const keptRequests = values.calls ? KEPT_REQUESTS : 1;
const server = await startModelServer({ keptRequests, host: values.host });
console.log(JSON.stringify({ url: server.url, pid: process.pid }));
process.stdin.resume();
process.stdin.once('close', () => process.exit(0));

function epochMs(atMs: number): number {
  return performance.timeOrigin + atMs;
}

let calls = 0;
while (values.calls) {
  const request = await server.nextRequest().catch(() => undefined);
  if (request === undefined) continue;
  const call = ++calls;
  const { at, headers, ended } = request;
  // A worker's key is the name of its incarnation; the correlation id is the chat's own id.
  const worker = headers.authorization?.replace('Bearer ', '') ?? '';
  const chat = headers['x-correlation-id'] ?? '';
  console.log(JSON.stringify({ call, chat, worker, beganMs: epochMs(at) }));
  void ended.then((how) => {
    console.log(JSON.stringify({ call, how, endedMs: epochMs(performance.now()) }));
  });
}
