// The judge of the soak: flat passes, and what grows is named.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { growthOf, type Sample } from './growth.ts';

function samples(change: (i: number) => Partial<Sample>): Sample[] {
  return Array.from({ length: 30 }, (_, i) => ({
    chats: i * 100,
    // The first third is warm-up.
    memoryMib: { 'api-1': i < 10 ? 80 + i * 5 : 130, 'nats-1': 60 + i },
    handles: { 'api-1': 40, 'nats-1': 30 },
    subscriptions: 300,
    consumers: 15,
    ...change(i),
  }));
}

const failed = (all: readonly Sample[]): string[] =>
  growthOf(all).lines.filter((line) => line.startsWith('FAIL'));

test('what is flat passes, whatever the warm-up took', () => {
  const { within, lines } = growthOf(samples(() => ({})));
  assert.ok(within, lines.join('\n'));
});

test('growing memory, handles, subscriptions and consumers are each named', () => {
  const cases: [RegExp, (i: number) => Partial<Sample>][] = [
    [/api-1, MiB/, (i) => ({ memoryMib: { 'api-1': 100 + i * 4, 'nats-1': 60 } })],
    [/nats-1, MiB/, (i) => ({ memoryMib: { 'api-1': 100, 'nats-1': 60 + i * 8 } })],
    [/api-1, handles/, (i) => ({ handles: { 'api-1': 40 + i * 3, 'nats-1': 30 } })],
    [/subscriptions/, (i) => ({ subscriptions: 300 + i * 10 })],
    [/consumers/, (i) => ({ consumers: 15 + i })],
  ];
  for (const [name, change] of cases) {
    const lines = failed(samples(change));
    assert.equal(lines.length, 1, lines.join('\n'));
    assert.match(lines[0] ?? '', name);
  }
});

test('too few samples are no proof', () => {
  assert.equal(growthOf(samples(() => ({})).slice(0, 2)).within, false);
});
