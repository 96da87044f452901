// The embeddings endpoint in the operator's file of models.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readModelsFile } from '../../src/model/settings/models-file.ts';
import { OperatorFileError } from '../../src/operator/operator-file.ts';

const SERVER = `servers:
  - { name: gpu, base_url: http://127.0.0.1:8000/v1, discover: true }
`;

function read(settings: string) {
  return readModelsFile('models.yaml', `${SERVER}embeddings: ${settings}\n`, {}).embeddings;
}

test('the endpoint is read with its defaults, and with all that may be said of it', () => {
  assert.deepEqual(read('{ server: gpu, model: BAAI/bge-m3 }'), {
    server: 'gpu',
    model: 'BAAI/bge-m3',
    dimensions: undefined,
    batchSize: 64,
    timeoutMs: 20_000,
    queryPrefix: '',
    passagePrefix: '',
  });
  const all = read(
    '{ server: gpu, model: e5, dimensions: 256, batch_size: 8, timeout_ms: 5000, query_prefix: "query: ", passage_prefix: "passage: " }',
  );
  assert.deepEqual(all, {
    server: 'gpu',
    model: 'e5',
    dimensions: 256,
    batchSize: 8,
    timeoutMs: 5_000,
    queryPrefix: 'query: ',
    passagePrefix: 'passage: ',
  });
  assert.equal(readModelsFile('models.yaml', SERVER, {}).embeddings, undefined);
});

test('what is wrong with it is named with its line and path', () => {
  const faults: readonly (readonly [string, string])[] = [
    ['{ model: m }', 'embeddings.server is missing'],
    ['{ server: gpu }', 'embeddings.model is missing'],
    ['{ server: cpu, model: m }', 'embeddings.server is "cpu"; the servers are: gpu'],
    ['{ server: gpu, model: m, batch: 1 }', 'embeddings.batch is not a setting here'],
    [
      '{ server: gpu, model: m, batch_size: 0 }',
      'embeddings.batch_size must be a whole number from 1 to 512',
    ],
    ['{ server: gpu, model: m, timeout_ms: 60000 }', 'embeddings.timeout_ms must be at most 40000'],
    [
      '{ server: gpu, model: m, dimensions: "256" }',
      'embeddings.dimensions must be a whole number from 1 to 8192',
    ],
  ];
  for (const [settings, said] of faults) {
    assert.throws(
      () => read(settings),
      (error) => {
        assert.ok(error instanceof OperatorFileError);
        assert.equal(error.message, `models.yaml:3: ${said}`);
        return true;
      },
    );
  }
});
