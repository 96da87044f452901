// The processes that run chats apart, as their worker sees them: started, listened to, stopped, and
// killed when they hang.
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import {
  APART_ALIVE_MS,
  APART_IDLE_MS,
  APART_PROCESSES,
  APART_SILENT_MS,
  APART_START_MS,
} from '../../chat/limits.ts';
import { fieldsOf } from '../../chat/ports/log-fields.ts';
import type { Logger } from '../../chat/ports/logger.ts';
import type { Config } from '../../ops/config.ts';
import type { Apart, ApartReport, ApartRun } from '../../worker/apart.ts';
import { RunStop } from '../../worker/run-stop.ts';
import type { ApartOrder, Given } from './apart-protocol.ts';

// Type stripping runs the .ts; in a published package there is only what tsc made of it.
const entry = import.meta.url.endsWith('.ts') ? '../apart-process.ts' : '../apart-process.js';
const PROGRAM = fileURLToPath(new URL(entry, import.meta.url));

const START_BEATS = APART_START_MS / APART_ALIVE_MS;
const SILENT_BEATS = APART_SILENT_MS / APART_ALIVE_MS;

/** `config` is what the processes are to run with. */
export function apartProcesses(config: Config, given: () => Given, logger: Logger): Apart {
  let running = 0;
  /** Each with the timer that ends it where no chat comes. */
  const free = new Map<ApartProcess, NodeJS.Timeout>();
  const freeWith = (wanted: Given): ApartProcess | undefined => {
    for (const [process, idle] of free) {
      clearTimeout(idle);
      free.delete(process);
      if (isSame(process.given, wanted) && !process.isGone()) return process;
      process.stop();
    }
    return undefined;
  };
  return {
    room: () => running < APART_PROCESSES,
    run: async (run) => {
      running++;
      const wanted = given();
      const process = freeWith(wanted) ?? startProcess(config, wanted, logger);
      try {
        return await process.run(run);
      } finally {
        running--;
        const idle = setTimeout(() => {
          free.delete(process);
          process.stop();
        }, APART_IDLE_MS);
        free.set(process, idle.unref());
      }
    },
    close: () => {
      for (const [process, idle] of free) {
        clearTimeout(idle);
        process.stop();
      }
      free.clear();
    },
  };
}

/** The files were not read again in between. */
function isSame(a: Given, b: Given): boolean {
  return a.models === b.models && a.mcpServers === b.mcpServers;
}

interface ApartProcess {
  readonly given: Given;
  /** Or going. */
  readonly isGone: () => boolean;
  readonly run: (run: ApartRun) => Promise<boolean>;
  /** It hands back what it runs, and ends. */
  readonly stop: () => void;
}

function startProcess(config: Config, given: Given, logger: Logger): ApartProcess {
  const child = fork(PROGRAM, [], {
    serialization: 'advanced',
    // Its log is this process's log; stdout is for what this program says to who started it.
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  let current: Current | undefined;
  let beatsLeft = START_BEATS;
  let gone = false;
  let stopping = false;
  const fields = (): Readonly<Record<string, unknown>> => ({
    ...(current === undefined ? {} : fieldsOf(current.run.command)),
    apart_pid: child.pid,
  });
  const done = (): void => {
    current?.done();
    current = undefined;
  };
  const stop = (): void => {
    stopping = true;
    tell({ do: 'stop' });
  };
  const tell = (order: ApartOrder): void => {
    // One that is gone, or going, needs to be told nothing.
    if (child.connected) child.send(order, () => undefined);
  };
  child.on('message', (message) => {
    const report = message as ApartReport;
    beatsLeft = SILENT_BEATS;
    switch (report.what) {
      case 'alive':
        return;
      case 'free':
        return done();
      case 'taken':
        return current?.run.onTaken();
      case 'ack':
      case 'nak':
      case 'working':
        if (current === undefined) return;
        current.answered ||= report.what !== 'working';
        return current.run.onAnswer(report);
    }
  });
  // Counted, not timed: a pause of this process is no silence of the other.
  const listening = setInterval(() => {
    if (--beatsLeft >= 0) return;
    logger.error(
      fields(),
      'the process that runs a chat apart says nothing any more; it is killed',
    );
    child.kill('SIGKILL');
  }, APART_ALIVE_MS);
  // With the channel: nothing that it said is missed.
  child.once('close', (code, signal) => {
    gone = true;
    clearInterval(listening);
    if (code !== 0) {
      logger.error({ ...fields(), code, signal }, 'the process that ran a chat apart died');
    }
    done();
  });
  tell({ do: 'start', config, given });
  return {
    given,
    isGone: () => gone || stopping,
    stop,
    run: async (run) => {
      const { promise, resolve } = Promise.withResolvers<void>();
      const own: Current = { run, answered: false, done: resolve };
      current = own;
      logger.info(fields(), 'a chat that lost its worker goes on in a process of its own');
      const onAbort = (): void => {
        const reason: unknown = run.abort.reason;
        if (reason instanceof RunStop && reason.why === 'hand-back') stop();
      };
      run.abort.addEventListener('abort', onAbort, { once: true });
      tell({ do: 'run', command: run.command });
      onAbort();
      if (gone) done();
      await promise;
      run.abort.removeEventListener('abort', onAbort);
      return own.answered;
    },
  };
}

interface Current {
  readonly run: ApartRun;
  answered: boolean;
  readonly done: () => void;
}
