// A short chaos: one nats-server, two apis, two workers, a fixed seed, a few kills, no violation.
// `npm run chaos` is the long one, on three nats-servers.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runChaos } from '../chaos/chaos.ts';
import { linesOf } from '../chaos/report.ts';

const CHATS = 40;
const KILLS = 3;

test('chats keep every law while workers, apis and NATS are killed under them', async () => {
  const report = await runChaos({
    seed: 7,
    lastsMs: 10_000,
    // A time alone would be no measure of it: on a busy machine less happens in it.
    atLeast: { chats: CHATS, kills: KILLS, longestMs: 40_000 },
    natsServers: 1,
    chatsPerSecond: 8,
    faultEveryMs: 1_500,
    weights: { 'kill-worker': 3, 'kill-api': 2, 'stop-worker': 1, 'stop-api': 1, 'kill-nats': 2 },
    finishWithinMs: 60_000,
  });
  const told = linesOf(report).join('\n');
  assert.deepEqual(report.violations, [], told);
  assert.ok(report.chats.acknowledged >= CHATS, told);
  assert.ok(report.kills >= KILLS, told);
});
