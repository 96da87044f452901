// The models that a server lists. Starting a chat asks for them each time, so the answer is kept: a list
// that is not fresh is still given at once, and renewed behind the caller's back.
import type { ListedModel } from './listed-model.ts';

export interface ModelList {
  readonly list: (signal: AbortSignal) => Promise<readonly ListedModel[]>;
  /** The newest that was read; undefined before the first. */
  readonly known: () => readonly ListedModel[] | undefined;
}

export interface ModelListOptions {
  /** Asks the model server. Rejects with a ModelFailure. */
  readonly read: () => Promise<readonly ListedModel[]>;
  readonly freshMs: number;
  /** A failed answer stands this long. */
  readonly retryMs: number;
}

export function createModelList(options: ModelListOptions): ModelList {
  // A settled promise, kept as it is: the way that is taken for every chat makes nothing new.
  let known: Promise<readonly ListedModel[]> | undefined;
  let knownModels: readonly ListedModel[] | undefined;
  let knownUntil = 0;
  let reading: Promise<readonly ListedModel[]> | undefined;
  let failed: { readonly error: Error; readonly until: number } | undefined;

  function refresh(): Promise<readonly ListedModel[]> {
    if (reading !== undefined) return reading;
    if (failed !== undefined && failed.until > performance.now()) {
      return Promise.reject(failed.error);
    }
    reading = options.read().then(
      (models) => {
        known = Promise.resolve(models);
        knownModels = models;
        knownUntil = performance.now() + options.freshMs;
        failed = undefined;
        reading = undefined;
        return models;
      },
      (error: Error) => {
        failed = { error, until: performance.now() + options.retryMs };
        reading = undefined;
        throw error;
      },
    );
    return reading;
  }

  return {
    list(signal) {
      if (known === undefined) return orAborted(refresh(), signal);
      // An old list beats none: chats are durable, the model server may be back when they run.
      if (knownUntil < performance.now()) refresh().catch(ignore);
      return known;
    },
    known: () => knownModels,
  };
}

/** One caller's abort ends its own wait and not the reading that others share. */
function orAborted<T>(shared: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const onAbort = (): void => reject(signal.reason);
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  shared.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  return promise;
}

/** The list at hand is still good, and the next caller asks again. */
function ignore(): void {}
