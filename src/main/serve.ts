// A Tailrace that serves until SIGTERM, SIGINT or the end of its terminal, in a process of its own: this one.
import { writeSync } from 'node:fs';
import type { Tailrace } from './tailrace.ts';
import { startTailrace } from './tailrace.ts';
import type { Logger } from '../chat/ports/logger.ts';
import type { Config } from '../ops/config.ts';
import { readConfig, ConfigError } from '../ops/config.ts';
import { createLogger } from '../ops/logging.ts';
import { watchOwnTerminal } from './own-terminal.ts';
import { partsFor } from './parts.ts';

/**
 * Ctrl-C under npm is two signals, the terminal's and npm's own: the second must not end what the first has begun to
 * stop. Who presses it once more does not want to wait.
 */
const SIGNALS_TO_END_AT_ONCE = 3;

/** What is being started gets this long to be there, so that it can be stopped cleanly. */
const STOP_STARTING_MS = 2_000;

/** Ends the process, with 1 where it could not start. */
export async function serve(
  environment: Readonly<Record<string, string | undefined>>,
): Promise<never> {
  const terminalGone = watchOwnTerminal();
  // Whoever sends SIGHUP while this starts wants the files read again all the same, and no end.
  let reloadDue = false;
  let reload = (): void => void (reloadDue = true);
  const stopped = new Promise<string>((resolve) => {
    let signals = 0;
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        if (++signals >= SIGNALS_TO_END_AT_ONCE) process.exit(1);
        resolve(signal);
      });
    }
    process.on('SIGHUP', () => {
      if (terminalGone()) resolve('SIGHUP');
      else reload();
    });
  });

  try {
    const config = readConfig(environment);
    const logger = createLogger(config.logLevel);
    const tailrace = await startUnlessStopped(config, logger, environment, stopped);
    const roles = [...config.roles].join(' and ');
    process.stdout.write(
      tailrace.url === undefined
        ? `Tailrace works as ${roles}\n`
        : `Tailrace serves on ${tailrace.url}\n`,
    );
    reload = () => void tailrace.reload();
    if (reloadDue) reload();
    const signal = await stopped;
    logger.info({ signal }, 'stopping');
    await tailrace[Symbol.asyncDispose]();
    logger.info({}, 'stopped');
    // What could not be handed back in time may still be trying, and would for a minute.
    process.exit();
  } catch (error) {
    const said =
      error instanceof ConfigError ? error.message : `Tailrace could not start: ${describe(error)}`;
    // Synchronously, and then at once: a part that hangs in its own end must not hold a failed start.
    writeSync(process.stderr.fd, `${said}\n`);
    process.exit(1);
  }
}

/** A start may wait for NATS for as long as it takes: a signal must end it all the same. */
async function startUnlessStopped(
  config: Config,
  logger: Logger,
  environment: Readonly<Record<string, string | undefined>>,
  stopped: Promise<string>,
): Promise<Tailrace> {
  let timer: NodeJS.Timeout | undefined;
  let starting = true;
  void stopped.then((signal) => {
    if (!starting) return;
    timer = setTimeout(() => {
      logger.info({ signal }, 'stopped before it served');
      process.exit();
    }, STOP_STARTING_MS);
  });
  try {
    return await startTailrace(config, await partsFor(config, environment), logger, environment);
  } finally {
    starting = false;
    clearTimeout(timer);
  }
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? error.cause.message : '';
  return cause === '' || error.message.includes(cause)
    ? error.message
    : `${error.message} (${cause})`;
}
