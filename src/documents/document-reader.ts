// src/documents: the bytes of documents, turned to text. Libraries that read hostile files run in a thread
// of a process of their own, bounded in time and memory. May not live here: what a request may hold, and what becomes of the text.
import type { ChatKey } from '../chat/chat-key.ts';
import type { DocumentReader, DocumentReading, DocumentToRead } from '../chat/ports/document.ts';
import { ChatError } from '../chat/errors.ts';
import {
  DOCUMENT_READ_MS,
  DOCUMENT_READER_HEAP_MIB,
  DOCUMENT_READER_IDLE_MS,
  DOCUMENT_READER_MEMORY_BYTES,
  DOCUMENT_READERS,
  MAX_WAITING_DOCUMENT_BYTES,
} from '../chat/limits.ts';
import type { Logger } from '../chat/ports/logger.ts';
import type { DocumentKind } from '../chat/media-type.ts';
import { createProcessPool, type Place, ProcessFailure } from '../processes/process-pool.ts';
import { decodeText } from './decode-text.ts';
import type { ReadJob, ReadReply } from './reader-protocol.ts';
import { tooLong, tooMuchMemory, Unreadable } from './unreadable.ts';

export interface DocumentReaderOptions {
  readonly readers?: number;
  /** For one document. */
  readonly readMs?: number;
  readonly memoryBytes?: number;
  readonly idleMs?: number;
  readonly maxWaitingBytes?: number;
}

export interface DocumentReaders extends DocumentReader, AsyncDisposable {
  /** Processes that there are now. */
  readonly processes: () => number;
}

// Type stripping runs it; in a published package there is only what tsc made of it.
const entry = import.meta.url.endsWith('.ts') ? './reader-thread.ts' : './reader-thread.js';
const thread = new URL(entry, import.meta.url).href;

export function createDocumentReader(
  logger: Logger,
  options: DocumentReaderOptions = {},
): DocumentReaders {
  const readMs = options.readMs ?? DOCUMENT_READ_MS;
  const memoryBytes = options.memoryBytes ?? DOCUMENT_READER_MEMORY_BYTES;
  const maxWaitingBytes = options.maxWaitingBytes ?? MAX_WAITING_DOCUMENT_BYTES;
  const pool = createProcessPool({
    thread,
    memoryBytes,
    heapMib: DOCUMENT_READER_HEAP_MIB,
    places: options.readers ?? DOCUMENT_READERS,
    idleMs: options.idleMs ?? DOCUMENT_READER_IDLE_MS,
    maxWaiting: maxWaitingBytes,
  });

  async function run(place: Place, job: ReadJob, signal: AbortSignal): Promise<DocumentReading> {
    const { reading, last } = (await place.ask(job, { withinMs: readMs, signal })) as ReadReply;
    if (last) place.retire();
    return reading;
  }

  function inWords(failure: ProcessFailure, kind: DocumentKind): DocumentReading {
    switch (failure.kind) {
      case 'full':
        throw readersBusy(maxWaitingBytes);
      case 'too-slow':
        return { unreadable: tooLong(readMs) };
      case 'killed':
        logger.info(
          { kind },
          'a process that reads documents was killed, most likely for its size',
        );
        return { unreadable: tooMuchMemory(memoryBytes) };
      case 'broken':
        logger.error({ kind, err: failure }, 'the process that reads documents cannot be used');
        return { unreadable: 'could not be read: the program that reads documents broke' };
    }
  }

  async function readElsewhere(
    { kind, data, charset }: DocumentToRead,
    whose: ChatKey,
    signal: AbortSignal,
  ): Promise<DocumentReading> {
    try {
      return await pool.run(whose, data.length, signal, (place) =>
        run(place, { kind, data, charset }, signal),
      );
    } catch (error) {
      if (error instanceof ProcessFailure) return inWords(error, kind);
      throw error;
    }
  }

  return {
    read: async (document, whose, signal) => {
      if (document.kind !== 'text') return readElsewhere(document, whose, signal);
      try {
        return { text: decodeText(document.data, document.charset) };
      } catch (error) {
        if (error instanceof Unreadable) return { unreadable: error.message };
        throw error;
      }
    },
    processes: pool.processes,
    [Symbol.asyncDispose]: () => pool[Symbol.asyncDispose](),
  };
}

function readersBusy(bytes: number): ChatError {
  return new ChatError(
    'QUEUE_FULL',
    `Documents of ${bytes} bytes wait to be read, the most that may; nothing was created. Call again in a moment.`,
    { retryAfterMs: 2_000 },
  );
}
