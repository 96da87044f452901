// The completion scripts: bash takes its own, and offers what there is.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { BIN, tailrace } from '../support/processes/cli.ts';
import { needs } from '../support/needs.ts';
import { temporaryFolder } from '../support/processes/nats.ts';

const run = promisify(execFile);
const folder = temporaryFolder();
let env: Record<string, string | undefined>;

before(async () => {
  // As it is installed: `tailrace` on PATH, and the Node that it is to run on before others.
  const bin = join(folder.path, 'bin');
  await mkdir(bin);
  await symlink(BIN, join(bin, 'tailrace'));
  env = { ...process.env, PATH: `${bin}:${dirname(process.execPath)}:${process.env['PATH']}` };
});

after(() => folder[Symbol.dispose]());

for (const shell of ['bash', 'zsh', 'fish']) {
  test(`the script for ${shell} is there, and ${shell}, where it is, finds no fault in it`, async () => {
    const { code, stdout } = await tailrace(['completion', shell]);
    assert.equal(code, 0);
    assert.match(stdout, /tailrace complete -- /);
    const file = join(folder.path, `script.${shell}`);
    await writeFile(file, stdout);
    if (needs(shell) === false) await run(shell, ['-n', file]);
  });
}

/** What bash would offer for these words, the last of which is being typed. */
async function offered(...words: readonly string[]): Promise<readonly string[]> {
  const script = `
    source <(tailrace completion bash)
    compopt() { printf '%s\\n' "compopt $*"; }
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    _tailrace
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout } = await run('bash', ['-c', script, 'bash', ...words], { env });
  return stdout.split('\n').filter((line) => line !== '');
}

test('bash offers commands, flags and values', { skip: needs('bash') }, async () => {
  const commands = await offered('tailrace', '');
  for (const name of ['serve', 'chat', 'initiate', 'observe', 'get', 'doctor', 'completion']) {
    assert.ok(commands.includes(name), `${name} in ${commands.join(' ')}`);
  }
  assert.ok(
    !commands.includes('complete'),
    'what the script itself calls is no command for people',
  );
  assert.deepEqual(await offered('tailrace', 'obs'), ['observe']);
  assert.ok((await offered('tailrace', 'observe', '--')).includes('--after'));
  assert.deepEqual(await offered('tailrace', 'config', ''), ['check']);
  assert.deepEqual(await offered('tailrace', 'completion', 'z'), ['zsh']);
  assert.deepEqual(await offered('tailrace', 'chat', '--thinking', ''), []);
  assert.deepEqual(await offered('tailrace', 'initiate', '--file', ''), ['compopt -o default']);
  assert.deepEqual(await offered('tailrace', 'get', '--token', '--js'), [], 'a value is awaited');
  assert.deepEqual(await offered('tailrace', 'get', '--token', 'x', '--js'), ['--json']);
});

test('what is typed is not run at Tab', { skip: needs('bash') }, async () => {
  const file = join(folder.path, 'was-run');
  await offered('tailrace', `$(touch ${file})`, ';', `touch ${file}`, '');
  assert.equal(existsSync(file), false);
});
