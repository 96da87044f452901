// Who may call a model server, and when. All calls of a worker stand in one line: the bounds on calls at
// once, of a model and of a server, and a hold-back that a server asked for by 429 keep there whom they
// concern, and the others pass. A call keeps its place in the line over all of its tries.
import {
  MODEL_HOLD_BACK_FORGET_MS,
  MODEL_HOLD_BACK_MAX_MS,
  MODEL_WINDOW_OPEN,
} from '../../chat/limits.ts';
import type { ModelFailure } from '../../chat/ports/model.ts';
import type { RetryPolicy } from './retry.ts';
import { backoffMs } from './retry.ts';

/** A model or a server, by its name, and the most calls of it at once; undefined: no bound. */
export interface Lane {
  readonly name: string;
  readonly parallelCalls: number | undefined;
}

export interface Asking {
  /** Of the call, from `place`. */
  readonly place: number;
  readonly model: Lane;
  readonly server: Lane;
  /** The model is held back, by this failure: time is lost that counts. Called before `deadlineMs`. */
  readonly onHeldBack: (failure: ModelFailure) => void;
  /** By performance.now(). A hold-back that lasts longer is not waited for. */
  readonly deadlineMs: () => number;
}

/** The right to one try. */
export interface Ticket {
  /** The server has taken it: others may follow. */
  readonly taken: () => void;
  /** 429: nothing more goes to this model for as long as its server wishes. */
  readonly refused: (retryAfterMs: number | undefined, failure: ModelFailure) => void;
  /** The try is over, whatever became of it. Called exactly once. */
  readonly leave: () => void;
}

export interface Admission {
  readonly place: () => number;
  /** Rejects with the signal's reason, or with the failure of the 429 that it would wait for too long. */
  readonly enter: (asking: Asking, signal: AbortSignal) => Promise<Ticket>;
  /** As after a change of the operator's file. */
  readonly forgetHoldBacks: () => void;
}

interface Gate {
  parallelCalls: number | undefined;
  /** Calls that are in. */
  running: number;
}

interface ModelGate extends Gate {
  heldUntilMs: number;
  /** What the server said by its newest 429. */
  failure: ModelFailure | undefined;
  /** Hold-backs in a row. */
  refusals: number;
  /** When the newest of them was asked for. */
  refusedAtMs: number;
  /**
   * How many calls that the server has not taken yet may be under way: one after a hold-back, then
   * twice as many with each that is taken, so that those who waited do not all come at once.
   */
  window: number;
  untaken: number;
}

interface Waiter {
  readonly asking: Asking;
  readonly model: ModelGate;
  readonly server: Gate;
  readonly admit: (ticket: Ticket) => void;
  readonly refuse: (failure: ModelFailure) => void;
}

export function createAdmission(policy: RetryPolicy): Admission {
  const models = new Map<string, ModelGate>();
  const servers = new Map<string, Gate>();
  let line: Waiter[] = [];
  let places = 0;
  let timer: NodeJS.Timeout | undefined;

  function modelGate({ name, parallelCalls }: Lane): ModelGate {
    const gate = models.get(name) ?? {
      parallelCalls,
      running: 0,
      ...OPEN,
      untaken: 0,
      refusedAtMs: -Infinity,
    };
    models.set(name, gate);
    gate.parallelCalls = parallelCalls;
    return gate;
  }

  function serverGate({ name, parallelCalls }: Lane): Gate {
    const gate = servers.get(name) ?? { parallelCalls, running: 0 };
    servers.set(name, gate);
    gate.parallelCalls = parallelCalls;
    return gate;
  }

  /** Lets in whoever may, in the order of the line. */
  function serve(): void {
    const nowMs = performance.now();
    let nextMs = Infinity;
    line = line.filter((waiter) => {
      const { asking, model, server, admit, refuse } = waiter;
      const { failure } = model;
      if (model.heldUntilMs > nowMs && failure !== undefined) {
        asking.onHeldBack(failure);
        if (model.heldUntilMs >= asking.deadlineMs()) {
          refuse(failure);
          return false;
        }
        nextMs = Math.min(nextMs, model.heldUntilMs);
        return true;
      }
      if (nowMs - model.heldUntilMs > MODEL_HOLD_BACK_FORGET_MS) Object.assign(model, OPEN);
      if (isFull(model) || isFull(server) || model.untaken >= model.window) return true;
      admit(ticketOf(model, server));
      return false;
    });
    clearTimeout(timer);
    if (nextMs < Infinity) timer = setTimeout(serve, Math.ceil(nextMs - nowMs));
  }

  function ticketOf(model: ModelGate, server: Gate): Ticket {
    const admittedAtMs = performance.now();
    let untaken = true;
    model.running++;
    server.running++;
    model.untaken++;
    const settle = (): void => {
      if (untaken) model.untaken--;
      untaken = false;
    };
    return {
      taken: () => {
        settle();
        // Said by calls that went out before the hold-back: it speaks of none that come after it.
        if (admittedAtMs < model.refusedAtMs) return;
        model.refusals = 0;
        model.window = model.window >= MODEL_WINDOW_OPEN ? Infinity : model.window * 2;
        serve();
      },
      refused: (retryAfterMs, failure) => {
        settle();
        const nowMs = performance.now();
        // Calls that were under way together are refused together: that is one hold-back.
        if (admittedAtMs >= model.refusedAtMs) {
          model.refusals++;
          model.refusedAtMs = nowMs;
        }
        const own = backoffMs(model.refusals, policy);
        // A server that says "at once" again and again is not believed for ever.
        const asked = retryAfterMs ?? own;
        const waitMs = model.refusals > 1 ? Math.max(asked, own) : asked;
        const heldUntilMs = nowMs + Math.min(waitMs, MODEL_HOLD_BACK_MAX_MS);
        model.heldUntilMs = Math.max(model.heldUntilMs, heldUntilMs);
        model.failure = failure;
        model.window = 1;
      },
      leave: () => {
        settle();
        model.running--;
        server.running--;
        serve();
      },
    };
  }

  return {
    place: () => ++places,
    enter(asking, signal) {
      const { promise, resolve, reject } = Promise.withResolvers<Ticket>();
      const onAbort = (): void => {
        line = line.filter((each) => each !== waiter);
        reject(signal.reason);
        serve();
      };
      const waiter: Waiter = {
        asking,
        model: modelGate(asking.model),
        server: serverGate(asking.server),
        admit: (ticket) => {
          signal.removeEventListener('abort', onAbort);
          resolve(ticket);
        },
        refuse: (failure) => {
          signal.removeEventListener('abort', onAbort);
          reject(failure);
        },
      };
      if (signal.aborted) {
        reject(signal.reason);
        return promise;
      }
      signal.addEventListener('abort', onAbort, { once: true });
      const behind = line.findIndex((each) => each.asking.place > asking.place);
      line.splice(behind === -1 ? line.length : behind, 0, waiter);
      serve();
      return promise;
    },
    forgetHoldBacks: () => {
      for (const gate of models.values()) Object.assign(gate, OPEN);
      serve();
    },
  };
}

const OPEN = { heldUntilMs: 0, failure: undefined, refusals: 0, window: Infinity };

function isFull({ parallelCalls, running }: Gate): boolean {
  return parallelCalls !== undefined && running >= parallelCalls;
}
