// src/documents: the bytes of documents, turned to text. Libraries that read hostile files run in a thread
// of a process of their own, bounded in time and memory. May not live here: what a request may hold, and what becomes of the text.
import { fileURLToPath } from 'node:url';
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

export function createDocumentReader(
  logger: Logger,
  options: DocumentReaderOptions = {},
): DocumentReaders {
  const bounds: ReaderBounds = {
    readMs: options.readMs ?? DOCUMENT_READ_MS,
    heapMib: options.heapMib ?? DOCUMENT_READER_HEAP_MIB,
    memoryBytes: options.memoryBytes ?? DOCUMENT_READER_MEMORY_BYTES,
  };
  const maxWaitingBytes = options.maxWaitingBytes ?? MAX_WAITING_DOCUMENT_BYTES;
  const pool = createProcessPool({
    program: programPath,
    given: JSON.stringify(bounds),
    places: options.readers ?? DOCUMENT_READERS,
    idleMs: options.idleMs ?? DOCUMENT_READER_IDLE_MS,
    maxWaiting: maxWaitingBytes,
  });

  async function run(place: Place, job: ReadJob, signal: AbortSignal): Promise<DocumentReading> {
    const withinMs = bounds.readMs + GRACE_MS;
    const { reading, last } = (await place.ask(job, { withinMs, signal })) as ReadReply;
    if (last) place.retire();
    return reading;
  }

  function inWords(failure: ProcessFailure, kind: DocumentKind): DocumentReading {
    switch (failure.kind) {
      case 'full':
        throw readersBusy(maxWaitingBytes);
      case 'too-slow':
        return { unreadable: tooLong(bounds.readMs) };
      case 'killed':
        logger.warn({ kind, err: failure }, 'the process that reads documents died');
        return { unreadable: 'broke the program that reads documents, most likely by its size' };
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
