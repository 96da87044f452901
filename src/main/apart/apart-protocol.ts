// What a process that runs chats apart is told by the one that started it, over Node's own channel.
import type { Command } from '../../chat/ports/commands.ts';
import type { Config } from '../../ops/config.ts';
import type { RegistrySpec } from '../../model/settings/registry-spec.ts';
import type { OwnMcpServer } from '../../tools/mcp/own-servers.ts';

/** What its worker has read from the operator's files. */
export interface Given {
  readonly models: RegistrySpec;
  readonly mcpServers: readonly OwnMcpServer[];
}

export type ApartOrder =
  /** First: where NATS, the models and the operator's MCP servers are. No secret lies in the environment for it. */
  | { readonly do: 'start'; readonly config: Config; readonly given: Given }
  /** One at a time: the next when it has said that it is free. */
  | { readonly do: 'run'; readonly command: Command }
  /** Hands the chat back, if there is one, and ends. */
  | { readonly do: 'stop' };
