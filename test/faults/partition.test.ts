// Partitions of a real cluster, in network namespaces where this machine has them, else by proxies that
// cut. See test/chaos/partition.ts for what is held.
import assert from 'node:assert/strict';
import { spawn, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { test } from 'node:test';
import { inNamespaces } from '../chaos/namespaces.ts';
import { endWithUs } from '../support/processes/left-behind.ts';

const PROGRAM = join(import.meta.dirname, '../chaos/partition-main.ts');

/** Names of network namespaces that anybody on this machine may see. */
function visible(): string {
  return execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' });
}

test('one api cut off, one worker cut off, one nats-server cut off from the other two: nothing is lost, doubled or reordered', async (t) => {
  const there = inNamespaces(process.execPath, [PROGRAM, '--namespaces']);
  t.diagnostic(there === undefined ? 'by cutting proxies' : 'in network namespaces');
  const before = there === undefined ? '' : visible();
  const [command, ...args] = there ?? [process.execPath, PROGRAM];
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = endWithUs(child.pid);
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8');
    stream.on('data', (text: string) => (said += text));
  }
  const [code] = (await once(child, 'close')) as [number | null];
  ended();
  assert.equal(code, 0, said);
  for (const line of said.trim().split('\n')) t.diagnostic(line);
  if (there !== undefined) assert.equal(visible(), before, 'no namespace is left behind');
});
