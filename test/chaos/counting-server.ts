// The MCP server of chaos: two tools that note each run before they do anything else, one that may be repeated
// and one that may not. By the official server library, over streamable HTTP, in the process of the checker.
import { McpServer } from '@modelcontextprotocol/server';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type ModernMcpServer,
  startModernMcpServer,
} from '../support/servers/modern-mcp-server.ts';
import { CountingInput, resultOfRun } from './counting-tools.ts';
import type { ToolRun } from './history.ts';
import { nowMs } from './history.ts';

export function startCountingServer(runs: ToolRun[]): Promise<ModernMcpServer> {
  const count = async ({ chat, call, ms }: CountingInput, once: boolean, signal: AbortSignal) => {
    const run = runs.length + 1;
    runs.push({ run, chat, call, once, beganMs: nowMs() });
    // Whoever called may be killed meanwhile.
    await sleep(ms, undefined, { signal }).catch(() => undefined);
    return { content: [{ type: 'text' as const, text: resultOfRun(run) }] };
  };
  return startModernMcpServer(() => {
    const server = new McpServer({ name: 'counter', version: '1' });
    server.registerTool(
      'count',
      { inputSchema: CountingInput, annotations: { idempotentHint: true } },
      (input, { mcpReq }) => count(input, false, mcpReq.signal),
    );
    server.registerTool('count_once', { inputSchema: CountingInput }, (input, { mcpReq }) =>
      count(input, true, mcpReq.signal),
    );
    return server;
  });
}
