// A run for which MCP tools are opened, outside of any worker.
import { SILENT } from './nats.ts';
import type { ToolRunScope } from '../../src/chat/ports/tool.ts';
import type { McpParts } from '../../src/tools/mcp/mcp-tools.ts';
import type { AddressGuard } from '../../src/tools/fetch/address-guard.ts';
import { traceparentOf } from '../../src/chat/trace.ts';

export function toolRunScope(warn: ToolRunScope['warn']): ToolRunScope {
  const { signal } = new AbortController();
  const meta = {
    appendId: 'a',
    createdAtMs: 0,
    expiresAtMs: 0,
    correlationId: '',
    traceparent: traceparentOf(null),
    model: 'm',
    runTimeoutMs: 0,
    requestHash: '',
    metadata: {},
    reason: '',
    results: 0,
  };
  return { command: { chat: { tenant: 'default', streamId: 's' }, meta }, signal, warn };
}

export function mcpParts(guard: AddressGuard): McpParts {
  return { guard, own: [], logger: SILENT };
}
