// Reads one streamed answer from the socket to its end. The hot path: a token costs a callback, a
// JSON.parse and a timer's refresh, and no promise.
import type { ModelOutcome, ModelSink } from '../../chat/ports/model.ts';
import { type Asked, createAnswer } from './answer.ts';
import { idleTimeout, unreadable } from './failure.ts';
import type { StreamedBody } from '../http/node-fetch-transport.ts';
import { createSseReader } from '../http/sse-reader.ts';

export interface ReadAnswerOptions {
  readonly sink: ModelSink;
  readonly asked: Asked;
  readonly signal: AbortSignal;
  /** The model has said its first word. */
  readonly onFirstToken: () => void;
  readonly idleTimeoutMs: number;
  readonly tailMs: number;
  readonly maxLineBytes: number;
}

/** Rejects only after the socket is closed. */
export function readAnswer(body: StreamedBody, options: ReadAnswerOptions): Promise<ModelOutcome> {
  const { message, bytes } = body;
  const { sink, signal } = options;
  const { promise, resolve, reject } = Promise.withResolvers<ModelOutcome>();
  const answer = createAnswer(sink, options.asked);
  const reader = createSseReader(
    {
      event: answer.take,
      tooLong() {
        throw unreadable(`a line of more than ${options.maxLineBytes} bytes`);
      },
    },
    options.maxLineBytes,
  );
  let settled = false;
  let begun = false;
  let paused = false;
  let idleTimer: NodeJS.Timeout | undefined;
  let tailTimer: NodeJS.Timeout | undefined;

  function settle(): void {
    settled = true;
    clearTimeout(idleTimer);
    clearTimeout(tailTimer);
    signal.removeEventListener('abort', onAbort);
    bytes.removeListener('data', onData);
  }

  function fail(error: unknown): void {
    if (settled) return;
    settle();
    closed(body, () => reject(error));
    try {
      answer.release();
    } catch {
      // A sink that fails has said so already: that is then the error.
    }
  }

  /** The model server has said all that counts; is it an answer? */
  function conclude(): void {
    if (settled) return;
    let outcome: ModelOutcome;
    try {
      outcome = answer.outcome();
    } catch (error) {
      return fail(error);
    }
    settle();
    resolve(outcome);
    drain(body, options.tailMs);
  }

  function onAbort(): void {
    fail(signal.reason);
  }

  // Comments are counted too: with them a server says that it is still at work, and to end an
  // answer that goes on would lose it. They do not count as a first token: who waits for one wants
  // words, and some proxies send comments as long as they are let.
  function alive(): void {
    if (answer.isFinished()) {
      clearTimeout(idleTimer);
      // The answer is whole already: only usage is awaited, and not for long.
      tailTimer ??= setTimeout(() => {
        conclude();
        message.destroy();
      }, options.tailMs);
    } else if (idleTimer !== undefined) {
      idleTimer.refresh();
    } else if (answer.hasBegun()) {
      const { idleTimeoutMs } = options;
      idleTimer = setTimeout(() => fail(idleTimeout(idleTimeoutMs)), idleTimeoutMs);
    }
  }

  function onData(chunk: Buffer): void {
    try {
      reader.push(chunk);
      if (!begun && answer.hasBegun()) {
        begun = true;
        options.onFirstToken();
      }
      if (answer.isDone()) return conclude();
      alive();
      const pressure = sink.pressure();
      if (pressure !== undefined && !paused) pause(pressure);
    } catch (error) {
      fail(error);
    }
  }

  /** It is we who are silent now: the model server's clock stands still. */
  function pause(until: Promise<void>): void {
    paused = true;
    bytes.pause();
    clearTimeout(idleTimer);
    idleTimer = undefined;
    until.then(() => {
      paused = false;
      if (settled) return;
      alive();
      bytes.resume();
    }, fail);
  }

  function over(): void {
    if (settled) return;
    try {
      reader.end();
    } catch (error) {
      return fail(error);
    }
    conclude();
  }

  bytes.on('end', over);
  bytes.on('close', over);
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  else bytes.on('data', onData);
  return promise;
}

function closed({ message, bytes }: StreamedBody, then: () => void): void {
  bytes.destroy();
  if (message.closed) return then();
  message.once('close', then);
  message.destroy();
}

/** Reads what follows the end, so that the connection can take the next call; or ends it. */
function drain({ message, bytes }: StreamedBody, tailMs: number): void {
  if (message.closed) return;
  const timer = setTimeout(() => message.destroy(), tailMs);
  timer.unref();
  message.once('close', () => clearTimeout(timer));
  bytes.resume();
}
