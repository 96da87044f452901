// A model that says more than can be stored, up to the bound at which it is told to wait.
import assert from 'node:assert/strict';
import { MAX_UNSTORED_CHARS } from '../../../src/chat/limits.ts';
import type { ModelSink } from '../../../src/chat/ports/model.ts';

/** Says more until it is told to wait, and answers how much it said. */
export function sayUntilPressure(sink: ModelSink, text: string): number {
  let said = 0;
  while (sink.pressure() === undefined) {
    sink.text(text);
    said += text.length;
    assert.ok(said < 8 * MAX_UNSTORED_CHARS, 'the sink never said stop');
  }
  return said;
}
