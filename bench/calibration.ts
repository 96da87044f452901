// What the machine can do right now, in the same run: figures of other days and machines can only be
// compared by their ratio to these.
import { connect } from '@nats-io/transport-node';
import { jetstreamManager } from '@nats-io/jetstream';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import http from 'node:http';
import http2 from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openExchange } from '../src/nats/exchange.ts';
import { publishFenced } from '../src/nats/publish-fenced.ts';
import { recordHeaders } from '../src/nats/headers.ts';
import { endWithUs } from '../test/support/processes/left-behind.ts';
import { nowUs } from './load.ts';
import type { Summary } from './stats.ts';
import { summary } from './stats.ts';

/** One request after another over one cleartext HTTP/2 connection to an echo in this process, ms. */
export async function http2Echo(count: number): Promise<Summary> {
  const server = http2.createServer();
  server.on('stream', (stream) => {
    stream.respond({ ':status': 200 });
    stream.pipe(stream);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('not a TCP port');
  const session = http2.connect(`http://127.0.0.1:${address.port}`);
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const started = performance.now();
    const stream = session.request({ ':method': 'POST' });
    stream.end('ping');
    stream.resume();
    await once(stream, 'end');
    times.push(performance.now() - started);
  }
  session.close();
  server.close();
  return summary(times);
}

/** One conditional publish after another to a nats-server of its own, file store, ms. */
export async function natsPublish(program: string, count: number): Promise<Summary> {
  const home = await mkdtemp(join(tmpdir(), 'tailrace-calibration-'));
  const child = spawn(
    program,
    ['-a', '127.0.0.1', '-p', '-1', '-js', '-sd', home, '--ports_file_dir', home],
    {
      stdio: 'ignore',
    },
  );
  child.once('exit', endWithUs(child.pid));
  try {
    const nc = await connect({ servers: await portOf(home), noAsyncTraces: true });
    const jsm = await jetstreamManager(nc);
    await jsm.streams.add({ name: 'CALIBRATION', subjects: ['log.>'] });
    const exchange = openExchange(nc, 5_000, () => () => undefined);
    const times: number[] = [];
    const fence = 'log.0.t.c.>';
    let expectedLast = 0;
    for (let i = 0; i < count; i++) {
      const started = performance.now();
      const headers = recordHeaders(`c-${i}`, undefined, { subject: fence, expectedLast });
      const outcome = await publishFenced(exchange, 'log.0.t.c.d', Buffer.alloc(64), headers);
      if (outcome.type !== 'stored') throw new Error(`a publish was ${outcome.type}`);
      expectedLast = outcome.storeSequence;
      times.push(performance.now() - started);
    }
    exchange.close();
    await nc.close();
    return summary(times);
  } finally {
    child.kill('SIGTERM');
    await once(child, 'exit');
    await rm(home, { recursive: true, force: true });
  }
}

async function portOf(home: string): Promise<string> {
  for (;;) {
    const file = (await readdir(home)).find((name) => name.endsWith('.ports'));
    const text = file === undefined ? '' : await readFile(join(home, file), 'utf8');
    const url = /nats:\/\/[^"]+/.exec(text)?.[0];
    if (url !== undefined) return url;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** From the model server's send to a client that asks it directly, ms. */
export async function modelDirect(
  url: string,
  tokens: number,
  intervalMs: number,
): Promise<Summary> {
  const content = JSON.stringify({ tokens, interval_ms: intervalMs });
  const body = JSON.stringify({
    model: 'test-model',
    stream: true,
    messages: [{ role: 'user', content }],
  });
  const times: number[] = [];
  const request = http.request(`${url}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
  });
  request.end(body);
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  response.on('data', (chunk: Buffer) => {
    const here = nowUs();
    for (const match of chunk.toString('latin1').matchAll(/\d+:(\d{16}) /g)) {
      times.push((here - Number(match[1])) / 1_000);
    }
  });
  await once(response, 'end');
  return summary(times);
}
