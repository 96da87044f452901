// What surrounds the command line may be wrong: what it is given to read, where it writes to, the token, the address.
// It says so in a line and with its exit code, never with a stack, and never says a secret.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, openSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { EXIT } from '../../src/cli/outcome/exit-codes.ts';
import { BIN, tailrace } from '../support/processes/cli.ts';
import { startNats, temporaryFolder } from '../support/processes/nats.ts';
import { startModelServer } from '../model-server/model-server.ts';
import { startTestTailrace } from '../support/processes/tailrace.ts';

const NOBODY = { TAILRACE_ADDRESS: 'http://127.0.0.1:1' };

test('a token or an address with a secret that cannot be used is refused, and not said', async () => {
  for (const command of [['models'], ['initiate', 'hi'], ['observe', 'x']]) {
    for (const [env, said] of [
      [{ ...NOBODY, TAILRACE_TOKEN: 'tr_se\ncret' }, /The token has a character that no header/],
      [{ ...NOBODY, TAILRACE_TOKEN: 'tr_secret€' }, /The token has a character that no header/],
      [{ TAILRACE_ADDRESS: 'http://me:secret@127.0.0.1:1' }, /holds a user or password/],
    ] as const) {
      const { code, stderr } = await tailrace(command, { env });
      assert.equal(code, EXIT.usage, stderr);
      assert.match(stderr, said);
      assert.doesNotMatch(stderr, /secret|cret/);
    }
  }
});

test('TLS to a server that speaks none is told as that by each kind of call', async () => {
  await using nats = await startNats();
  await using model = await startModelServer();
  await using server = await startTestTailrace(nats.access, { OPENAI_BASE_URL: model.url });
  const address = server.url.replace('http:', 'https:');
  for (const command of [['models'], ['initiate', 'hi'], ['observe', 'x']]) {
    const { code, stderr } = await tailrace([...command, '--address', address]);
    assert.equal(code, EXIT.failed, stderr);
    assert.match(stderr, /does not speak TLS\.\n.*\n.*use http:\/\//);
  }
});

test('what is no text is refused and not asked', async () => {
  using folder = temporaryFolder();
  const file = join(folder.path, 'bytes');
  await writeFile(file, Buffer.from([0x72, 0x65, 0x71, 0xff, 0xfe, 0x00]));
  for (const command of [
    ['initiate', '--file', file],
    ['submit', 'x', '--file', file],
    ['initiate', 'hi', '--schema', file],
  ]) {
    const { code, stderr } = await tailrace(command, { env: NOBODY });
    assert.equal(code, EXIT.usage);
    assert.match(stderr, /bytes is no text in UTF-8/);
  }
});

test('what YAML has and JSON has not is refused', async () => {
  for (const [stdin, said] of [
    ['request: {messages: [], seed: .nan}', /request\.seed is NaN, which JSON has not/],
    ['request: {messages: &all [{content: *all}]}', /request\.messages\[0\]\.content holds itself/],
  ] as const) {
    const { code, stderr } = await tailrace(['initiate', '--file', '-'], { env: NOBODY, stdin });
    assert.equal(code, EXIT.usage);
    assert.match(stderr, said);
  }
});

test('with --json flags that are wrong are told in JSON too', async () => {
  for (const args of [
    ['list', '--limit', 'x', '--json'],
    ['get', '--json'],
    ['lst', '--json'],
  ]) {
    const { code, stderr } = await tailrace(args);
    assert.equal(code, EXIT.usage);
    const { error } = JSON.parse(stderr) as { readonly error: Record<string, unknown> };
    assert.equal(error['exit_code'], EXIT.usage);
    assert.match(String(error['message']), /limit|stream-id|lst/);
  }
});

test('a reader of stderr that has left changes no exit code', async () => {
  const child = spawn(process.execPath, [BIN, 'get', 'x'], {
    env: { ...process.env, ...NOBODY },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  child.stderr.destroy();
  const [code] = (await once(child, 'close')) as [number | null];
  assert.equal(code, EXIT.unreachable);
});

test('a full disk under stdout is said in a line', { skip: !existsSync('/dev/full') }, async () => {
  const full = openSync('/dev/full', 'w');
  try {
    const child = spawn(process.execPath, [BIN, '--version'], { stdio: ['ignore', full, 'pipe'] });
    let stderr = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    const [code] = (await once(child, 'close')) as [number | null];
    assert.equal(code, EXIT.failed);
    assert.equal(
      stderr,
      'tailrace: what it prints cannot be written: ENOSPC: no space left on device, write\n',
    );
  } finally {
    closeSync(full);
  }
});
