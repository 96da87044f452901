// What a start would read: the environment and the files that it names. Nothing is started here, and
// nothing printed.
import type { RegistrySpec } from '../model/registry-spec.ts';
import { type Config, ConfigError, readConfig } from '../ops/config.ts';
import { promptInFile, specInFiles } from './models.ts';

export type CheckedConfig =
  | {
      readonly ok: true;
      readonly config: Config;
      /** Undefined: without a file of models. */
      readonly spec: RegistrySpec | undefined;
    }
  /** What a start would refuse with, a line each. */
  | { readonly ok: false; readonly faults: readonly string[] };

type Environment = Readonly<Record<string, string | undefined>>;

export async function checkConfig(environment: Environment): Promise<CheckedConfig> {
  try {
    const config = readConfig(environment);
    if (config.modelsFile !== undefined) {
      return { ok: true, config, spec: await specInFiles(config, environment) };
    }
    await promptInFile(config);
    return { ok: true, config, spec: undefined };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { ok: false, faults: error.message.split('\n') };
  }
}
