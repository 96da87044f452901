// A nats-server that outlived its Tailrace still holds the store: it is found by the pid that it left
// behind and ended before another is started. It is ours only if it runs with this folder's config.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { EMBEDDED_NATS_STOP_MS } from '../../chat/limits.ts';
import type { Logger } from '../../chat/ports/logger.ts';

const POLL_MS = 10;

/** Call with the lock on the data folder held. */
export async function endOrphan(pidFile: string, home: string, logger: Logger): Promise<void> {
  const pid = readPid(pidFile);
  if (pid === undefined || !isOurs(pid, home)) return;
  logger.warn(
    { nats_server_pid: pid },
    'a nats-server of an earlier run still holds the store; it is ended',
  );
  process.kill(pid, 'SIGTERM');
  const deadline = performance.now() + EMBEDDED_NATS_STOP_MS;
  while (isOurs(pid, home)) {
    if (performance.now() > deadline) process.kill(pid, 'SIGKILL');
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

function readPid(file: string): number | undefined {
  try {
    const pid = Number(readFileSync(file, 'utf8').trim());
    return Number.isSafeInteger(pid) && pid > 1 ? pid : undefined;
  } catch {
    // No file: the server was stopped cleanly, or never ran here.
    return undefined;
  }
}

function isOurs(pid: number, home: string): boolean {
  const config = join(home, 'nats-server.conf');
  return commandLine(pid).includes(config);
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    // No such process, or a system without /proc: ps knows.
  }
  try {
    return execFileSync('ps', ['-o', 'command=', '-p', String(pid)], { encoding: 'utf8' });
  } catch {
    // ps fails where there is no such process.
    return '';
  }
}
