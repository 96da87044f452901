// The parts that are no JavaScript of ours, a nats-server and the embedded model: found, or fetched by
// scripts/setup.mjs when a start needs them and they are not there yet.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { type Config, ConfigError } from '../ops/config.ts';
import { readFindings, type SetupFindings } from './findings.ts';
import { cacheDir, ROOT } from './folders.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export async function partsFor(config: Config, environment: Environment): Promise<SetupFindings> {
  const found = readFindings(environment);
  const nats = config.nats === undefined && config.natsServerProgram === undefined;
  const model =
    config.modelServer === undefined &&
    config.modelsFile === undefined &&
    config.roles.has('worker');
  const lacking = (nats && found.natsServer === undefined) || (model && found.model === undefined);
  if (!lacking) return found;
  await fetchParts(environment, [
    '--no-packages',
    ...(nats ? [] : ['--no-nats']),
    ...(model ? ['--model'] : []),
  ]);
  return readFindings(environment);
}

/** It says on stderr what it does: stdout is for what this program is asked for. */
async function fetchParts(environment: Environment, flags: readonly string[]): Promise<void> {
  const setup = spawn(process.execPath, [join(ROOT, 'scripts/setup.mjs'), ...flags, '--quiet'], {
    stdio: ['ignore', 2, 2],
    env: { ...environment, TAILRACE_CACHE_DIR: cacheDir(environment) },
  });
  const end = (): void => void setup.kill('SIGTERM');
  process.on('SIGTERM', end);
  process.on('SIGINT', end);
  try {
    await once(setup, 'close');
  } finally {
    process.off('SIGTERM', end);
    process.off('SIGINT', end);
  }
  if (setup.signalCode !== null || (setup.exitCode ?? 0) > 128) throw new ConfigError('Stopped.');
  if (setup.exitCode !== 0) {
    throw new ConfigError(
      'What Tailrace runs on could not be had; above is why. Without it there is no start.',
    );
  }
}
