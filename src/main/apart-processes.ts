// The processes that run chats apart, as their worker sees them: started, listened to, stopped, and
// killed when they hang.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import {
  APART_ALIVE_MS,
  APART_PROCESSES,
  APART_SILENT_MS,
  APART_START_MS,
} from '../chat/limits.ts';
import { fieldsOf } from '../chat/log-fields.ts';
import type { Logger } from '../chat/logger.ts';
import type { RegistrySpec } from '../model/registry-spec.ts';
import type { Config } from '../ops/config.ts';
import type { Apart, ApartReport, ApartRun } from '../worker/apart.ts';
import { RunStop } from '../worker/run.ts';
import type { ApartOrder } from './apart-protocol.ts';

// Type stripping runs the .ts; in a published package there is only what tsc made of it.
const entry = import.meta.url.endsWith('.ts') ? './apart-process.ts' : './apart-process.js';
const PROGRAM = fileURLToPath(new URL(entry, import.meta.url));

const START_BEATS = APART_START_MS / APART_ALIVE_MS;
const SILENT_BEATS = APART_SILENT_MS / APART_ALIVE_MS;

type Ended = [code: number | null, signal: NodeJS.Signals | null];

/** `config` is what the process is to run with. */
export function apartProcesses(config: Config, models: () => RegistrySpec, logger: Logger): Apart {
  let running = 0;
  return {
    room: () => running < APART_PROCESSES,
    run: async (run) => {
      running++;
      try {
        return await runInProcess(
          { do: 'run', config, models: models(), command: run.command },
          logger,
          run,
        );
      } finally {
        running--;
      }
    },
  };
}

async function runInProcess(order: ApartOrder, logger: Logger, run: ApartRun): Promise<boolean> {
  const { command, abort, onTaken, onAnswer } = run;
  const child = fork(PROGRAM, [], {
    serialization: 'advanced',
    // Its log is this process's log; stdout is for what this program says to who started it.
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const fields = { ...fieldsOf(command), apart_pid: child.pid };
  logger.info(fields, 'a chat that lost its worker goes on in a process of its own');
  let answered = false;
  let beatsLeft = START_BEATS;
  child.on('message', (message) => {
    const report = message as ApartReport;
    beatsLeft = SILENT_BEATS;
    switch (report.what) {
      case 'alive':
        return;
      case 'taken':
        return onTaken();
      case 'ack':
      case 'nak':
        answered = true;
        return onAnswer(report);
      case 'working':
        return onAnswer(report);
    }
  });
  const tell = (order: ApartOrder): void => {
    // One that is gone, or going, needs to be told nothing.
    if (child.connected) child.send(order, () => undefined);
  };
  // Counted, not timed: a pause of this process is no silence of the other.
  const listening = setInterval(() => {
    if (--beatsLeft >= 0) return;
    logger.error(fields, 'the process that runs a chat apart says nothing any more; it is killed');
    child.kill('SIGKILL');
  }, APART_ALIVE_MS);
  const onAbort = (): void => {
    const reason: unknown = abort.reason;
    if (reason instanceof RunStop && reason.why === 'hand-back') tell({ do: 'stop' });
  };
  abort.addEventListener('abort', onAbort, { once: true });
  try {
    tell(order);
    onAbort();
    // With the channel: nothing that it said is missed.
    const [code, signal] = (await once(child, 'close')) as Ended;
    if (code !== 0) {
      logger.error({ ...fields, code, signal }, 'the process that ran a chat apart died');
    }
    return answered;
  } finally {
    clearInterval(listening);
    abort.removeEventListener('abort', onAbort);
  }
}
