// Logs by pino: one line an event, JSON on stderr, so that stdout is the program's own.
import type { Logger as PinoLogger } from 'pino';
import { destination, pino, stdTimeFunctions } from 'pino';
import { MAX_UNWRITTEN_LOG_BYTES } from '../chat/limits.ts';
import type { LogLevel } from './config.ts';

export function createLogger(level: LogLevel): PinoLogger {
  return pino(
    {
      level,
      base: { pid: process.pid },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      // Causes may carry a driver's request with its headers: only these parts of an error are logged.
      serializers: { err: describeError },
    },
    stderr(),
  );
}

/** Lines that cannot be written, on a full disk or a closed terminal, are tried again with later ones, then dropped. */
function stderr(): ReturnType<typeof destination> {
  const stream = destination({ fd: 2, sync: false, maxLength: MAX_UNWRITTEN_LOG_BYTES });
  // Without a listener the error would end the process; and its flush at the exit would try for ever.
  stream.on('error', () => {
    stream.flushSync = () => undefined;
  });
  return stream;
}

interface Described {
  readonly type: string;
  readonly message: string;
  readonly code?: string;
  readonly stack?: string;
  readonly cause?: Described;
}

const CAUSES = 3;

function describeError(error: unknown, depth = 0): Described {
  if (!(error instanceof Error)) return { type: typeof error, message: String(error) };
  const code = 'code' in error ? { code: String(error.code) } : {};
  const stack = error.stack === undefined ? {} : { stack: error.stack };
  const cause =
    error.cause === undefined || depth >= CAUSES
      ? {}
      : { cause: describeError(error.cause, depth + 1) };
  return { type: error.name, message: error.message, ...code, ...stack, ...cause };
}
