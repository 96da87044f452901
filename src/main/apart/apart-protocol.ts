// What a process that runs chats apart is told by the one that started it, over Node's own channel.
import type { Command } from '../../chat/ports/commands.ts';
import type { Config } from '../../ops/config.ts';
import type { Given } from '../tailrace.ts';

export type ApartOrder =
  /** First: where NATS, the models and the operator's MCP servers are. No secret lies in the environment for it. */
  | { readonly do: 'start'; readonly config: Config; readonly given: Given }
  /** One at a time: the next when it has said that it is free. */
  | { readonly do: 'run'; readonly command: Command }
  /** Hands the chat back, if there is one, and ends. */
  | { readonly do: 'stop' };
