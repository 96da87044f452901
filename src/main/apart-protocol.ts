// What a process that runs one chat apart is told by the one that started it, over Node's own channel.
import type { Command } from '../chat/commands.ts';
import type { RegistrySpec } from '../model/registry-spec.ts';
import type { Config } from '../ops/config.ts';

export type ApartOrder =
  /** First: where NATS and the models are, and the chat. No secret lies in the environment for it. */
  | {
      readonly do: 'run';
      readonly config: Config;
      readonly models: RegistrySpec;
      readonly command: Command;
    }
  /** Hands the chat back and ends. */
  | { readonly do: 'stop' };
