// docs/DEBUGGING.md: every command of it, as it stands and in its order, against a server; and what it says is printed.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, request as httpRequest } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import { makeToken } from '../../src/rpc/auth.ts';
import { scripted, startModelServer } from '../model-server/model-server.ts';
import { temporaryFolder } from '../support/nats.ts';
import { needs } from '../support/needs.ts';
import { startTailraceProcess } from '../support/tailrace-process.ts';
import { CERTIFICATE } from '../tools/certificate.ts';

const ROOT = join(import.meta.dirname, '../..');
const BLOCK = /^```(sh|text)\n([\s\S]*?)^```$/gm;
const MARK = '@@@ block';

interface Block {
  readonly commands: string;
  /** What the page says that they print; undefined where it says nothing. */
  readonly printed: string | undefined;
  readonly line: number;
}

function blocksOf(page: string): readonly Block[] {
  const found = [...page.matchAll(BLOCK)].map((match) => ({
    kind: match[1] ?? '',
    text: match[2] ?? '',
    line: page.slice(0, match.index).split('\n').length,
  }));
  return found.flatMap(({ kind, text, line }, at) => {
    if (kind !== 'sh') return [];
    const next = found[at + 1];
    const printed = next?.kind === 'text' ? next.text : undefined;
    return [{ commands: text, printed, line }];
  });
}

/** … is anything. */
function patternOf(printed: string): RegExp {
  const parts = printed
    .trimEnd()
    .split('…')
    .map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`));
  return new RegExp(`^${parts.join(String.raw`[\s\S]*?`)}$`);
}

/** One shell for all, as a person has; what each block printed. */
async function runBlocks(
  blocks: readonly Block[],
  env: Readonly<Record<string, string>>,
): Promise<readonly { readonly said: string; readonly code: number }[]> {
  const script = blocks
    .map(({ commands }, n) => `${commands}\nprintf '\\n${MARK} ${n} %s\\n' $?\n`)
    .join('');
  const shell = spawn('bash', ['-c', `exec 2>&1\n${script}`], {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let out = '';
  shell.stdout.setEncoding('utf8').on('data', (chunk: string) => (out += chunk));
  await once(shell, 'close');
  const pieces = out.split(new RegExp(`^${MARK} \\d+ (\\d+)\n`, 'm'));
  return blocks.map((_, n) => ({
    said: (pieces[2 * n] ?? '').trim(),
    code: Number(pieces[2 * n + 1] ?? 'NaN'),
  }));
}

/** In front of the test model server: what the page asks in plain words, as its scripts. */
const SCRIPTS: Readonly<Record<string, string>> = {
  'Count to a thousand, a number a line.': scripted({ fault: 'endless', interval_ms: 10 }),
  'What is the weather in Paris?': scripted({
    calls: [{ id: 'call_1', name: 'weather', input: '{"place":"Paris"}' }],
    rounds: [{ text: ['18 degrees and rain.'] }],
  }),
};

async function startReader(modelUrl: string): Promise<AsyncDisposable & { readonly url: string }> {
  const server = createServer((incoming, response) => {
    let body = '';
    incoming.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
    incoming.on('end', () => {
      for (const [words, script] of Object.entries(SCRIPTS)) {
        body = body.replaceAll(JSON.stringify(words), JSON.stringify(script));
      }
      const { pathname } = new URL(incoming.url ?? '', 'http://localhost');
      const headers = { ...incoming.headers, 'content-length': String(Buffer.byteLength(body)) };
      const outgoing = httpRequest(new URL(pathname, modelUrl), {
        method: incoming.method,
        headers,
      });
      outgoing.on('response', (answer) => {
        response.writeHead(answer.statusCode ?? 500, answer.headers);
        answer.pipe(response);
      });
      outgoing.on('error', () => response.destroy());
      response.on('close', () => outgoing.destroy());
      outgoing.end(body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/v1`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

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
    const reader = stack.use(await startReader(model.url));
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

    const blocks = blocksOf(readFileSync(join(ROOT, 'docs/DEBUGGING.md'), 'utf8'));
    assert.ok(blocks.length > 20);
    const outcomes = await runBlocks(blocks, {
      HOST: new URL(open.url).host,
      TLS_HOST: front.host,
      CA: ca,
      TOKEN: token,
    });
    const wrong = blocks.flatMap(({ commands, printed, line }, n) => {
      const { said, code } = outcomes[n] ?? { said: '', code: Number.NaN };
      const fine = printed === undefined ? code === 0 : patternOf(printed).test(said);
      const wanted = printed ?? 'exit code 0\n';
      return fine
        ? []
        : [`line ${line}:\n${commands}wanted:\n${wanted}printed (${code}):\n${said}`];
    });
    assert.equal(wrong.join('\n\n'), '');
  },
);
