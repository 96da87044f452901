import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { createSseReader } from '../../src/model/http/sse-reader.ts';

interface Read {
  readonly events: string[];
  readonly tooLong: boolean;
}

function read(chunks: readonly Buffer[], maxBytes = 1_000): Read {
  const events: string[] = [];
  let tooLong = false;
  const reader = createSseReader(
    {
      event: (data, name, last) => events.push(`${name}|${data}${last ? '|last' : ''}`),
      tooLong: () => (tooLong = true),
    },
    maxBytes,
  );
  for (const chunk of chunks) reader.push(chunk);
  reader.end();
  return { events, tooLong };
}

function cut(bytes: Buffer, places: readonly number[]): Buffer[] {
  const at = [...new Set(places.map((place) => place % (bytes.length + 1)))].toSorted(
    (a, b) => a - b,
  );
  return [0, ...at].map((from, i) => bytes.subarray(from, at[i]));
}

test('events are the same wherever the bytes are cut and however lines end', () => {
  const lines = ['', ': hm', 'data: {"a":1}', '', 'event: error', 'data:é😀', 'data:  b', ''];
  const tail = ['id: 7', 'data', '', 'datax: no', 'data: [DONE]', '', ''];
  const expected = ['|{"a":1}', 'error|é😀\n b', '|', '|[DONE]'];
  fc.assert(
    fc.property(
      fc.constantFrom('\n', '\r\n', '\r'),
      fc.array(fc.nat(), { maxLength: 40 }),
      fc.boolean(),
      (eol, places, withMark) => {
        const text = (withMark ? '\uFEFF' : '') + [...lines, ...tail].join(eol);
        assert.deepEqual(read(cut(Buffer.from(text), places)).events, expected);
      },
    ),
  );
});

test('every single byte alone gives the same events', () => {
  const bytes = Buffer.from('data: wörld\r\n\r\ndata: 😀\n\ndata: x\r\r');
  const { events } = read([...bytes].map((byte) => Buffer.from([byte])));
  assert.deepEqual(events, ['|wörld', '|😀', '|x']);
});

test('what the end of the stream cut is handed over and marked', () => {
  assert.deepEqual(read([Buffer.from('data: a\n\ndata: b\n')]).events, ['|a', '|b|last']);
  assert.deepEqual(read([Buffer.from('data: a\n\ndata: b')]).events, ['|a', '|b|last']);
  assert.deepEqual(read([Buffer.from('data: a\n\n')]).events, ['|a']);
});

test('a line, and an event of many lines, is bounded', () => {
  const long = Buffer.from(`data: ${'x'.repeat(200)}\n\n`);
  assert.equal(read([long], 100).tooLong, true);
  assert.equal(read(cut(long, [50, 90, 130]), 100).tooLong, true);
  const many = Buffer.from(`${'data: 0123456789\n'.repeat(20)}\n`);
  assert.deepEqual(read([many], 100), { events: [], tooLong: true });
  assert.equal(read([many], 1_000).tooLong, false);
});
