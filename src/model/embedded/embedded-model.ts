// A small real model in a child process behind an OpenAI-compatible loopback endpoint. This file is
// the parent's side: it starts the child, and starts it again when it dies. Here lives all that is
// the model's own; how a chat uses a model server does not, and is the same for every server.
import { access } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { type ChildExit, type EmbeddedChild, spawnEmbeddedChild } from './child-process.ts';
import { EMBEDDED_MODEL_NAME } from './child-protocol.ts';
import { unavailable } from './unavailable.ts';

export interface EmbeddedModel {
  /** Ends in /v1; stays the same when the child is restarted. */
  readonly baseUrl: string;
  readonly modelName: string;
  /** Undefined while the child is being restarted. */
  readonly pid: () => number | undefined;
  readonly [Symbol.asyncDispose]: () => Promise<void>;
}

export type EmbeddedModelEvent =
  | { readonly kind: 'ready'; readonly pid: number; readonly startMs: number }
  | { readonly kind: 'exited'; readonly exit: ChildExit; readonly restartInMs: number }
  | { readonly kind: 'restart_failed'; readonly reason: string; readonly restartInMs: number }
  /** A line of the child's stderr. */
  | { readonly kind: 'output'; readonly line: string };

export interface EmbeddedModelOptions {
  readonly modelPath: string;
  /** The module node-llama-cpp, where it is no neighbour of this package. */
  readonly enginePath?: string | undefined;
  readonly onEvent: (event: EmbeddedModelEvent) => void;
  /** Ends the model, at its start as well as later. */
  readonly signal?: AbortSignal;
  /** Default: one for each core but one, four at most. */
  readonly threads?: number;
  /** Prompt and answer of one request together. Default 4,096. */
  readonly contextTokens?: number;
}

const SEQUENCES = 4;
const QUEUED_REQUESTS = 64;
const DEFAULT_CONTEXT_TOKENS = 4_096;
const MAX_THREADS = 4;
const RESTART_MIN_MS = 100;
const RESTART_MAX_MS = 10_000;
/** A child that lived so long was sound: the next restart is again a quick one. */
const SOUND_AFTER_MS = 30_000;

export async function startEmbeddedModel(options: EmbeddedModelOptions): Promise<EmbeddedModel> {
  const { modelPath, enginePath, onEvent, signal } = options;
  signal?.throwIfAborted();
  await checkParts(modelPath, enginePath);
  const closing = new AbortController();
  const stop = signal === undefined ? closing.signal : AbortSignal.any([signal, closing.signal]);

  let current: EmbeddedChild | undefined;
  async function spawnOn(port: number): Promise<EmbeddedChild> {
    const begun = performance.now();
    const settings = {
      modelPath,
      enginePath,
      port,
      threads: options.threads ?? defaultThreads(),
      sequences: SEQUENCES,
      contextTokens: options.contextTokens ?? DEFAULT_CONTEXT_TOKENS,
      queuedRequests: QUEUED_REQUESTS,
    };
    const onLine = (line: string): void => onEvent({ kind: 'output', line });
    const child = await spawnEmbeddedChild(settings, onLine, stop);
    current = child;
    onEvent({ kind: 'ready', pid: child.pid, startMs: Math.round(performance.now() - begun) });
    return child;
  }

  const first = await spawnOn(0).catch((error: unknown) => {
    signal?.throwIfAborted();
    throw error;
  });
  // Clients know the port, so each restart asks for the same one. Where another process has taken
  // it meanwhile, that is tried again until it is free.
  const { port } = first;

  async function keepAlive(): Promise<void> {
    let child = first;
    let restartInMs = RESTART_MIN_MS;
    for (;;) {
      const bornAt = performance.now();
      const exit = await child.exited;
      current = undefined;
      if (stop.aborted) return;
      if (performance.now() - bornAt >= SOUND_AFTER_MS) restartInMs = RESTART_MIN_MS;
      onEvent({ kind: 'exited', exit, restartInMs });
      for (;;) {
        await delay(restartInMs, undefined, { signal: stop });
        restartInMs = Math.min(restartInMs * 2, RESTART_MAX_MS);
        try {
          child = await spawnOn(port);
          break;
        } catch (error) {
          if (stop.aborted) return;
          const reason = error instanceof Error ? error.message : String(error);
          onEvent({ kind: 'restart_failed', reason, restartInMs });
        }
      }
    }
  }
  const kept = keepAlive().catch((error: unknown) => {
    if (!stop.aborted) throw error;
  });

  return {
    baseUrl: `http://127.0.0.1:${port}/v1`,
    modelName: EMBEDDED_MODEL_NAME,
    pid: () => current?.pid,
    async [Symbol.asyncDispose]() {
      closing.abort(new Error('the embedded model was closed'));
      await kept;
    },
  };
}

/**
 * llama.cpp's threads wait for each other by spinning. With a core for each of them and anything
 * else to do on the machine, 2 cores gave 5–17 tokens/s; one thread gave 28–53 in the same place,
 * and loses nothing on an idle machine.
 */
function defaultThreads(): number {
  return Math.max(1, Math.min(MAX_THREADS, availableParallelism() - 1));
}

/** Looked at before the child is started, for a clear message and without loading the package. */
async function checkParts(modelPath: string, enginePath: string | undefined): Promise<void> {
  try {
    if (enginePath === undefined) import.meta.resolve('node-llama-cpp');
    else await access(enginePath);
  } catch (error) {
    throw unavailable('PACKAGE_MISSING', 'it is not installed', modelPath, error);
  }
  try {
    await access(modelPath);
  } catch (error) {
    throw unavailable('MODEL_UNREADABLE', 'there is no such file', modelPath, error);
  }
}
