import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { FailureReason } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { createModelList } from '../../src/model/known/model-list.ts';
import type { ListedModel } from '../../src/model/known/listed-model.ts';
import { createRegistry } from '../../src/model/registry.ts';
import { oneServer } from '../../src/model/settings/registry-spec.ts';
import { startModelServer } from '../model-server/model-server.ts';
import { NEVER, startPair } from './model-call.ts';

function listed(id: string): ListedModel {
  const unsaid = { ownedBy: undefined, contextTokens: undefined, maxOutputTokens: undefined };
  return { id, ...unsaid, can: {}, parameters: undefined };
}

/** A list whose readings the test settles itself. */
function controlled(freshMs: number) {
  const readings: PromiseWithResolvers<readonly ListedModel[]>[] = [];
  const list = createModelList({
    read() {
      const reading = Promise.withResolvers<readonly ListedModel[]>();
      readings.push(reading);
      return reading.promise;
    },
    freshMs,
    retryMs: 60_000,
  });
  return { readings, list: () => list.list(NEVER), listWith: list.list };
}

test('the list is what the model server has, the default first', async () => {
  await using server = await startModelServer({ models: ['a', 'b', 'c'] });
  const list = async (defaultModel: string | undefined) => {
    const client = createRegistry(oneServer({ baseUrl: server.url, defaultModel }));
    const models = await client.listModels(NEVER);
    client.close();
    return models.map((model) => model.name);
  };
  assert.deepEqual(await list(undefined), ['a', 'b', 'c']);
  assert.deepEqual(await list('b'), ['b', 'a', 'c']);
  assert.deepEqual(await list('alias'), ['alias', 'a', 'b', 'c']);
});

test('names that the operator gave need no model server', async () => {
  const options = { baseUrl: 'http://127.0.0.1:1/v1', models: ['x', 'y'], defaultModel: 'y' };
  const client = createRegistry(oneServer(options));
  const models = await client.listModels(NEVER);
  assert.deepEqual(
    models.map(({ name }) => name),
    ['y', 'x'],
  );
});

test('callers at the same time share one reading, and a fresh list needs none', async () => {
  const { readings, list } = controlled(60_000);
  const waiting = [list(), list(), list()];
  assert.equal(readings.length, 1);
  readings[0]?.resolve([listed('a')]);
  assert.deepEqual(await Promise.all(waiting), [[listed('a')], [listed('a')], [listed('a')]]);
  assert.equal(list(), list());
  assert.equal(readings.length, 1);
});

test('an old list is given at once and renewed behind the back, once', async () => {
  const { readings, list } = controlled(-1);
  const first = list();
  readings[0]?.resolve([listed('a')]);
  await first;
  assert.deepEqual(await list(), [listed('a')]);
  assert.deepEqual(await list(), [listed('a')]);
  assert.equal(readings.length, 2);
  readings[1]?.resolve([listed('b')]);
  await readings[1]?.promise;
  assert.deepEqual(await list(), [listed('b')]);
});

test('a failed renewal keeps the old list', async () => {
  const { readings, list } = controlled(-1);
  const first = list();
  readings[0]?.resolve([listed('a')]);
  await first;
  await list();
  readings[1]?.reject(new Error('away'));
  await assert.rejects(readings[1]?.promise ?? Promise.resolve());
  assert.deepEqual(await list(), [listed('a')]);
  assert.equal(readings.length, 2, 'asked again at once after a failure');
});

test('one caller that goes away does not end the reading for the others', async () => {
  const { readings, list, listWith } = controlled(60_000);
  const controller = new AbortController();
  const impatient = listWith(controller.signal);
  const patient = list();
  controller.abort(new Error('gone'));
  await assert.rejects(impatient, /gone/);
  readings[0]?.resolve([listed('a')]);
  assert.deepEqual(await patient, [listed('a')]);
});

test('a model server that is away is UPSTREAM_UNAVAILABLE and retryable', async () => {
  await using pair = await startPair();
  await pair.server[Symbol.asyncDispose]();
  const expected = { reason: FailureReason.UPSTREAM_UNAVAILABLE, retryable: true };
  await assert.rejects(pair.client.listModels(NEVER), expected);
  // The failure stands for a moment, and is the same to all.
  await assert.rejects(pair.client.listModels(NEVER), expected);
});

test('a list that does not come, is empty or no list is a failure that says so', async () => {
  for (const [body, expected] of [
    [undefined, { reason: FailureReason.UPSTREAM_UNAVAILABLE, message: /within 50 ms/ }],
    ['{"data":[]}', { reason: FailureReason.UPSTREAM_INVALID, message: /without a model/ }],
    ['{"data":[7,{"id":""}]}', { reason: FailureReason.UPSTREAM_INVALID }],
    ['{"da', { reason: FailureReason.UPSTREAM_INVALID, message: /not JSON/ }],
    ['null', { reason: FailureReason.UPSTREAM_INVALID }],
  ] as const) {
    const server = createServer((_, response) => {
      response.setHeader('content-type', 'application/json');
      if (body !== undefined) response.end(body);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    assert.ok(typeof address === 'object' && address !== null);
    const spec = oneServer({ baseUrl: `http://127.0.0.1:${address.port}/v1` });
    const client = createRegistry(spec, { listTimeoutMs: 50 });
    await assert.rejects(client.listModels(NEVER), { ...expected, retryable: true });
    client.close();
    server.closeAllConnections();
    server.close();
  }
});
