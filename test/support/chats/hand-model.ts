// A model whose words the test gives by hand, through the port that every model is asked by.
import { StopReason } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import type {
  ModelCall,
  ModelClient,
  ModelOutcome,
  ModelSink,
} from '../../../src/chat/ports/model.ts';
import { TEST_MODEL_INFO } from './test-model.ts';
import { HANGS_MS, within } from '../until.ts';

/** One call of the model, in the test's hands. */
export interface HandCall {
  readonly call: ModelCall;
  readonly sink: ModelSink;
  readonly signal: AbortSignal;
  readonly finish: (stopReason?: StopReason) => void;
  readonly fail: (error: unknown) => void;
  /** Resolves with the signal's reason when the call is aborted. */
  readonly aborted: Promise<unknown>;
}

export interface HandModel extends ModelClient {
  /** The next call that nobody has taken yet, in the order of arrival. */
  readonly nextCall: () => Promise<HandCall>;
  /** Calls that have begun, ended ones included. */
  readonly begun: () => number;
  /** Calls that have begun and not ended. */
  readonly running: () => number;
}

export function handModel(): HandModel {
  const untaken: HandCall[] = [];
  const waiting: ((call: HandCall) => void)[] = [];
  let begun = 0;
  let running = 0;
  return {
    listModels: () => Promise.resolve([TEST_MODEL_INFO]),
    generate: (call, sink, signal) => {
      begun++;
      running++;
      const outcome = Promise.withResolvers<ModelOutcome>();
      const aborted = Promise.withResolvers<unknown>();
      const onAbort = (): void => {
        outcome.reject(signal.reason);
        aborted.resolve(signal.reason);
      };
      if (signal.aborted) onAbort();
      else signal.addEventListener('abort', onAbort, { once: true });
      const hand: HandCall = {
        call,
        sink,
        signal,
        finish: (stopReason = StopReason.END_TURN) => outcome.resolve({ stopReason }),
        fail: (error) => outcome.reject(error),
        aborted: aborted.promise,
      };
      const next = waiting.shift();
      if (next === undefined) untaken.push(hand);
      else next(hand);
      return outcome.promise.finally(() => running--);
    },
    nextCall: () => {
      const first = untaken.shift();
      if (first !== undefined) return Promise.resolve(first);
      const { promise, resolve } = Promise.withResolvers<HandCall>();
      waiting.push(resolve);
      return within(HANGS_MS, 'a call of the model', promise);
    },
    begun: () => begun,
    running: () => running,
  };
}

/** Says these words at once, each in a turn of the event loop of its own, and is done. */
export function promptModel(words: readonly string[]): ModelClient {
  return {
    listModels: () => Promise.resolve([TEST_MODEL_INFO]),
    generate: async (_call, sink, signal) => {
      for (const word of words) {
        await new Promise((resolve) => setImmediate(resolve));
        signal.throwIfAborted();
        sink.text(word);
      }
      return { stopReason: StopReason.END_TURN };
    },
  };
}
