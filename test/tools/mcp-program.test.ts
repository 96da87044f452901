// Programs of the operator's as MCP servers: whose turn it is to start one.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { createFairPlaces } from '../../src/processes/fair-places.ts';
import type { Connected } from '../../src/tools/mcp/mcp-connect.ts';
import { connectProgram } from '../../src/tools/mcp/mcp-program.ts';
import type { McpProgram } from '../../src/tools/mcp/own-servers.ts';

const PROGRAM: McpProgram = {
  kind: 'program',
  command: process.execPath,
  args: [join(import.meta.dirname, '../support/servers/stdio-mcp-server.ts')],
  env: {},
  secrets: [],
  cwd: undefined,
};

test('one tenant’s programs leave a place for another’s, and who waits too long is told why', async () => {
  const places = createFairPlaces(2, 8);
  const open = (tenant: string, openMs: number): Promise<Connected> => {
    const { signal } = new AbortController();
    const whose = { tenant, streamId: 'one' };
    const run = { whose, onLine: () => undefined, openMs, runSignal: signal };
    return connectProgram(PROGRAM, run, places);
  };
  const first = await open('a', 60_000);
  await assert.rejects(open('a', 50), /^McpFailure: found no place in time: \d+ such programs/);
  const others = await open('b', 60_000);
  const next = open('a', 60_000);
  await first.client.close();
  const third = await next;
  await Promise.all([others.client.close(), third.client.close()]);
});
