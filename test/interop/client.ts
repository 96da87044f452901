// A client under test, as scenarios use it: calls that answer or are refused, and observations whose sights can be
// awaited. Everything it knows came from its driver.
import assert from 'node:assert/strict';
import type { JsonObject } from '@bufbuild/protobuf';
import { within } from '../support/until.ts';
import type {
  CallError,
  Driver,
  Line,
  ObservedEnd,
  ObserveOptions,
  Rpc,
  SeenEvent,
  StartDriver,
  Target,
} from './driver.ts';

const WAIT_MS = 60_000;

export interface Client extends AsyncDisposable {
  /** The response; an error fails the scenario. */
  readonly call: (to: Target, rpc: Rpc, request: JsonObject) => Promise<JsonObject>;
  /** The error; a response fails the scenario. */
  readonly refused: (
    to: Target,
    rpc: Rpc,
    request: JsonObject,
    timeoutMs?: number,
  ) => Promise<CallError>;
  readonly observe: (to: Target, streamId: string, options?: ObserveOptions) => Observed;
}

export class Observed {
  readonly events: SeenEvent[] = [];
  /** performance.now() of each attachment. */
  readonly attachedAt: number[] = [];
  /** performance.now() of each event. */
  readonly eventAt: number[] = [];
  heartbeats = 0;
  readonly #steer: (op: 'resume' | 'leave') => void;
  readonly #over = Promise.withResolvers<Line>();
  #waiters: { readonly isThere: () => boolean; readonly resolve: () => void }[] = [];

  constructor(steer: (op: 'resume' | 'leave') => void) {
    this.#steer = steer;
    this.#over.promise.catch(() => undefined);
  }

  get cursor(): number {
    return this.events.at(-1)?.sequence ?? 0;
  }

  resume(): void {
    this.#steer('resume');
  }

  leave(): void {
    this.#steer('leave');
  }

  reached(sequence: number): Promise<void> {
    return this.#once(`event ${sequence}`, () => this.cursor >= sequence);
  }

  attachedTimes(count: number, withinMs = WAIT_MS): Promise<void> {
    return this.#once(`attachment ${count}`, () => this.attachedAt.length >= count, withinMs);
  }

  beaten(): Promise<void> {
    return this.#once('a heartbeat', () => this.heartbeats > 0);
  }

  saw(name: string): Promise<void> {
    return this.#once(`the event ${name}`, () => this.events.some((each) => each.case === name));
  }

  /** Every event once, in order, from the cursor on; then what the client made of them. */
  async ended(afterSequence = 0): Promise<ObservedEnd> {
    const { end, error, left } = await within(WAIT_MS, 'an observation', this.#over.promise);
    assert.ok(end !== undefined, `it ended with ${JSON.stringify(error ?? { left })}`);
    for (const [at, { sequence }] of this.events.entries()) {
      assert.equal(sequence, afterSequence + at + 1, 'no gap and no repeat');
    }
    assert.equal(end.cursor, afterSequence + this.events.length);
    assert.equal(end.attachments, this.attachedAt.length);
    return end;
  }

  async failed(): Promise<CallError> {
    const line = await within(WAIT_MS, 'the end of an observation', this.#over.promise);
    assert.ok(line.error !== undefined, `it ended with ${JSON.stringify(line)}`);
    return line.error;
  }

  async hasLeft(): Promise<void> {
    const line = await within(WAIT_MS, 'the end of an observation', this.#over.promise);
    assert.ok(line.left === true, `it ended with ${JSON.stringify(line)}`);
  }

  take(line: Line): void {
    if (line.attached !== undefined) this.attachedAt.push(performance.now());
    else if (line.heartbeat !== undefined) this.heartbeats += 1;
    else if (line.event !== undefined) {
      this.events.push(line.event);
      this.eventAt.push(performance.now());
    } else this.#over.resolve(line);
    this.#waiters = this.#waiters.filter(({ isThere, resolve }) => {
      if (!isThere()) return true;
      resolve();
      return false;
    });
  }

  fail(error: Error): void {
    this.#over.reject(error);
  }

  #once(what: string, isThere: () => boolean, withinMs = WAIT_MS): Promise<void> {
    if (isThere()) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiters.push({ isThere, resolve });
    const over = this.#over.promise.then((line) => {
      if (!isThere()) throw new Error(`it ended before ${what}: ${JSON.stringify(line)}`);
    });
    return within(withinMs, what, Promise.race([promise, over]));
  }
}

export function startClient(start: StartDriver): Client {
  const calls = new Map<string, PromiseWithResolvers<Line>>();
  const observations = new Map<string, Observed>();
  let broken: Error | undefined;
  let ids = 0;

  const driver: Driver = start(
    (line) => {
      const call = calls.get(line.id);
      if (call === undefined) observations.get(line.id)?.take(line);
      else call.resolve(line);
    },
    (error) => {
      broken = error;
      for (const call of calls.values()) call.reject(error);
      for (const observation of observations.values()) observation.fail(error);
    },
  );

  async function ask(to: Target, rpc: Rpc, request: JsonObject, timeoutMs?: number): Promise<Line> {
    if (broken !== undefined) throw broken;
    const id = String(++ids);
    const call = Promise.withResolvers<Line>();
    calls.set(id, call);
    try {
      const more = timeoutMs === undefined ? {} : { timeoutMs };
      driver.send({ id, op: 'call', ...to, rpc, request, ...more });
      return await within(WAIT_MS, rpc, call.promise);
    } finally {
      calls.delete(id);
    }
  }

  return {
    call: async (to, rpc, request) => {
      const { response, error } = await ask(to, rpc, request);
      assert.ok(response !== undefined, `${rpc}: ${JSON.stringify(error)}`);
      return response;
    },
    refused: async (to, rpc, request, timeoutMs) => {
      const { response, error } = await ask(to, rpc, request, timeoutMs);
      assert.ok(error !== undefined, `${rpc} answered ${JSON.stringify(response)}`);
      return error;
    },
    observe: (to, streamId, options = {}) => {
      const id = String(++ids);
      const observed = new Observed((op) => driver.send({ op, target: id }));
      observations.set(id, observed);
      if (broken !== undefined) observed.fail(broken);
      else driver.send({ id, op: 'observe', ...to, streamId, ...options });
      return observed;
    },
    [Symbol.asyncDispose]: () => driver[Symbol.asyncDispose](),
  };
}
