// Observers that read nothing cost their bound and no more, in a server of its own whose memory is
// measured from outside.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { grpcClient } from '../support/clients.ts';
import { startNats } from '../support/processes/nats.ts';
import { stalledObserver, type StalledObserver } from '../support/chats/stalled-observer.ts';
import { natsUrl } from '../support/processes/tailrace.ts';
import { startTailraceProcess } from '../support/processes/tailrace-process.ts';
import { bytesOf, watchToEnd } from '../support/chats/watch-chat.ts';
import { writeChat, type WrittenChat } from '../support/chats/written-chat.ts';

const MIB = 1024 * 1024;
const STALLED = 50;
const EVENTS = 20_000;
const EVENT_BYTES = 1_000;
const EVENTS_PER_RECORD = 10;
/** Held for each stalled reader it would be 50 times 20 MB. */
const MOST_GROWTH_BYTES = 150 * MIB;

function residentBytes(pid: number): number {
  return Number(execFileSync('ps', ['-o', 'rss=', '-p', String(pid)], { encoding: 'utf8' })) * 1024;
}

test('20,000 events behind 50 readers that read nothing leave the server’s memory flat', async (t) => {
  await using nats = await startNats();
  await using adapter = await nats.open();
  await using tailrace = await startTailraceProcess({
    TAILRACE_NATS_URL: natsUrl(nats.access),
    TAILRACE_ROLES: 'api',
    OPENAI_BASE_URL: 'http://127.0.0.1:1/v1',
  });
  const client = grpcClient(tailrace.url);
  const fill = async (written: WrittenChat, events: number, look: () => void): Promise<void> => {
    for (let said = 0; said < events; said += EVENTS_PER_RECORD) {
      const texts = Array.from({ length: EVENTS_PER_RECORD }, (_, i) =>
        `${said + i} `.padEnd(EVENT_BYTES, '.'),
      );
      await written.say(...texts);
      if (said % 1_000 === 0) look();
    }
  };
  // Warm: what a server holds that has replayed such a chat before.
  const warm = await writeChat(adapter);
  await warm.begin();
  await fill(warm, EVENTS / 4, () => undefined);
  await warm.end();
  await watchToEnd(client, warm.streamId);
  const before = residentBytes(tailrace.pid);
  let peak = before;
  const look = (): void => {
    peak = Math.max(peak, residentBytes(tailrace.pid));
  };

  // Half come before the events, half when they are all there.
  const written = await writeChat(adapter);
  await written.begin();
  const half = (): Promise<StalledObserver[]> =>
    Promise.all(
      Array.from({ length: STALLED / 2 }, () => stalledObserver(tailrace.url, written.streamId)),
    );
  const stalled = await half();
  await fill(written, EVENTS, look);
  stalled.push(...(await half()));
  await written.end();
  const reader = await watchToEnd(client, written.streamId);
  look();
  const grown = peak - before;
  t.diagnostic(
    `resident ${Math.round(before / MIB)} MiB before, ${Math.round(peak / MIB)} MiB at most`,
  );
  assert.ok(grown < MOST_GROWTH_BYTES, `it grew by ${Math.round(grown / MIB)} MiB`);

  // They are behind, not dropped: each kind gets all of it when it reads again.
  for (const late of [stalled[0], stalled.at(-1)]) {
    const messages = (await late?.resume()) ?? [];
    const events = messages.flatMap(({ frame }) =>
      frame.case === 'batch' ? frame.value.events : [],
    );
    assert.equal(events.length, EVENTS + 3);
    assert.equal(bytesOf(events), reader.bytes());
  }
  for (const each of stalled) each[Symbol.dispose]();
});
