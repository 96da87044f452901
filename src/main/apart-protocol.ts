// What a process that runs chats apart is told by the one that started it, over Node's own channel.
import type { Command } from '../chat/commands.ts';
import type { RegistrySpec } from '../model/registry-spec.ts';
import type { Config } from '../ops/config.ts';

export type ApartOrder =
  /** First: where NATS and the models are. No secret lies in the environment for it. */
  | { readonly do: 'start'; readonly config: Config; readonly models: RegistrySpec }
  /** One at a time: the next when it has said that it is free. */
  | { readonly do: 'run'; readonly command: Command }
  /** Hands the chat back, if there is one, and ends. */
  | { readonly do: 'stop' };
