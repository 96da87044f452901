// What the exit code says, as a table: src/cli/outcome/exit-codes.ts has the meanings, docs/CLI.md the same ones.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { EXIT, EXIT_MEANINGS } from '../../src/cli/outcome/exit-codes.ts';
import { makeToken } from '../../src/rpc/edge/auth.ts';
import { scripted } from '../model-server/model-server.ts';
import { startCli, tailrace } from '../support/processes/cli.ts';
import { forAllTests } from '../support/for-all-tests.ts';
import { temporaryFolder } from '../support/processes/nats.ts';
import { startScripted } from '../support/processes/scripted-tailrace.ts';

const { token, line } = makeToken('acme');
const folder = temporaryFolder();

const tokens = join(folder.path, 'tokens');
await writeFile(tokens, `${line}\n`);
const { tailrace: server } = await forAllTests(
  startScripted(() => ({ TAILRACE_TOKENS_FILE: tokens })),
);

after(() => folder[Symbol.dispose]());

const HELLO = scripted({ text: ['Hello.'] });
const FAILING = scripted({ fault: 'status', status: 400 });
const ENDLESS = scripted({ fault: 'endless', interval_ms: 20 });

interface Case {
  readonly name: string;
  readonly args: readonly string[];
  readonly exit: number;
  /** What a person reads; it says what failed, and what to do. */
  readonly said?: RegExp;
  readonly env?: Readonly<Record<string, string>>;
}

const CASES: readonly Case[] = [
  { name: 'help is no error', args: ['--help'], exit: EXIT.ok },
  { name: 'help of a command', args: ['get', '--help'], exit: EXIT.ok },
  { name: 'the version', args: ['--version'], exit: EXIT.ok },
  { name: 'done', args: ['list'], exit: EXIT.ok },
  { name: 'nothing to do', args: [], exit: EXIT.usage, said: /Usage: tailrace/ },
  {
    name: 'a command that is none',
    args: ['lst'],
    exit: EXIT.usage,
    said: /Did you mean list\?\)\nTry: tailrace --help/,
  },
  {
    name: 'a flag that is none',
    args: ['list', '--limits', '3'],
    exit: EXIT.usage,
    said: /Did you mean --limit\?\)\nTry: tailrace list --help/,
  },
  {
    name: 'an argument too many',
    args: ['get', 'a', 'b'],
    exit: EXIT.usage,
    said: /too many arguments/,
  },
  {
    name: 'a value that is none',
    args: ['list', '--since', 'yesterday'],
    exit: EXIT.usage,
    said: /It must be a time, such as/,
  },
  {
    name: 'a list of nothing',
    args: ['list', '--limit', '0'],
    exit: EXIT.usage,
    said: /'--limit <count>' argument '0' is invalid\. It must be a whole number from 1 on/,
  },
  {
    name: 'a pair that is none',
    args: ['submit', 'exit-done', '--result', 'a'],
    exit: EXIT.usage,
    said: /It must be id=text\./,
  },
  {
    name: 'two values for one name',
    args: ['initiate', 'x', '--metadata', 'a=1', '--metadata', 'a=2'],
    exit: EXIT.usage,
    said: /argument 'a=2' is invalid\. "a" has a value already/,
  },
  {
    name: 'help of a command that is none',
    args: ['help', 'lst'],
    exit: EXIT.usage,
    said: /^error: unknown command 'lst'\n\(Did you mean list\?\)\nTry: tailrace --help/,
  },
  {
    name: 'a host that is none',
    args: ['list', '--address', 'http://nobody.invalid'],
    exit: EXIT.unreachable,
    said: /There is no host of that name: http:\/\/nobody\.invalid\.\n  Nothing was asked/,
  },
  {
    name: 'an address that is none',
    args: ['list', '--address', 'ftp://x'],
    exit: EXIT.usage,
    said: /It must be like http:\/\/127\.0\.0\.1:8080/,
  },
  {
    name: 'a request that breaks a rule',
    args: ['initiate', 'x', '--priority', '99'],
    exit: EXIT.usage,
    said: /request\.priority +must be/,
  },
  {
    name: 'a cursor beyond the end',
    args: ['observe', 'exit-done', '--after', '9999'],
    exit: EXIT.usage,
    said: /To do: give --after/,
  },
  {
    name: 'no such chat',
    args: ['get', 'nobody-s'],
    exit: EXIT.notFound,
    said: /There is no chat stream "nobody-s"[\s\S]*`tailrace list`/,
  },
  {
    name: 'no token',
    args: ['list'],
    env: { TAILRACE_TOKEN: '' },
    exit: EXIT.notAllowed,
    said: /wants a token[\s\S]*--token or in TAILRACE_TOKEN/,
  },
  {
    name: 'a token that is not known',
    args: ['list', '--token', 'tr_other'],
    exit: EXIT.notAllowed,
    said: /does not know that token/,
  },
  {
    name: 'nobody there',
    args: ['list', '--address', '127.0.0.1:1'],
    exit: EXIT.unreachable,
    said: /Nothing listens at http:\/\/127\.0\.0\.1:1 [\s\S]*`tailrace serve`/,
  },
  {
    name: 'nobody there, for what resumes',
    args: ['observe', 'x', '--address', '127.0.0.1:1'],
    exit: EXIT.unreachable,
    said: /Nothing listens at/,
  },
  {
    name: 'an id that is taken',
    args: ['initiate', 'other', '--stream-id', 'exit-done'],
    exit: EXIT.conflict,
    said: /To do: leave --stream-id out/,
  },
  {
    name: 'results that nobody waits for',
    args: ['submit', 'exit-done', '--result', 'a=b'],
    exit: EXIT.conflict,
    said: /`tailrace get <id>`/,
  },
  { name: 'a chat that completed', args: ['wait', 'exit-done'], exit: EXIT.ok },
  {
    name: 'a chat that failed',
    args: ['initiate', FAILING, '--follow'],
    exit: EXIT.chatFailed,
    said: /FAILED[\s\S]*UPSTREAM_REJECTED: /,
  },
  {
    name: 'a chat that is not at its end',
    args: ['wait', 'exit-endless', '--timeout', '0s'],
    exit: EXIT.chatNotOver,
    said: /PROCESSING|PENDING/,
  },
  {
    name: 'the same after a while',
    args: ['wait', 'exit-endless', '--timeout', '100ms'],
    exit: EXIT.chatNotOver,
    said: /PROCESSING|PENDING/,
  },
  {
    name: 'a state is no failure',
    args: ['get', 'exit-endless'],
    exit: EXIT.ok,
  },
];

async function asAcme(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  return tailrace(args, {
    env: { TAILRACE_ADDRESS: server.url, TAILRACE_TOKEN: token, ...env },
  });
}

test('the exit code and the words of each kind of end', async (t) => {
  await asAcme(['initiate', HELLO, '--stream-id', 'exit-done']);
  await asAcme(['wait', 'exit-done']);
  await asAcme(['initiate', ENDLESS, '--stream-id', 'exit-endless']);
  for (const { name, args, exit, said, env } of CASES) {
    await t.test(name, async () => {
      const { code, stderr } = await asAcme(args, env);
      assert.equal(code, exit, stderr);
      assert.match(stderr, said ?? /^/);
    });
  }
  assert.equal((await asAcme(['cancel', 'exit-endless'])).code, EXIT.ok);
  assert.equal((await asAcme(['wait', 'exit-endless'])).code, EXIT.chatCancelled);
});

test('Ctrl-C while observing leaves with 130, and says how to go on; the chat goes on', async () => {
  const { stdout } = await asAcme(['initiate', ENDLESS]);
  const streamId = stdout.trim();
  const env = { TAILRACE_ADDRESS: server.url, TAILRACE_TOKEN: token };
  const running = startCli(['observe', streamId, '--json'], { env });
  await running.seen('text_delta');
  running.signal('SIGINT');
  const { code, stderr } = await running.ended;
  assert.equal(code, EXIT.interrupted);
  assert.match(stderr, new RegExp(`tailrace observe ${streamId} --after \\d+`));
  assert.equal((await asAcme(['cancel', streamId])).code, EXIT.ok);
});

test('what is no Tailrace is told from one that refuses', async () => {
  const other = createServer((_request, response) => response.writeHead(404).end('<h1>no</h1>'));
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  try {
    const { port } = other.address() as AddressInfo;
    for (const args of [['list'], ['initiate', 'x']]) {
      const { code, stderr } = await tailrace([...args, '--address', `127.0.0.1:${port}`]);
      assert.equal(code, EXIT.failed);
      assert.match(stderr, /is not Tailrace: HTTP 404/);
    }
  } finally {
    other.close();
  }
});

test('https where there is no TLS is told as that', async () => {
  const address = server.url.replace('http:', 'https:');
  const { code, stderr } = await tailrace(['list', '--address', address]);
  assert.equal(code, EXIT.failed);
  assert.match(stderr, /does not speak TLS\.\n.*\n.*use http:\/\//);
  assert.ok(!stderr.includes('SSL routines'), stderr);
});

test('with --json the end is told in JSON, with the exit code', async () => {
  const { code, stderr, stdout } = await asAcme(['get', 'nobody-s', '--json']);
  assert.equal(code, EXIT.notFound);
  assert.equal(stdout, '');
  const { error } = JSON.parse(stderr) as { readonly error: Record<string, unknown> };
  assert.deepEqual(
    [error['command'], error['code'], error['reason'], error['exit_code']],
    ['tailrace get', 'not_found', 'STREAM_NOT_FOUND', EXIT.notFound],
  );
});

test('every exit code has its meaning in the help', async () => {
  const { stdout } = await tailrace(['--help']);
  assert.equal(EXIT_MEANINGS.length, Object.keys(EXIT).length);
  for (const [code, meaning] of EXIT_MEANINGS) {
    assert.match(
      stdout,
      new RegExp(`^ +${code} +${meaning.replaceAll(/[.?*+()]/g, '\\$&')}$`, 'm'),
    );
  }
});
