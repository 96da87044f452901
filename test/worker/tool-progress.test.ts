// How a call's progress becomes events: the first at once, then the newest once a second, so many in all.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  MAX_TOOL_PROGRESS_CHARS,
  MAX_TOOL_PROGRESS_EVENTS,
  TOOL_PROGRESS_EVERY_MS,
} from '../../src/chat/limits.ts';
import type { EventPayload } from '../../src/chat/decisions/terminal.ts';
import { progressEvents } from '../../src/worker/tools/tool-progress.ts';

function told(pushed: readonly EventPayload[]): (readonly [number, string])[] {
  return pushed.map((payload) => {
    assert.ok(payload.case === 'toolProgress');
    assert.equal(payload.value.index, 7);
    assert.equal(payload.value.toolUseId, 'call');
    return [payload.value.progress ?? 0, payload.value.message ?? ''];
  });
}

const CALL = { index: 7, toolUseId: 'call' };

test('progress is told at once, and then the newest once a second; what has waited is not told when the call is over', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const pushed: EventPayload[] = [];
  const events = progressEvents(CALL, (event) => pushed.push(event));
  const tell = (progress: number): void =>
    events.tell({ progress, total: undefined, message: `at ${progress}` });
  for (let i = 1; i <= 100; i++) tell(i);
  assert.deepEqual(told(pushed), [[1, 'at 1']]);
  t.mock.timers.tick(TOOL_PROGRESS_EVERY_MS);
  assert.deepEqual(told(pushed).slice(1), [[100, 'at 100']]);
  // Nothing new in this second: the next is told at once.
  t.mock.timers.tick(TOOL_PROGRESS_EVERY_MS);
  tell(101);
  assert.deepEqual(told(pushed).slice(2), [[101, 'at 101']]);
  tell(102);
  events.end();
  t.mock.timers.tick(TOOL_PROGRESS_EVERY_MS);
  tell(103);
  assert.equal(pushed.length, 3);
});

test('a call has a bound of events, and each a bound of characters, never inside one', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const pushed: EventPayload[] = [];
  const events = progressEvents(CALL, (event) => pushed.push(event));
  const message = `${'x'.repeat(MAX_TOOL_PROGRESS_CHARS - 1)}🛶`;
  for (let i = 0; i < 2 * MAX_TOOL_PROGRESS_EVENTS; i++) {
    events.tell({ progress: i, total: 1, message });
    t.mock.timers.tick(TOOL_PROGRESS_EVERY_MS);
  }
  assert.equal(pushed.length, MAX_TOOL_PROGRESS_EVENTS);
  const [[, said] = [0, '']] = told(pushed);
  assert.ok(said.length <= MAX_TOOL_PROGRESS_CHARS && said.isWellFormed());
});
