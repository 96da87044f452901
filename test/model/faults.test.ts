import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { test } from 'node:test';
import { FailureReason } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { ModelFailure } from '../../src/chat/ports/model.ts';
import type { RegistryPolicy } from '../../src/model/registry.ts';
import type { ScriptInput } from '../model-server/script.ts';
import { API_KEY, modelCall, NEVER, recordingSink, startPair } from './model-call.ts';

const SECRET_WORDS = 'the-prompt-nobody-may-log';

async function failureOf(script: ScriptInput, options: RegistryPolicy = {}) {
  await using pair = await startPair(options);
  const sink = recordingSink();
  const call = modelCall({ ...script, id: SECRET_WORDS });
  const failure = await pair.client.generate(call, sink, NEVER).then(
    () => assert.fail('it did not fail'),
    (error: unknown) => error,
  );
  assert.ok(failure instanceof ModelFailure, inspect(failure));
  assert.match(failure.message, /^[A-Z].*[.]$/s);
  // Also not in the causes that go to the log.
  const all = inspect(failure, { depth: 9, showHidden: true });
  assert.equal(all.includes(SECRET_WORDS), false, all);
  assert.equal(all.includes(API_KEY), false, all);
  return { failure, sink, calls: pair.server.requests.length };
}

interface Expected {
  readonly reason: keyof typeof FailureReason;
  readonly retryable: boolean;
  readonly says: RegExp;
  /** How often the model server was asked. */
  readonly calls: number;
}

const { UPSTREAM_INVALID, UPSTREAM_CUT } = {
  UPSTREAM_INVALID: (says: RegExp, retryable = true): Expected => {
    return { reason: 'UPSTREAM_INVALID', retryable, says, calls: 1 };
  },
  UPSTREAM_CUT: (says: RegExp): Expected => {
    return { reason: 'UPSTREAM_CUT', retryable: true, says, calls: 1 };
  },
};
const EMPTY: Expected = {
  reason: 'EMPTY_ANSWER',
  retryable: true,
  says: /said anything/,
  calls: 1,
};
const overflowMessage = "This model's maximum context length is 4096 tokens.";

function refused(reason: keyof typeof FailureReason, says: RegExp): Expected {
  return { reason, retryable: false, says, calls: 1 };
}

function unavailable(status: number): Expected {
  const says = new RegExp(`HTTP ${status}`);
  return { reason: 'UPSTREAM_UNAVAILABLE', retryable: true, says, calls: 3 };
}

const TABLE: readonly (readonly [ScriptInput, Expected])[] = [
  [{ fault: 'cut' }, UPSTREAM_CUT(/ended before the answer was finished/)],
  [{ fault: 'cut_in_character' }, UPSTREAM_CUT(/ended before/)],
  [{ fault: 'cut', encoding: 'gzip' }, UPSTREAM_CUT(/ended before/)],
  [{ fault: 'reset' }, UPSTREAM_CUT(/ended before/)],
  [{ fault: 'end' }, UPSTREAM_CUT(/ended before/)],
  [
    { fault: 'cut', after: 0 },
    { ...UPSTREAM_CUT(/ended before/), calls: 3 },
  ],
  [{ finish: 'abort' }, UPSTREAM_CUT(/gave the answer up/)],
  [{ fault: 'error_in_stream' }, UPSTREAM_INVALID(/error within its answer \(500\)/)],
  [
    { fault: 'error_in_stream', error: { code: 400, message: SECRET_WORDS, type: 'BadRequest' } },
    UPSTREAM_INVALID(/400, BadRequest/, false),
  ],
  [
    { fault: 'error_in_stream', error: { message: overflowMessage } },
    refused('CONTEXT_OVERFLOW', /does not fit/),
  ],
  [{ raw: `event: error\ndata: {"message":"${SECRET_WORDS}"}\n\n` }, UPSTREAM_INVALID(/an error/)],
  [{ fault: 'bad_json' }, UPSTREAM_INVALID(/not JSON/)],
  [{ raw: `data: ${SECRET_WORDS}\n\n` }, UPSTREAM_INVALID(/29 bytes|2\d bytes .* not JSON/)],
  [{ raw: 'data: 7\n\n' }, UPSTREAM_INVALID(/no part of a chat completion/)],
  [{ raw: 'data: {"choices":7}\n\n' }, UPSTREAM_INVALID(/no part of a chat completion/)],
  [
    { raw: 'data: {"choices":[{"delta":{"content":["a"]}}]}\n\n' },
    UPSTREAM_INVALID(/a form that Tailrace does not know/),
  ],
  [
    { raw: 'data: {"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}\n\n' },
    UPSTREAM_INVALID(/offers no tools/),
  ],
  [{ finish: 'tool_calls' }, UPSTREAM_INVALID(/no call that could be read/)],
  [{ finish: 'new_reason' }, UPSTREAM_INVALID(/new_reason/, false)],
  [{ tokens: 1, delta_bytes: 20_000 }, UPSTREAM_INVALID(/a line of more than 10000 bytes/)],
  [
    { raw: '<html></html>', content_type: 'text/html' },
    UPSTREAM_INVALID(/a web page instead of a stream/),
  ],
  [{ raw: '{"id":"1"}', content_type: 'application/json' }, UPSTREAM_INVALID(/JSON instead/)],
  [
    { raw: '{"error":{"code":401}}', content_type: 'application/json' },
    UPSTREAM_INVALID(/401/, false),
  ],
  [{ tokens: 0 }, EMPTY],
  [{ text: ['', ''] }, EMPTY],
  [{ tokens: 0, fault: 'no_finish' }, EMPTY],
  [{ usage: 'only' }, EMPTY],
  [
    { fault: 'status', status: 400 },
    refused('UPSTREAM_REJECTED', /refused the request \(HTTP 400/),
  ],
  [
    { fault: 'status', status: 422, error: { type: 'invalid_request_error', param: 'top_k' } },
    refused('UPSTREAM_REJECTED', /HTTP 422, invalid_request_error, parameter top_k/),
  ],
  [
    { fault: 'status', status: 400, error: { message: overflowMessage, code: 400 } },
    refused('CONTEXT_OVERFLOW', /does not fit/),
  ],
  [
    { fault: 'status', status: 400, error: { code: 'context_length_exceeded' } },
    refused('CONTEXT_OVERFLOW', /does not fit/),
  ],
  [{ fault: 'status', status: 404 }, refused('UPSTREAM_REJECTED', /does not know this model/)],
  [{ fault: 'status', status: 307 }, refused('UPSTREAM_REJECTED', /elsewhere/)],
  [{ fault: 'status', status: 401 }, refused('UPSTREAM_UNAUTHENTICATED', /OPENAI_API_KEY/)],
  [{ fault: 'status', status: 403 }, refused('UPSTREAM_UNAUTHENTICATED', /OPENAI_API_KEY/)],
  [
    { fault: 'status', status: 429, error: { code: 'insufficient_quota' } },
    refused('UPSTREAM_RATE_LIMITED', /quota/),
  ],
  [{ fault: 'status', status: 408 }, unavailable(408)],
  [{ fault: 'status', status: 409 }, unavailable(409)],
  [{ fault: 'status', status: 500 }, unavailable(500)],
  [{ fault: 'status', status: 503 }, unavailable(503)],
  [{ fault: 'refuse' }, { ...unavailable(0), says: /could not be reached \(ECONNRESET\)/ }],
  [
    { fault: 'status', status: 429, retry_after: 3_600 },
    { reason: 'UPSTREAM_RATE_LIMITED', retryable: true, says: /asks for 3600 s/, calls: 1 },
  ],
];

test('a fault is a failure with its reason, a sentence and retryable, never an answer', async (t) => {
  for (const [script, expected] of TABLE) {
    await t.test(JSON.stringify(script), async () => {
      const { failure, calls } = await failureOf(script, { tries: 3, maxLineBytes: 10_000 });
      assert.match(failure.message, expected.says);
      assert.equal(failure.reason, FailureReason[expected.reason], failure.message);
      assert.equal(failure.retryable, expected.retryable);
      assert.equal(calls, expected.calls);
    });
  }
});

test('what came before the fault was handed on, with the usage so far', async () => {
  const { sink } = await failureOf({ fault: 'cut', tokens: 10, after: 6, usage: 'every' });
  assert.equal(sink.texts.length, 6);
  assert.equal(sink.usages.length, 1);
});

test('a port where nobody listens is UPSTREAM_UNAVAILABLE', async () => {
  await using pair = await startPair({ tries: 2 });
  await pair.server[Symbol.asyncDispose]();
  await assert.rejects(pair.client.generate(modelCall('Hi'), recordingSink(), NEVER), (error) => {
    assert.ok(error instanceof ModelFailure);
    assert.equal(error.reason, FailureReason.UPSTREAM_UNAVAILABLE);
    assert.match(error.message, /could not be reached \(ECONNREFUSED\)/);
    assert.equal(error.retryable, true);
    return true;
  });
});

test('a sink that fails ends the call, and the connection with it', async () => {
  await using pair = await startPair();
  const sink = recordingSink();
  const failure = new ModelFailure(FailureReason.OUTPUT_TOO_LARGE, 'Enough.', { retryable: false });
  const full = {
    ...sink,
    text: () => {
      throw failure;
    },
  };
  const call = modelCall({ fault: 'endless', interval_ms: 1 });
  await assert.rejects(pair.client.generate(call, full, NEVER), failure);
  assert.equal(await (await pair.server.nextRequest()).ended, 'aborted');
});
