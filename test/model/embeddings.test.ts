// The embeddings endpoint through the real client: vectors that can be relied on, and what may go wrong.
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { FailureReason } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { ModelFailure } from '../../src/chat/ports/model.ts';
import { UNTRACED } from '../../src/chat/ports/span.ts';
import { embedders } from '../../src/main/embedders.ts';
import { type ClosableEmbedder, createEmbedder } from '../../src/model/calls/openai-embedder.ts';
import { oneServer, type RegistrySpec } from '../../src/model/settings/registry-spec.ts';
import { type EmbeddingFault, testVector } from '../model-server/embeddings.ts';
import { type ModelServer, startModelServer } from '../model-server/model-server.ts';
import { API_KEY, NEVER, TRACEPARENT } from './model-call.ts';

let server: ModelServer;
const made: ClosableEmbedder[] = [];

before(async () => {
  server = await startModelServer();
});

after(async () => {
  for (const embedder of made) embedder.close();
  await server[Symbol.asyncDispose]();
});

beforeEach(() => {
  server.embeddings.fault = undefined;
  server.embeddings.digits = false;
});

const SPEC = {
  model: 'test-embedding',
  dimensions: 32,
  batchSize: 8,
  timeoutMs: 20_000,
  queryPrefix: 'query: ',
  passagePrefix: 'passage: ',
};

function embedderOf(spec: Partial<typeof SPEC> = {}, headers = {}): ClosableEmbedder {
  const at = { baseUrl: server.url, apiKey: API_KEY, headers };
  const fast = { tries: 3, baseMs: 1, maxMs: 5 };
  const embedder = createEmbedder(at, { ...SPEC, ...spec }, UNTRACED, fast);
  made.push(embedder);
  return embedder;
}

const CALL = { signal: NEVER, traceparent: TRACEPARENT };

function expected(text: string): Float32Array {
  const vector = testVector(text, SPEC.dimensions);
  const length = Math.hypot(...vector);
  return vector.map((value) => value / length);
}

test('texts become vectors of length 1 in their order, as base64 or as digits', async () => {
  for (const digits of [false, true]) {
    server.embeddings.digits = digits;
    const vectors = await embedderOf().embed('passage', ['a car', 'two doctors here'], CALL);
    assert.deepEqual(vectors, [expected('passage: a car'), expected('passage: two doctors here')]);
  }
});

test('the endpoint gets the model, the dimensions, the prefix of the kind, the key, the headers and the trace', async () => {
  await embedderOf({}, { 'x-team': 'search' }).embed('query', ['a car'], CALL);
  const { body, headers } = server.embeddings.requests.at(-1) ?? {};
  assert.deepEqual(body, {
    model: 'test-embedding',
    input: ['query: a car'],
    encoding_format: 'base64',
    dimensions: 32,
  });
  assert.equal(headers?.authorization, `Bearer ${API_KEY}`);
  assert.equal(headers['x-team'], 'search');
  assert.match(String(headers['traceparent']), /^00-0af7651916cd43dd8448eb211c80319c-/);
});

test('what may pass is tried again, three times together', async () => {
  const begun = server.embeddings.requests.length;
  server.embeddings.fault = { kind: 'status', status: 503, times: 2 };
  assert.equal((await embedderOf().embed('passage', ['a'], CALL)).length, 1);
  assert.equal(server.embeddings.requests.length - begun, 3);
  server.embeddings.fault = { kind: 'refuse' };
  await assert.rejects(embedderOf().embed('passage', ['a'], CALL), ModelFailure);
  assert.equal(server.embeddings.requests.length - begun, 6);
});

const { UPSTREAM_INVALID, UPSTREAM_REJECTED, UPSTREAM_UNAUTHENTICATED } = FailureReason;
const { UPSTREAM_UNAVAILABLE } = FailureReason;
const FAULTS: readonly (readonly [EmbeddingFault, FailureReason])[] = [
  [{ kind: 'status', status: 400 }, UPSTREAM_REJECTED],
  [{ kind: 'status', status: 401 }, UPSTREAM_UNAUTHENTICATED],
  [{ kind: 'status', status: 500 }, UPSTREAM_UNAVAILABLE],
  [{ kind: 'refuse' }, UPSTREAM_UNAVAILABLE],
  [{ kind: 'no_json' }, UPSTREAM_INVALID],
  [{ kind: 'no_json_type' }, UPSTREAM_INVALID],
  [{ kind: 'too_few' }, UPSTREAM_INVALID],
  [{ kind: 'same_index' }, UPSTREAM_INVALID],
  [{ kind: 'other_dimensions' }, UPSTREAM_INVALID],
  [{ kind: 'zero' }, UPSTREAM_INVALID],
];
for (const [fault, reason] of FAULTS) {
  test(`a failure has its reason and no word of the endpoint: ${Object.values(fault).join(' ')}`, async () => {
    server.embeddings.fault = fault;
    await assert.rejects(
      embedderOf().embed('passage', ['planted words', 'and more'], CALL),
      (error) => {
        assert.ok(error instanceof ModelFailure);
        assert.equal(error.reason, reason);
        assert.doesNotMatch(`${error.message} ${String(error.cause)}`, /planted/);
        return true;
      },
    );
  });
}

test('a file that was read again has its endpoint from then on, and one without has none', () => {
  const one = oneServer({ baseUrl: server.url });
  const embeddings = { ...SPEC, server: 'default' };
  let spec: RegistrySpec = { ...one, embeddings };
  const { embedder, close } = embedders(() => spec, UNTRACED);
  const first = embedder();
  assert.equal(first?.batchSize, 8);
  assert.equal(embedder(), first);
  spec = { ...one, embeddings: { ...embeddings, batchSize: 4 } };
  assert.equal(embedder()?.batchSize, 4);
  spec = one;
  assert.equal(embedder(), undefined);
  close();
});

test('one that does not answer ends at its time; one whose caller leaves ends at once, and its connection with it', async () => {
  server.embeddings.fault = { kind: 'hang' };
  const late = server.embeddings.next();
  const waiting = embedderOf({ timeoutMs: 100 }).embed('passage', ['a'], CALL);
  await assert.rejects(waiting, /did not answer within 100 ms/);
  assert.equal(await (await late).ended, 'aborted');
  const leaving = new AbortController();
  const next = server.embeddings.next();
  const left = embedderOf().embed('passage', ['a'], { ...CALL, signal: leaving.signal });
  const { ended } = await next;
  leaving.abort(new Error('cancelled'));
  await assert.rejects(left, /^Error: cancelled$/);
  assert.equal(await ended, 'aborted');
});
