// Field × kind of model server → the exact body, as its own source or API reference has it.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { ChatRequestSchema } from '../../gen/tailrace/v1/chat_request_pb.ts';
import { fitViolations } from '../../src/chat/request/model-fit.ts';
import type { ModelCall } from '../../src/chat/ports/model.ts';
import { type DialectName, DIALECTS } from '../../src/model/dialects/dialects.ts';
import { EMBEDDED_MODEL_NAME } from '../../src/model/embedded/child-protocol.ts';
import { parseCompletionRequest } from '../../src/model/embedded/completion-request.ts';
import { createRegistry, type ModelRegistry } from '../../src/model/registry.ts';
import { oneServer } from '../../src/model/settings/registry-spec.ts';
import { type ModelServer, startModelServer } from '../model-server/model-server.ts';
import { dialectsDocument } from './dialect-document.ts';
import { EXPECTED, type Expected, type RowName, ROWS, SAID } from './dialect-sources.ts';
import { modelCall, NEVER, recordingSink } from './model-call.ts';

const ROOT = join(import.meta.dirname, '../..');
const BARE = {
  model: 'test-model',
  messages: [{ role: 'user', content: SAID }],
  stream: true,
  stream_options: { include_usage: true },
};

let server: ModelServer;

before(async () => {
  server = await startModelServer();
});

after(() => server[Symbol.asyncDispose]());

for (const dialect of DIALECTS) {
  describe(dialect, () => {
    let registry: ModelRegistry;
    before(() => {
      registry = createRegistry(oneServer({ baseUrl: server.url, dialect }));
    });
    after(() => registry.close());

    for (const [name, expected] of rowsOf(dialect)) {
      test(`${name}: ${gist(expected)}`, async () => {
        const call = callOf(name);
        const models = await registry.listModels(NEVER);
        const [model] = models;
        assert.ok(model);
        const refused = fitViolations(call.request, model, models).map(({ path }) => path);
        assert.deepEqual(refused, expected.refused === undefined ? [] : [expected.refused]);
        // The door has answered; what would be sent all the same is nobody's concern.
        if (expected.refused !== undefined) return;

        const sink = recordingSink();
        await registry.generate(call, sink, NEVER);
        const { body } = await server.nextRequest();
        assert.deepEqual(body, { ...BARE, ...expected.body });
        const warned = sink.warnings.map(({ field }) => field);
        assert.deepEqual(warned, expected.warnings);
        const strict = { ...call.request, strict: true };
        const strictly = fitViolations(strict, model, models).map(({ path }) => path);
        assert.deepEqual(strictly, expected.warnings, 'strict refuses what is a warning otherwise');
        if (dialect === 'embedded') {
          assert.ok(typeof body === 'object' && body !== null);
          parseCompletionRequest({ ...body, model: EMBEDDED_MODEL_NAME });
        }
      });
    }
  });
}

test('docs/DIALECTS.md shows this table, with its sources and what is not verified', () => {
  const shown = readFileSync(join(ROOT, 'docs/DIALECTS.md'), 'utf8');
  const table = dialectsDocument();
  assert.ok(shown.endsWith(table), `docs/DIALECTS.md must end with:\n${table}`);
});

function rowsOf(dialect: DialectName): [RowName, Expected][] {
  return Object.entries(EXPECTED[dialect]) as [RowName, Expected][];
}

function callOf(name: RowName): ModelCall {
  const row = ROWS[name];
  const call = modelCall(SAID, row.request);
  const messages = 'messages' in row ? [...row.messages] : [...call.messages];
  return { ...call, request: create(ChatRequestSchema, { ...row.request, messages }), messages };
}

function gist({ refused, warnings, body }: Expected): string {
  if (refused !== undefined) return `refused at ${refused}`;
  const sent = Object.keys(body).join(', ') || 'nothing';
  return warnings.length === 0 ? sent : `${sent}, and a warning`;
}
