// A run for which MCP tools are opened, outside of any worker.
import { SILENT } from '../processes/nats.ts';
import type { ToolRunScope } from '../../../src/chat/ports/tool.ts';
import type { McpParts } from '../../../src/tools/mcp/mcp-tools.ts';
import type { AddressGuard } from '../../../src/tools/fetch/address-guard.ts';
import { traceparentOf } from '../../../src/chat/trace.ts';
import { testMeta } from './test-meta.ts';

export function toolRunScope(warn: ToolRunScope['warn']): ToolRunScope {
  const { signal } = new AbortController();
  const meta = testMeta({ traceparent: traceparentOf(null) });
  return { command: { chat: { tenant: 'default', streamId: 's' }, meta }, signal, warn };
}

export function mcpParts(guard: AddressGuard): McpParts {
  return { guard, own: [], logger: SILENT };
}
