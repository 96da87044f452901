import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Code, createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import {
  Health,
  HealthCheckResponse_ServingStatus as Serving,
} from '../../gen/grpc/health/v1/health_pb.ts';
import { connectError, startEdge, unexpected } from './edge.ts';

const SERVICE = 'tailrace.v1.ChatStreamService';

function switchable() {
  const listeners = new Set<() => void>();
  let serving = true;
  return {
    listeners,
    set(now: boolean) {
      serving = now;
      for (const changed of listeners) changed();
    },
    status: {
      current: () => serving,
      subscribe(changed: () => void) {
        listeners.add(changed);
        return () => void listeners.delete(changed);
      },
    },
  };
}

test('Check and List say what is so now, and unknown services are NOT_FOUND', async () => {
  const light = switchable();
  await using edge = await startEdge({ serving: light.status });
  const health = createClient(Health, createGrpcTransport({ baseUrl: edge.url }));
  for (const [serving, status] of [
    [true, Serving.SERVING],
    [false, Serving.NOT_SERVING],
  ] as const) {
    light.set(serving);
    for (const service of ['', SERVICE]) {
      assert.equal((await health.check({ service })).status, status);
    }
    const { statuses } = await health.list({});
    assert.deepEqual(Object.keys(statuses), ['', SERVICE]);
    assert.equal(statuses[SERVICE]?.status, status);
  }
  const error = await health.check({ service: 'no.such' }).then(unexpected, connectError);
  assert.equal(error.code, Code.NotFound);
});

test('Watch tells each change once, until the watcher leaves', async () => {
  const light = switchable();
  await using edge = await startEdge({ serving: light.status });
  const health = createClient(Health, createGrpcTransport({ baseUrl: edge.url }));
  const leave = new AbortController();
  const seen = health.watch({ service: SERVICE }, { signal: leave.signal })[Symbol.asyncIterator]();
  const next = async () => ((await seen.next()).value as { status: Serving } | undefined)?.status;
  assert.equal(await next(), Serving.SERVING);
  light.set(true);
  light.set(false);
  assert.equal(await next(), Serving.NOT_SERVING);
  light.set(true);
  assert.equal(await next(), Serving.SERVING);
  leave.abort();
  await assert.rejects(next());
  while (light.listeners.size > 0) await new Promise((resolve) => setImmediate(resolve));
});

test('Watch of an unknown service says SERVICE_UNKNOWN and stays', async () => {
  await using edge = await startEdge({ serving: switchable().status });
  const health = createClient(Health, createGrpcTransport({ baseUrl: edge.url }));
  const seen = health.watch({ service: 'no.such' })[Symbol.asyncIterator]();
  assert.equal((await seen.next()).value?.status, Serving.SERVICE_UNKNOWN);
  const end = seen.next().then(unexpected, connectError);
  edge.shutdown.abort();
  assert.equal((await end).code, Code.Unavailable);
});
