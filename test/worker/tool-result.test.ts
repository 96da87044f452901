// What of a tool's answer comes into the log, and what is said of the rest.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  MAX_CHAT_TOOL_IMAGE_BYTES,
  MAX_TOOL_RESULT_CHARS,
  MAX_TOOL_RESULT_IMAGE_BYTES,
  MAX_TOOL_RESULT_IMAGES,
} from '../../src/chat/limits.ts';
import type { ToolPart } from '../../src/chat/ports/tool.ts';
import { resultContent } from '../../src/worker/tools/tool-result.ts';

const text = (said: string): ToolPart => ({ kind: 'text', text: said });
const image = (bytes: number): ToolPart => ({
  kind: 'image',
  data: new Uint8Array(bytes),
  mediaType: 'image/png',
});

/** Texts as they are, images as the number of their bytes. */
function kept(
  parts: readonly ToolPart[],
  answered = { chars: 0, imageBytes: 0 },
): (string | number)[] {
  return resultContent(parts, answered).map(({ block }) => {
    if (block?.case === 'text') return block.value;
    assert.ok(block?.case === 'image' && block.value.source?.case === 'data');
    return block.value.source.value.length;
  });
}

test('a result keeps its order, and what it takes is counted', () => {
  const answered = { chars: 1, imageBytes: 2 };
  assert.deepEqual(kept([text('ab'), image(10), text('c')], answered), ['ab', 10, 'c']);
  assert.deepEqual(answered, { chars: 4, imageBytes: 12 });
  assert.deepEqual(kept([]), ['']);
});

test('text beyond the bound of a result is cut, never within a character, and nothing stands behind the note', () => {
  const long = `${'x'.repeat(MAX_TOOL_RESULT_CHARS - 3)}🛶`;
  const [first, second = '', ...more] = kept([text('ab'), text(long), image(1)]);
  assert.equal(first, 'ab');
  assert.deepEqual(more, []);
  assert.match(String(second), /^x+\n\[Cut off here: the result has 65537 characters/);
  assert.ok(String(second).isWellFormed());
});

test('images beyond the bound of a result or of a chat are a note; smaller ones behind them are kept', () => {
  const half = MAX_TOOL_RESULT_IMAGE_BYTES / 2;
  const [first, second, third] = kept([image(half), image(half + 1), image(half)]);
  assert.deepEqual([first, third], [half, half]);
  assert.match(String(second), /too large to be shown here: those of a result may have 524288/);
  const full = { chars: 0, imageBytes: MAX_CHAT_TOOL_IMAGE_BYTES - 1 };
  const [noted, small] = kept([image(2), image(1)], full);
  assert.match(String(noted), /those of a chat may have 4194304 bytes/);
  assert.equal(small, 1);
});

test('so many images stand in a result, and the notes in the place of others are text that is cut as any', () => {
  const large = image(MAX_TOOL_RESULT_IMAGE_BYTES);
  const swarms = [
    Array.from({ length: 40_000 }, () => image(1)),
    [large, ...Array.from({ length: 40_000 }, () => image(1))],
    Array.from({ length: 40_000 }, (_, i) => (i % 2 === 0 ? text('') : image(1))),
  ];
  for (const parts of swarms) {
    const answered = { chars: 0, imageBytes: 0 };
    const shown = kept(parts, answered);
    const texts = shown.filter((part) => typeof part === 'string');
    assert.ok(shown.length - texts.length <= MAX_TOOL_RESULT_IMAGES);
    assert.ok(shown.length < 2_000, 'each costs more than its characters');
    assert.ok(answered.chars < MAX_TOOL_RESULT_CHARS + 200);
    assert.match(texts.at(-1) ?? '', /Cut off here: the result has \d{7} characters/);
  }
  const many = kept(Array.from({ length: MAX_TOOL_RESULT_IMAGES + 1 }, () => image(1)));
  assert.equal(
    many.at(-1),
    '[An image, image/png, 1 bytes, which is one more than are shown here: a result may have 64.]',
  );
});
