// A program of the operator's as an MCP server, where it does not end as programs do.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { MCP_MESSAGES_AT_ONCE } from '../../src/chat/limits.ts';
import { processTransport } from '../../src/tools/mcp/mcp-process.ts';
import type { McpProgram } from '../../src/tools/mcp/own-servers.ts';
import { everyTurn } from '../support/every-turn.ts';

function shell(script: string, more: Partial<McpProgram> = {}): McpProgram {
  const PATH = process.env['PATH'] ?? '';
  const env = { PATH };
  const args = ['-c', script];
  return { kind: 'program', command: '/bin/sh', args, env, secrets: [], cwd: undefined, ...more };
}

const nothing = (): void => undefined;

test('a program has ended when it has, though what it left in a group of its own holds its output', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'tailrace-mcp-process-'));
  const pid = join(dir, 'pid');
  const left = `setsid sh -c 'echo $$ > ${pid}; exec sleep 600' & while ! [ -s ${pid} ]; do :; done; exit 3`;
  const transport = processTransport(shell(left), nothing);
  try {
    await transport.start();
    await transport.gone;
    assert.equal(transport.ended(), 'has ended with exit code 3');
  } finally {
    process.kill(Number(await readFile(pid, 'utf8')), 'SIGKILL');
    await rm(dir, { recursive: true });
  }
});

test('a folder that is not there is what cannot be used, and not the program', async () => {
  const transport = processTransport(shell('cat', { cwd: '/no/such/folder' }), nothing);
  await assert.rejects(
    transport.start(),
    /^McpFailure: could not be started: its cwd is no folder/,
  );
});

test('a program that has ended is sent no signal: its process group may be another’s by now', async (t) => {
  const transport = processTransport(shell('exit 3'), nothing);
  await transport.start();
  await transport.gone;
  const kill = t.mock.method(process, 'kill');
  await transport.close();
  assert.equal(kill.mock.callCount(), 0);
});

test('a program that says a great deal at once leaves room between for all others', async () => {
  const line = '{"jsonrpc":"2.0","method":"a"}';
  const transport = processTransport(shell(`yes '${line}' | head -n 20000`), nothing);
  const turns = everyTurn();
  let messages = 0;
  const onmessage = (): void => {
    messages++;
    turns.count(1);
  };
  Object.assign(transport, { onmessage });
  await transport.start();
  await transport.gone;
  const most = turns.end();
  assert.equal(messages, 20_000);
  assert.ok(most <= 2 * MCP_MESSAGES_AT_ONCE);
});
