// What `tailrace doctor` finds where the operator's settings for tools lead: his MCP servers, the embeddings endpoint,
// the folders of SQLite. Each is used once, as a chat would: a server that is a program is started, and ended.
import { create } from '@bufbuild/protobuf';
import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { BlockList } from 'node:net';
import { McpServerSchema } from '../../../gen/tailrace/v1/chat_request_pb.ts';
import { DOCTOR_LOOK_MS } from '../../chat/limits.ts';
import { UNTRACED } from '../../chat/ports/span.ts';
import { traceparentOf } from '../../chat/trace.ts';
import { createEmbedder } from '../../model/calls/openai-embedder.ts';
import type { RegistrySpec } from '../../model/settings/registry-spec.ts';
import { createAddressGuard } from '../../tools/fetch/address-guard.ts';
import type { OwnMcpServer } from '../../tools/mcp/own-servers.ts';
import { counted, type Finding, textOf, wrong } from './doctor-finding.ts';

export async function mcpServer(server: OwnMcpServer): Promise<Finding> {
  const check = `mcp ${server.name}`;
  const { reach, allowedTools, tenants } = server;
  const where = reach.kind === 'program' ? reach.command : reach.url;
  // The library is large, and most have no such servers.
  const [{ openSession }, { targetOf }, { wordsOf }] = await Promise.all([
    import('../../tools/mcp/mcp-session.ts'),
    import('../../tools/mcp/mcp-target.ts'),
    import('../../tools/mcp/mcp-failure.ts'),
  ]);
  let lastLine = '';
  const target = targetOf(
    create(McpServerSchema, { name: server.name }),
    createAddressGuard(new BlockList()),
    {
      own: [server],
      whose: { tenant: tenants?.[0] ?? '', streamId: '' },
      onLine: (line) => void (lastLine = line),
    },
  );
  // It has the time that it has in a chat.
  const { signal } = new AbortController();
  try {
    const session = await openSession(target, signal);
    try {
      const names = new Set((await session.list(signal)).map(({ name }) => name));
      const said = `${where} has ${counted(names.size, 'tool')}`;
      const missing = allowedTools.filter((name) => !names.has(name));
      if (missing.length === 0) return { check, state: 'ok', said };
      const remedy = 'look at the spelling of its allowed_tools in TAILRACE_MCP_FILE.';
      const lacking = `${said}, not among them: ${missing.join(', ')}`;
      return { check, state: 'warning', said: lacking, remedy };
    } finally {
      await session.close();
    }
  } catch (error) {
    const heard = lastLine === '' ? '' : `; its last words: ${lastLine}`;
    return wrong(
      check,
      `${where} cannot be used: it ${wordsOf(error)}${heard}`,
      'start it, or look at what TAILRACE_MCP_FILE says of it; until then chats go on without its tools, or fail.',
    );
  }
}

/** None where the operator has set none. */
export async function embeddings({ embeddings: set, servers }: RegistrySpec): Promise<Finding[]> {
  const server = servers.find(({ name }) => name === set?.server);
  if (set === undefined || server === undefined) return [];
  const check = 'embeddings';
  const once = { tries: 1, baseMs: 0, maxMs: 0 };
  const embedder = createEmbedder(server, set, UNTRACED, once);
  try {
    const [vector] = await embedder.embed('query', ['tailrace doctor'], {
      signal: AbortSignal.timeout(DOCTOR_LOOK_MS),
      traceparent: traceparentOf(null),
    });
    const said = `${set.model} at ${server.baseUrl}, ${vector?.length} dimensions`;
    return [{ check, state: 'ok', said }];
  } catch (error) {
    return [
      wrong(
        check,
        `${set.model} at ${server.baseUrl} cannot be used: ${textOf(error)}`,
        'start it, or look at `embeddings` in TAILRACE_MODELS_FILE; until then documents are searched by words alone.',
      ),
    ];
  } finally {
    embedder.close();
  }
}

export async function sqliteFolder(folder: string): Promise<Finding> {
  const check = 'sqlite';
  const remedy =
    'make it so that it can be read here, or take it out of TAILRACE_SQLITE_FOLDERS; until then its files cannot be asked.';
  try {
    if (!(await stat(folder)).isDirectory()) return wrong(check, `${folder} is no folder`, remedy);
    await access(folder, constants.R_OK | constants.X_OK);
    return { check, state: 'ok', said: `${folder}, files in it may be asked` };
  } catch (error) {
    return wrong(check, `${folder} cannot be read: ${textOf(error)}`, remedy);
  }
}
