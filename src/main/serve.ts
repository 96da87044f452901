// `npm start`: serves until SIGTERM or SIGINT.
import type { Tailrace } from './tailrace.ts';
import { startTailrace } from './tailrace.ts';
import { readConfig, ConfigError } from '../ops/config.ts';
import { createLogger } from '../ops/logging.ts';
import { readFindings } from './findings.ts';

const stopped = new Promise<string>((resolve) => {
  process.once('SIGTERM', () => resolve('SIGTERM'));
  process.once('SIGINT', () => resolve('SIGINT'));
});

try {
  const config = readConfig(process.env);
  const logger = createLogger(config.logLevel);
  const tailrace: Tailrace = await startTailrace(config, readFindings(), logger, process.env);
  const roles = [...config.roles].join(' and ');
  process.stdout.write(
    tailrace.url === undefined
      ? `Tailrace works as ${roles}\n`
      : `Tailrace serves on ${tailrace.url}\n`,
  );
  const signal = await stopped;
  logger.info({ signal }, 'stopping');
  await tailrace[Symbol.asyncDispose]();
  logger.info({}, 'stopped');
} catch (error) {
  if (error instanceof ConfigError) process.stderr.write(`${error.message}\n`);
  else process.stderr.write(`Tailrace could not start: ${describe(error)}\n`);
  process.exitCode = 1;
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
