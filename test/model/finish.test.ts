// What each kind of model server says at an answer's end, from its own source or API reference, and
// what that means to us.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FailureReason, StopReason } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { ModelFailure } from '../../src/chat/ports/model.ts';
import { stopReasonOf, type WireFinish } from '../../src/model/answer/finish.ts';

const STOPS = ['END', 'STOP'];
const { END_TURN, STOP_SEQUENCE, MAX_TOKENS, TOOL_USE, CONTENT_FILTER, REFUSAL } = StopReason;
const CUT = FailureReason.UPSTREAM_CUT;

type Said = readonly [WireFinish, StopReason | FailureReason, 'fails'?];

/** By repository, release or commit, and path: where the words stand. */
const SAID: Readonly<Record<string, readonly Said[]>> = {
  // The stop text is not named: it ends like the model's own end.
  'openai/openai-openapi f85dbe22 openapi.json:24526': [
    [{ finish_reason: 'stop' }, END_TURN],
    [{ finish_reason: 'length' }, MAX_TOKENS],
    [{ finish_reason: 'tool_calls' }, TOOL_USE],
    [{ finish_reason: 'function_call' }, TOOL_USE],
    [{ finish_reason: 'content_filter' }, CONTENT_FILTER],
  ],
  'vllm-project/vllm v0.33.0 vllm/v1/engine/__init__.py:37, entrypoints/openai/chat_completion/protocol.py:177':
    [
      [{ finish_reason: 'stop', stop_reason: null }, END_TURN],
      [{ finish_reason: 'stop', stop_reason: 'END' }, STOP_SEQUENCE],
      [{ finish_reason: 'stop', stop_reason: 'not asked for' }, END_TURN],
      // A token's id.
      [{ finish_reason: 'stop', stop_reason: 151_645 }, END_TURN],
      [{ finish_reason: 'length', stop_reason: null }, MAX_TOKENS],
      [{ finish_reason: 'tool_calls', stop_reason: null }, TOOL_USE],
      [{ finish_reason: 'abort', stop_reason: null }, CUT, 'fails'],
      [{ finish_reason: 'repetition', stop_reason: null }, CUT, 'fails'],
    ],
  'sgl-project/sglang v0.5.23 python/sglang/srt/entrypoints/openai/protocol.py:1375, managers/schedule_batch.py:284':
    [
      [{ finish_reason: 'stop', matched_stop: 'STOP' }, STOP_SEQUENCE],
      [{ finish_reason: 'stop', matched_stop: 2 }, END_TURN],
      [{ finish_reason: 'stop', matched_stop: null }, END_TURN],
      [{ finish_reason: 'length', matched_stop: null }, MAX_TOKENS],
      [{ finish_reason: 'tool_calls', matched_stop: null }, TOOL_USE],
      [{ finish_reason: 'content_filter', matched_stop: null }, CONTENT_FILTER],
      [{ finish_reason: 'abort', matched_stop: null }, CUT, 'fails'],
    ],
  'ggml-org/llama.cpp v0.4.0 tools/server/server-task.cpp:464': [
    [{ finish_reason: 'stop' }, END_TURN],
    [{ finish_reason: 'length' }, MAX_TOKENS],
    [{ finish_reason: 'tool_calls' }, TOOL_USE],
  ],
  'ollama/ollama fb307609 openai/openai.go:369, llm/server.go:258': [
    [{ finish_reason: 'stop' }, END_TURN],
    [{ finish_reason: 'length' }, MAX_TOKENS],
    [{ finish_reason: 'tool_calls' }, TOOL_USE],
  ],
  // The providers' own words are not listed there: that they mean what they say is not verified.
  'OpenRouterTeam/docs c26125a5 openapi/openapi.yaml:4929, api_reference/overview.mdx:446': [
    [{ finish_reason: 'stop', native_finish_reason: 'end_turn' }, END_TURN],
    [{ finish_reason: 'stop', native_finish_reason: 'stop_sequence' }, STOP_SEQUENCE],
    [{ finish_reason: 'length', native_finish_reason: 'max_tokens' }, MAX_TOKENS],
    [{ finish_reason: 'tool_calls', native_finish_reason: 'tool_use' }, TOOL_USE],
    [{ finish_reason: 'content_filter', native_finish_reason: 'SAFETY' }, CONTENT_FILTER],
    [{ finish_reason: 'content_filter', native_finish_reason: 'refusal' }, REFUSAL],
    [{ finish_reason: 'error' }, CUT, 'fails'],
  ],
  'src/model/embedded/completions-server.ts': [
    [{ finish_reason: 'stop', stop_reason: null }, END_TURN],
    [{ finish_reason: 'stop', stop_reason: 'END' }, STOP_SEQUENCE],
    [{ finish_reason: 'length', stop_reason: null }, MAX_TOKENS],
  ],
};

for (const [source, said] of Object.entries(SAID)) {
  test(`the end of an answer means what the server means: ${source}`, () => {
    for (const [choice, meant, fails] of said) {
      const words = JSON.stringify(choice);
      if (fails === undefined) {
        assert.equal(stopReasonOf(choice, STOPS), meant, words);
        continue;
      }
      assert.throws(
        () => stopReasonOf(choice, STOPS),
        (error) => error instanceof ModelFailure && error.reason === meant && error.retryable,
        words,
      );
    }
  });
}

test('a choice that goes on has no end, and a word that nobody knows is not taken for one', () => {
  for (const finish of [undefined, null, '']) {
    assert.equal(stopReasonOf({ finish_reason: finish }, STOPS), undefined);
  }
  assert.equal(
    stopReasonOf({ finish_reason: 'stop', native_finish_reason: 'stop_sequence' }, []),
    END_TURN,
  );
  for (const odd of ['load', 'whatever', 7, {}]) {
    assert.throws(
      () => stopReasonOf({ finish_reason: odd }, STOPS),
      (error) => error instanceof ModelFailure && error.reason === FailureReason.UPSTREAM_INVALID,
    );
  }
});
