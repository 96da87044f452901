// The programs of MCP servers do not outlive the worker that runs them, however it ends.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Role } from '../../gen/tailrace/v1/content_pb.ts';
import { scripted, startModelServer } from '../model-server/model-server.ts';
import { grpcClient } from '../support/clients.ts';
import { startNats } from '../support/processes/nats.ts';
import { natsUrl } from '../support/processes/tailrace.ts';
import { calling } from '../support/chats/mcp-chats.ts';
import {
  isAlive,
  startTailraceProcess,
  type TailraceProcess,
} from '../support/processes/tailrace-process.ts';
import { until } from '../support/until.ts';

const BY_HAND = join(import.meta.dirname, '../support/servers/stdio-mcp-server.ts');

for (const [how, end] of [
  ['killed', (tailrace: TailraceProcess) => tailrace.killAlone()],
  ['stopped', (tailrace: TailraceProcess) => tailrace.stop()],
] as const) {
  test(`a program that heeds nothing is gone with all that it started when its worker is ${how} in a call`, async () => {
    const dir = await mkdtemp(join(tmpdir(), 'tailrace-mcp-processes-'));
    await using stack = new AsyncDisposableStack();
    stack.defer(() => rm(dir, { recursive: true, force: true }));
    const kept = join(dir, 'kept');
    const env = { KEPT: kept, STUBBORN: '1' };
    const servers = [{ name: 'kept', command: process.execPath, args: [BY_HAND], env }];
    const file = join(dir, 'mcp.json');
    await writeFile(file, JSON.stringify({ servers }));
    const nats = stack.use(await startNats());
    const model = stack.use(await startModelServer());
    const tailrace = stack.use(
      await startTailraceProcess({
        TAILRACE_NATS_URL: natsUrl(nats.access),
        TAILRACE_MCP_FILE: file,
        OPENAI_BASE_URL: model.url,
      }),
    );
    const text = { case: 'text', value: scripted(calling(['kept__wait'])) } as const;
    await grpcClient(tailrace.url).initiateChatStream({
      request: {
        messages: [{ role: Role.USER, content: [{ block: text }] }],
        mcpServers: [{ name: 'kept' }],
      },
    });
    const said = await until('a call of the program', async () => {
      const lines = await readFile(kept, 'utf8').catch(() => '');
      return lines.includes('called') ? lines : undefined;
    });
    const pids = said
      .split('\n')
      .filter((line) => /^\d+$/.test(line))
      .map(Number);
    assert.equal(pids.length, 2);
    assert.ok(pids.every(isAlive));
    await end(tailrace);
    await until('the program and its child to be gone', () => !pids.some(isAlive) || undefined);
  });
}
