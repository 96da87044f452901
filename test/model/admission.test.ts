// Who may call a model server, and when: hold-backs by 429, bounds on calls at once, the order of the line.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FailureReason } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { ModelFailure } from '../../src/chat/ports/model.ts';
import { createAdmission, type Ticket } from '../../src/model/calls/admission.ts';
import { createRegistry, type RegistryPolicy } from '../../src/model/registry.ts';
import {
  bareModel,
  type ModelSpec,
  type ServerSpec,
} from '../../src/model/settings/registry-spec.ts';
import { type ModelServer, startModelServer } from '../model-server/model-server.ts';
import type { ScriptInput } from '../model-server/script.ts';
import { until } from '../support/until.ts';
import { modelCall, NEVER, recordingSink } from './model-call.ts';

/** Two models at one server. */
function registryAt(
  server: ModelServer,
  bounds: { readonly model?: number; readonly server?: number } = {},
  policy: RegistryPolicy = {},
) {
  const spec: ServerSpec = {
    name: 's',
    baseUrl: server.url,
    apiKey: undefined,
    headers: {},
    dialect: 'vllm',
    discover: false,
    parallelCalls: bounds.server,
  };
  const models: ModelSpec[] = [
    { ...bareModel('test-model', 's'), parallelCalls: bounds.model },
    bareModel('test-model-small', 's'),
  ];
  const settings = { retryBaseMs: 1, tailMs: 100, ...policy };
  return createRegistry({ servers: [spec], models, defaultModel: undefined }, settings);
}

/** Without a time: what counts is the order in which the server was asked. */
function askedIds(server: ModelServer): unknown[] {
  return server.requests.map(({ body }) => {
    const { messages } = body as { readonly messages: readonly { readonly content: string }[] };
    return (JSON.parse(messages[0]?.content ?? '') as ScriptInput).id;
  });
}

const asking = (id: string, script: ScriptInput = {}) => modelCall({ tokens: 1, ...script, id });

test('a 429 holds back its model alone, for all calls, and none is lost', async () => {
  await using server = await startModelServer();
  const registry = registryAt(server);
  const limited = { fault: 'status', status: 429, times: 1, retry_after_ms: 400 } as const;
  const first = registry.generate(asking('first', limited), recordingSink(), NEVER);
  const refused = await server.nextRequest();
  const other = { ...asking('other'), model: 'test-model-small' };
  // By the time that this one is answered the refusal is known.
  assert.equal(await refused.ended, 'answered');
  await registry.generate(other, recordingSink(), NEVER);
  const rest = ['a', 'b', 'c'].map((id) => registry.generate(asking(id), recordingSink(), NEVER));
  await registry.generate(other, recordingSink(), NEVER);
  assert.deepEqual(askedIds(server), ['first', 'other', 'other'], 'others go on meanwhile');
  await Promise.all([first, ...rest]);
  const asked = askedIds(server);
  const order = ['first', 'other', 'other', 'first', 'a', 'b', 'c'];
  assert.deepEqual(asked, order, 'who waits keeps its place');
  const again = server.requests[3]?.at ?? 0;
  assert.ok(again - refused.at >= 399, `${again - refused.at} ms after it was asked to wait 400`);
  registry.close();
});

test('after a hold-back they do not all come at once: one, and twice as many with each that is taken', async () => {
  const admission = createAdmission({ tries: 1, baseMs: 1, maxMs: 1 });
  const lane = { name: 'm', parallelCalls: undefined };
  const inside: Ticket[] = [];
  const come = (): void => {
    const asking = {
      place: admission.place(),
      model: lane,
      server: lane,
      onHeldBack: () => undefined,
      deadlineMs: () => Infinity,
    };
    void admission.enter(asking, NEVER).then((ticket) => inside.push(ticket));
  };
  const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  come();
  await settled();
  inside[0]?.refused(
    20,
    new ModelFailure(FailureReason.UPSTREAM_RATE_LIMITED, '429', { retryable: true }),
  );
  inside.shift()?.leave();
  for (let i = 0; i < 40; i++) come();
  await settled();
  assert.equal(inside.length, 0, 'nobody while it lasts');
  await until('the first', () => inside.length > 0);
  assert.equal(inside.length, 1);
  for (const [taken, then] of [
    [1, 3],
    [2, 6],
    [3, 11],
    [4, 20],
    [5, 37],
    [6, 40],
  ] as const) {
    inside[taken - 1]?.taken();
    await settled();
    assert.equal(inside.length, then, `${taken} are taken`);
  }
  for (const ticket of inside) ticket.leave();
});

test('a server that goes on refusing is asked ever more seldom, by one call at a time, until the deadline', async () => {
  await using server = await startModelServer();
  const registry = registryAt(server, {}, { firstTokenTimeoutMs: 600, retryBaseMs: 40 });
  const never = { fault: 'status', status: 429, retry_after: 0 } as const;
  const calls = Array.from({ length: 20 }, (_, i) =>
    assert.rejects(registry.generate(asking(`${i}`, never), recordingSink(), NEVER), {
      reason: FailureReason.UPSTREAM_RATE_LIMITED,
    }),
  );
  await Promise.all(calls);
  // The twenty that came together, and then one at a time.
  assert.ok(server.requests.length < 60, `${server.requests.length} requests of 20 calls`);
  registry.close();
});

test('parallel_calls of a model and of its server bound the calls at once; who waits keeps its order', async () => {
  for (const bounds of [{ model: 2 }, { server: 2 }]) {
    await using server = await startModelServer();
    const registry = registryAt(server, bounds);
    const slow = { fault: 'endless', interval_ms: 5 } as const;
    const aborts = ['a', 'b', 'c', 'd', 'e'].map((id) => {
      const abort = new AbortController();
      const call = asking(id, slow);
      const ended = assert.rejects(registry.generate(call, recordingSink(), abort.signal), /stop/);
      return { abort, ended };
    });
    const stop = async (i: number): Promise<void> => {
      aborts[i]?.abort.abort(new Error('stop'));
      await aborts[i]?.ended;
    };
    await server.waitForActive(2);
    assert.deepEqual(askedIds(server), ['a', 'b']);
    // Who leaves the line does so at once, and is never sent.
    await stop(2);
    await stop(1);
    await until('the next', () => server.requests.length === 3);
    assert.deepEqual(askedIds(server), ['a', 'b', 'd']);
    assert.equal(server.active, 2);
    await stop(0);
    await until('the last', () => server.requests.length === 4);
    await stop(3);
    await stop(4);
    assert.deepEqual(askedIds(server), ['a', 'b', 'd', 'e']);
    registry.close();
  }
});

test('a model’s bound is not its server’s: another model of it is asked meanwhile', async () => {
  await using server = await startModelServer();
  const registry = registryAt(server, { model: 1 });
  const abort = new AbortController();
  const endless = asking('long', { fault: 'endless', interval_ms: 5 });
  const long = assert.rejects(registry.generate(endless, recordingSink(), abort.signal), /stop/);
  await server.waitForActive(1);
  const waiting = registry.generate(asking('waits'), recordingSink(), NEVER);
  await registry.generate(
    { ...asking('other'), model: 'test-model-small' },
    recordingSink(),
    NEVER,
  );
  assert.deepEqual(askedIds(server), ['long', 'other']);
  abort.abort(new Error('stop'));
  await long;
  await waiting;
  assert.deepEqual(askedIds(server), ['long', 'other', 'waits']);
  registry.close();
});

test('standing in line for a turn costs no time of the first token; a hold-back does', async () => {
  await using server = await startModelServer();
  const registry = registryAt(server, { model: 1 }, { firstTokenTimeoutMs: 300 });
  // Longer than the timeout, and answered.
  const long = registry.generate(
    asking('long', { tokens: 3, interval_ms: 150 }),
    recordingSink(),
    NEVER,
  );
  await registry.generate(asking('patient'), recordingSink(), NEVER);
  await long;
  const held = asking('held', { fault: 'status', status: 429, retry_after_ms: 350 });
  await assert.rejects(registry.generate(held, recordingSink(), NEVER), {
    reason: FailureReason.UPSTREAM_RATE_LIMITED,
  });
  registry.close();
});
