// src/documents: the bytes of documents, turned to text. Libraries that read hostile files run in a thread
// of a process of their own, bounded in time and memory: here are its starts and ends, and who waits for
// it. May not live here: what a request may hold, and what becomes of the text.
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { DocumentReader, DocumentReading, DocumentToRead } from '../chat/document-port.ts';
import { ChatError } from '../chat/errors.ts';
import {
  DOCUMENT_READ_MS,
  DOCUMENT_READER_HEAP_MIB,
  DOCUMENT_READER_IDLE_MS,
  DOCUMENT_READER_MEMORY_BYTES,
  DOCUMENT_READERS,
  MAX_WAITING_DOCUMENT_BYTES,
} from '../chat/limits.ts';
import type { Logger } from '../chat/logger.ts';
import { decodeText } from './decode-text.ts';
import type { ReaderBounds, ReadJob, ReadReply } from './reader-protocol.ts';
import { tooLong, Unreadable } from './unreadable.ts';

export interface DocumentReaderOptions extends Partial<ReaderBounds> {
  readonly readers?: number;
  readonly idleMs?: number;
  readonly maxWaitingBytes?: number;
}

export interface DocumentReaders extends DocumentReader, AsyncDisposable {
  /** Processes that there are now. */
  readonly processes: () => number;
}

/** The process keeps its own time; one that does not answer even so is ended after this much more. */
const GRACE_MS = 5_000;

// Type stripping runs it; in a published package there is only what tsc made of it.
const entry = import.meta.url.endsWith('.ts') ? './reader-process.ts' : './reader-process.js';
const programPath = fileURLToPath(new URL(entry, import.meta.url));

interface Waiting {
  readonly document: DocumentToRead;
  readonly start: (slot: Slot) => void;
}

/** A place for one process, which is there when something is to be read and for a while after. */
interface Slot {
  child: ChildProcess | undefined;
  busy: boolean;
  idle: NodeJS.Timeout | undefined;
}

export function createDocumentReader(
  logger: Logger,
  options: DocumentReaderOptions = {},
): DocumentReaders {
  const bounds: ReaderBounds = {
    readMs: options.readMs ?? DOCUMENT_READ_MS,
    heapMib: options.heapMib ?? DOCUMENT_READER_HEAP_MIB,
    memoryBytes: options.memoryBytes ?? DOCUMENT_READER_MEMORY_BYTES,
  };
  const idleMs = options.idleMs ?? DOCUMENT_READER_IDLE_MS;
  const maxWaitingBytes = options.maxWaitingBytes ?? MAX_WAITING_DOCUMENT_BYTES;
  const slots = Array.from({ length: options.readers ?? DOCUMENT_READERS }, (): Slot => {
    return { child: undefined, busy: false, idle: undefined };
  });
  const waiting: Waiting[] = [];
  let waitingBytes = 0;
  let closed = false;

  function childOf(slot: Slot): ChildProcess {
    if (slot.child !== undefined) return slot.child;
    const child = fork(programPath, [JSON.stringify(bounds)], {
      // What the libraries print may hold what they read.
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      serialization: 'advanced',
      // It needs none of this process's secrets, and may write no file and start no program.
      env: {},
      execArgv: ['--permission', '--allow-fs-read=*', '--allow-worker'],
    });
    child.once('exit', () => {
      if (slot.child === child) slot.child = undefined;
    });
    // Whoever waits for an answer hears of it as well; between two documents it is no news.
    child.on('error', () => undefined);
    slot.child = child;
    return child;
  }

  function run(slot: Slot, job: ReadJob): Promise<DocumentReading> {
    const child = childOf(slot);
    const { promise, resolve } = Promise.withResolvers<DocumentReading>();
    const onMessage = (message: unknown): void => {
      const { reading, last } = message as ReadReply;
      if (last) slot.child = undefined;
      resolve(reading);
    };
    const onGone = (code: number | null, signal: string | null): void => {
      logger.warn({ kind: job.kind, code, signal }, 'the process that reads documents died');
      resolve({ unreadable: 'broke the program that reads documents, most likely by its size' });
    };
    const onError = (error: Error): void => {
      logger.error({ err: error }, 'the process that reads documents cannot be used');
      child.kill('SIGKILL');
      resolve({ unreadable: 'could not be read: the program that reads documents does not start' });
    };
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      resolve({ unreadable: tooLong(bounds.readMs) });
    }, bounds.readMs + GRACE_MS);
    child.once('message', onMessage).once('exit', onGone).once('error', onError);
    child.send(job, (error) => {
      if (error !== null) onError(error);
    });
    return promise.finally(() => {
      clearTimeout(timer);
      child.off('message', onMessage).off('exit', onGone).off('error', onError);
    });
  }

  /** Gives the slot to who has waited longest, or lets its process go when nobody comes. */
  function release(slot: Slot): void {
    slot.busy = false;
    const next = waiting.shift();
    if (next !== undefined) return next.start(slot);
    slot.idle = setTimeout(() => {
      const { child } = slot;
      // Before it is gone: the next document must not be given to it.
      slot.child = undefined;
      child?.kill('SIGKILL');
    }, idleMs).unref();
  }

  function take(document: DocumentToRead, signal: AbortSignal): Promise<Slot> {
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<Slot>();
    const start = (slot: Slot): void => {
      signal.removeEventListener('abort', onAbort);
      clearTimeout(slot.idle);
      slot.busy = true;
      resolve(slot);
    };
    const onAbort = (): void => {
      const at = waiting.indexOf(own);
      if (at >= 0) waiting.splice(at, 1);
      reject(signal.reason);
    };
    const own: Waiting = { document, start };
    const free = slots.find(({ busy }) => !busy);
    if (free !== undefined) start(free);
    else {
      signal.addEventListener('abort', onAbort, { once: true });
      waiting.push(own);
    }
    return promise;
  }

  async function readElsewhere(
    document: DocumentToRead,
    signal: AbortSignal,
  ): Promise<DocumentReading> {
    const { kind, data, charset } = document;
    const { length } = data;
    if (closed || waitingBytes + length > maxWaitingBytes) throw readersBusy(maxWaitingBytes);
    waitingBytes += length;
    try {
      const slot = await take(document, signal);
      try {
        return await run(slot, { kind, data, charset });
      } finally {
        release(slot);
      }
    } finally {
      waitingBytes -= length;
    }
  }

  return {
    read: async (document, signal) => {
      if (document.kind !== 'text') return readElsewhere(document, signal);
      try {
        return { text: decodeText(document.data, document.charset) };
      } catch (error) {
        if (error instanceof Unreadable) return { unreadable: error.message };
        throw error;
      }
    },
    processes: () => slots.filter(({ child }) => child !== undefined).length,
    [Symbol.asyncDispose]: async () => {
      closed = true;
      await Promise.all(
        slots.map(async ({ child, idle }) => {
          clearTimeout(idle);
          if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
          const gone = new Promise((resolve) => child.once('exit', resolve));
          child.kill('SIGKILL');
          await gone;
        }),
      );
    },
  };
}

function readersBusy(bytes: number): ChatError {
  return new ChatError(
    'QUEUE_FULL',
    `Documents of ${bytes} bytes wait to be read, the most that may; nothing was created. Call again in a moment.`,
    { retryAfterMs: 2_000 },
  );
}
