// docs/DEBUGGING.md: every command of it, as it stands and in its order, against a server; and what it says is printed.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import { makeToken } from '../../src/rpc/edge/auth.ts';
import { scripted, startModelServer } from '../model-server/model-server.ts';
import { differences, docBlocks, runInShell } from '../support/doc-blocks.ts';
import { temporaryFolder } from '../support/processes/nats.ts';
import { needs } from '../support/needs.ts';
import { startPlainWords } from '../support/plain-words.ts';
import { startTailraceProcess } from '../support/processes/tailrace-process.ts';
import { CERTIFICATE } from '../tools/certificate.ts';

const ROOT = join(import.meta.dirname, '../..');
/** What the page asks, as the test model server's scripts. */
const SCRIPTS: Readonly<Record<string, string>> = {
  'Count to a thousand, a number a line.': scripted({ fault: 'endless', interval_ms: 10 }),
  'What is the weather in Paris?': scripted({
    calls: [{ id: 'call_1', name: 'weather', input: '{"place":"Paris"}' }],
    rounds: [{ text: ['18 degrees and rain.'] }],
  }),
};

/** What brings TLS to the port: the proxy of docs/OPERATIONS.md. */
async function startTlsFront(target: string): Promise<AsyncDisposable & { readonly host: string }> {
  const { hostname, port } = new URL(target);
  const protocols = ['h2', 'http/1.1'];
  const server = createTlsServer({ ...CERTIFICATE, ALPNProtocols: protocols }, (client) => {
    const upstream = connect(Number(port), hostname);
    client.pipe(upstream).pipe(client);
    for (const side of [client, upstream]) {
      side.on('error', () => undefined);
      side.once('close', () => {
        client.destroy();
        upstream.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

test(
  'every command of docs/DEBUGGING.md does what the page says',
  { skip: needs('grpcurl') || needs('curl') },
  async () => {
    await using stack = new AsyncDisposableStack();
    const folder = stack.use(temporaryFolder());
    const model = stack.use(await startModelServer());
    const reader = stack.use(await startPlainWords(model.url, SCRIPTS));
    const open = stack.use(
      await startTailraceProcess({
        TAILRACE_DATA_DIR: join(folder.path, 'open'),
        OPENAI_BASE_URL: reader.url,
      }),
    );
    const { token, line } = makeToken('people');
    const tokens = join(folder.path, 'tokens');
    writeFileSync(tokens, `${line}\n`);
    const guarded = stack.use(
      await startTailraceProcess({
        TAILRACE_DATA_DIR: join(folder.path, 'guarded'),
        OPENAI_BASE_URL: reader.url,
        TAILRACE_TOKENS_FILE: tokens,
      }),
    );
    const front = stack.use(await startTlsFront(guarded.url));
    const ca = join(folder.path, 'ca.pem');
    writeFileSync(ca, CERTIFICATE.cert);

    const page = readFileSync(join(ROOT, 'docs/DEBUGGING.md'), 'utf8');
    const blocks = docBlocks(page).filter((block) => block.kind === 'commands');
    assert.ok(blocks.length > 20);
    const shell = stack.use(
      runInShell(blocks, {
        cwd: ROOT,
        env: {
          ...process.env,
          HOST: new URL(open.url).host,
          TLS_HOST: front.host,
          CA: ca,
          TOKEN: token,
        },
      }),
    );
    assert.equal(differences(blocks, await shell.outcomes).join('\n\n'), '');
  },
);
