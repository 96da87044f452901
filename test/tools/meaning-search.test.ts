// document_search with an embeddings endpoint: words and meanings together, each text embedded once, and words
// alone where the endpoint fails.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import * as fc from 'fast-check';
import { ChatRequestSchema } from '../../gen/tailrace/v1/chat_request_pb.ts';
import { FailureReason } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { WarningReason } from '../../gen/tailrace/v1/event_pb.ts';
import type { Embedder } from '../../src/chat/ports/embedding.ts';
import { MAX_EMBEDDED_PASSAGES, MAX_VECTOR_BYTES, PASSAGE_CHARS } from '../../src/chat/limits.ts';
import { ModelFailure, type ModelWarning } from '../../src/chat/ports/model.ts';
import type { TextTool } from '../../src/chat/ports/tool.ts';
import { documentSearchTool } from '../../src/tools/search/document-search.ts';
import { embedPassages, TooManyPassages } from '../../src/tools/search/passage-vectors.ts';
import { fused } from '../../src/tools/search/rank-fusion.ts';
import { NEVER, TRACEPARENT } from '../model/model-call.ts';
import { toolRunScope } from '../support/chats/tool-run-scope.ts';
import { embedderOf } from '../support/chats/test-embedder.ts';

function toolOf(
  texts: readonly string[],
  embedder: Embedder,
  warnings: ModelWarning[] = [],
  signal = NEVER,
): TextTool {
  const request = create(ChatRequestSchema, {
    tools: ['table_query', 'document_search'].map((name) => {
      return { kind: { case: 'server', value: { name } } } as const;
    }),
    toolContext: texts.map((value, i) => {
      const document = { source: { case: 'text', value } } as const;
      return { name: `document ${i}`, item: { case: 'document', value: document } } as const;
    }),
  });
  const run = { ...toolRunScope((warning) => void warnings.push(warning)), signal };
  return documentSearchTool(request, { embedder, run });
}

async function found(
  tool: TextTool,
  input: Readonly<Record<string, unknown>>,
  signal = NEVER,
): Promise<readonly string[]> {
  const answer = JSON.parse(await tool.call(input, signal, TRACEPARENT)) as {
    readonly passages: readonly { readonly document: string; readonly quote: string }[];
  };
  return answer.passages.map(({ document }) => document);
}

const TEXTS = [
  'The physician is in on Mondays.',
  'An automobile waits at the gate.',
  'The wheel of the mill is of oak.',
];

function down(): Promise<void> {
  const options = { retryable: true, cause: new Error('HTTP 500') };
  return Promise.reject(
    new ModelFailure(FailureReason.UPSTREAM_UNAVAILABLE, 'It failed.', options),
  );
}

test('a passage that has none of the words is found by its meaning', async () => {
  const tool = toolOf(TEXTS, embedderOf());
  assert.equal((await found(tool, { query: 'doctor' }))[0], 'd1');
  assert.equal((await found(tool, { query: 'car' }))[0], 'd2');
  assert.equal((await found(tool, { query: 'car', document: 'd3' }))[0], 'd3', 'only there');
  assert.match(tool.description, /It finds words and meanings/);
});

test('what both rankings have high up comes before what one of them has', async () => {
  const texts = ['the car', 'an automobile at the gate', 'the car at the gate', 'oak and iron'];
  const order = await found(toolOf(texts, embedderOf()), { query: 'car at the gate' });
  assert.equal(order[0], 'd3');
  assert.ok(order.indexOf('d2') < order.indexOf('d4'));
  assert.equal((await found(toolOf(texts, embedderOf()), { query: 'car', limit: 2 })).length, 2);
});

test('each text is embedded once, in batches, however many searches and runs there are at once', async () => {
  const embedder = embedderOf();
  const texts = [...Array.from({ length: 9 }, (_, i) => `document about thing${i}`), ...TEXTS];
  const tool = toolOf([...texts, ...TEXTS], embedder);
  await Promise.all([found(tool, { query: 'car' }), found(tool, { query: 'doctor' })]);
  await found(tool, { query: 'mill' });
  const passages = embedder.asked.filter(({ kind }) => kind === 'passage');
  assert.deepEqual(
    passages.flatMap((asked) => asked.texts),
    texts,
  );
  assert.ok(passages.every((asked) => asked.texts.length <= embedder.batchSize));
  assert.equal(embedder.asked.length - passages.length, 3, 'each query once');
  await found(toolOf([...texts, ...TEXTS], embedder), { query: 'car' });
  const again = embedder.asked.filter(({ kind }) => kind === 'passage');
  assert.equal(again.length, passages.length, 'another run finds them made');
});

for (const kind of ['passage', 'query'] as const) {
  test(`an endpoint that fails (${kind}) costs the meanings alone: one warning, and it is asked no more in this run`, async () => {
    const warnings: ModelWarning[] = [];
    const embedder = embedderOf((asked) => (asked.kind === kind ? down() : Promise.resolve()));
    const tool = toolOf(TEXTS, embedder, warnings);
    const both = await Promise.all([
      found(tool, { query: 'oak' }),
      found(tool, { query: 'physician' }),
    ]);
    assert.deepEqual(both, [['d3'], ['d1']]);
    const asked = embedder.asked.length;
    assert.deepEqual(await found(tool, { query: 'oak' }), ['d3']);
    assert.equal(embedder.asked.length, asked);
    assert.equal(warnings.length, 1);
    const [{ reason, message, field, cause } = assert.fail()] = warnings;
    assert.equal(reason, WarningReason.EMBEDDINGS_UNAVAILABLE);
    assert.equal(
      message,
      'The embeddings endpoint failed (UPSTREAM_UNAVAILABLE); document_search goes by words alone for the rest of this run.',
    );
    assert.equal(field, 'request.tools[1]');
    assert.ok(cause instanceof ModelFailure, 'for the log');
  });
}

test('a query’s vector of another length than those of the passages is no direction among them', async () => {
  const warnings: ModelWarning[] = [];
  const [passages, queries] = [embedderOf(undefined, 64), embedderOf(undefined, 32)];
  const embedder: Embedder = {
    batchSize: 4,
    embed: (kind, ...asked) => (kind === 'query' ? queries : passages).embed(kind, ...asked),
  };
  assert.deepEqual(await found(toolOf(TEXTS, embedder, warnings), { query: 'oak' }), ['d3']);
  assert.equal(warnings.length, 1);
});

test('more passages than a run may have are not embedded at all, which is a warning with the bound', async () => {
  const warnings: ModelWarning[] = [];
  const embedder = embedderOf();
  const long = 'x'.repeat(PASSAGE_CHARS);
  const tool = toolOf([`${long} `.repeat(MAX_EMBEDDED_PASSAGES), 'oak'], embedder, warnings);
  assert.deepEqual(await found(tool, { query: 'oak' }), ['d2']);
  assert.ok(embedder.asked.every(({ kind }) => kind === 'query'));
  assert.match(warnings[0]?.message ?? '', /have 8193 passages, and no more than 8192 are/);
});

test('vectors take a bounded memory: that they would take more is known after the first batch', async () => {
  const dimensions = 4_096;
  const most = MAX_VECTOR_BYTES / (4 * dimensions);
  const embedder = embedderOf(undefined, dimensions);
  const texts = Array.from({ length: most + 1 }, (_, i) => `thing${i}`);
  const call = { signal: NEVER, traceparent: TRACEPARENT };
  await assert.rejects(
    embedPassages(embedder, texts, call, () => assert.fail()),
    (error) => {
      assert.ok(error instanceof TooManyPassages);
      assert.equal(error.most, most);
      return true;
    },
  );
  assert.equal(embedder.asked.length, 1);
});

test('a call that is aborted leaves the passages to the next; the run’s end stops them', async () => {
  const warnings: ModelWarning[] = [];
  const run = new AbortController();
  const begun = Promise.withResolvers<AbortSignal>();
  const go = Promise.withResolvers<void>();
  const embedder = embedderOf(({ kind, signal }) => {
    if (kind !== 'passage') return Promise.resolve();
    begun.resolve(signal);
    return go.promise;
  });
  const tool = toolOf(TEXTS, embedder, warnings, run.signal);
  const call = new AbortController();
  const left = found(tool, { query: 'car' }, call.signal);
  const signal = await begun.promise;
  call.abort(new Error('left'));
  await assert.rejects(left, /left/);
  assert.ok(!signal.aborted);
  const next = new AbortController();
  const cancelled = found(tool, { query: 'car' }, next.signal);
  next.abort(new Error('cancelled'));
  run.abort(new Error('cancelled'));
  await assert.rejects(cancelled, /cancelled/);
  assert.ok(signal.aborted);
  assert.deepEqual(warnings, []);
  go.resolve();
});

test('the fusion of rankings is by reciprocal ranks: as computed by hand, and one ranking stays as it is', () => {
  const self = (item: number): number => item;
  // 1/61 + 1/63 for 1, 1/62 + 1/61 for 2, 1/63 for 3, 1/62 for 4.
  const order = fused(
    [
      [1, 2, 3],
      [2, 4, 1],
    ],
    self,
  );
  assert.deepEqual(order, [2, 1, 4, 3]);
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat()), (ranking) => {
      assert.deepEqual(fused([ranking], self), ranking);
      assert.deepEqual(fused([ranking, ranking], self), ranking);
      assert.deepEqual(fused([[], ranking], self), ranking);
    }),
  );
});
