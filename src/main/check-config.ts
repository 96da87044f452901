// What a start would read: the environment and the files that it names. Nothing is started here, and
// nothing printed.
import type { RegistrySpec } from '../model/settings/registry-spec.ts';
import { type Config, ConfigError, readConfig } from '../ops/config.ts';
import { mcpServersInFile } from './mcp-servers.ts';
import { checkEmbedded, promptInFile, specInFiles } from './models.ts';

export interface RightConfig {
  readonly ok: true;
  readonly config: Config;
  /** Undefined: without a file of models. */
  readonly spec: RegistrySpec | undefined;
  readonly mcpServers: Awaited<ReturnType<typeof mcpServersInFile>>;
}

export type CheckedConfig =
  | RightConfig
  /** What a start would refuse with, a line each. */
  | { readonly ok: false; readonly faults: readonly string[] };

type Environment = Readonly<Record<string, string | undefined>>;

export async function checkConfig(environment: Environment): Promise<CheckedConfig> {
  try {
    const config = readConfig(environment);
    const { modelsFile } = config;
    const spec = modelsFile === undefined ? undefined : await specInFiles(config, environment);
    if (spec === undefined) await promptInFile(config);
    if (spec === undefined && config.modelServer === undefined) checkEmbedded(config);
    const mcpServers = await mcpServersInFile(config, environment);
    return { ok: true, config, spec, mcpServers };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { ok: false, faults: error.message.split('\n') };
  }
}
