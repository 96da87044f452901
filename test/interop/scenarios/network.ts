// What networks and readers do to an observation: cut, silent, slow, several at once, from the middle on.
import assert from 'node:assert/strict';
import { HEARTBEAT_MS } from '../world.ts';
import { cancel, ENDLESS, isWhole, type Scenario, start } from './scenario.ts';

/** A cut is resumed within this at most; the median is told. */
const RESUME_MS = 10_000;
const MIB = 1024 * 1024;

/** By pings of the transport, or by the heartbeats that are missing. */
const DEAD_MS = 50_000;

/** It takes half a minute, which is what clients give a silent server. */
export const SLOW: readonly Scenario[] = [
  {
    name: 'connection dead without a word',
    run: async (stage) => {
      const { client, world } = stage;
      await using network = await world.network();
      const streamId = await start(stage, { ...ENDLESS, interval_ms: 100 });
      const observed = client.observe({ url: network.url }, streamId);
      await observed.reached(5);
      network.freeze();
      await observed.attachedTimes(2, DEAD_MS);
      await observed.reached(observed.cursor + 1);
      await cancel(stage, streamId);
      await isWhole(stage, streamId, await observed.ended());
    },
  },
];

export const NETWORK: readonly Scenario[] = [
  {
    name: 'connection cut in the middle',
    run: async (stage) => {
      const { client, world } = stage;
      await using network = await world.network();
      const streamId = await start(stage, ENDLESS);
      const observed = client.observe({ url: network.url }, streamId);
      for (const cut of [1, 2]) {
        await observed.reached(observed.cursor + 10);
        const atMs = performance.now();
        network.cut();
        await observed.attachedTimes(cut + 1);
        const seen = observed.events.length;
        await observed.reached(observed.cursor + 1);
        const ms = (observed.eventAt[seen] ?? Infinity) - atMs;
        assert.ok(ms < RESUME_MS, `it took ${ms} ms`);
        stage.resumed(ms);
      }
      await cancel(stage, streamId);
      await isWhole(stage, streamId, await observed.ended());
    },
  },
  {
    name: 'connection silent, then back',
    run: async (stage) => {
      const { client, world } = stage;
      await using network = await world.network();
      const streamId = await start(stage, ENDLESS);
      const silenceMs = 2 * HEARTBEAT_MS;
      const observed = client.observe({ url: network.url }, streamId, { silenceMs });
      await observed.reached(10);
      network.stall('down');
      // Silence cannot be awaited but by the clock.
      await new Promise((resolve) => setTimeout(resolve, 2 * silenceMs));
      network.pass('down');
      await observed.attachedTimes(2);
      await cancel(stage, streamId);
      await isWhole(stage, streamId, await observed.ended());
    },
  },
  {
    name: 'heartbeats through a silent model',
    run: async (stage) => {
      const { client, world } = stage;
      const streamId = await start(stage, { text: ['x'], first_ms: 7 * HEARTBEAT_MS });
      const observed = client.observe({ url: world.url }, streamId, {
        silenceMs: 5 * HEARTBEAT_MS,
      });
      await observed.beaten();
      assert.equal((await observed.ended()).attachments, 1, 'a heartbeat is a sign of life');
    },
  },
  {
    name: 'resume from a cursor, and from the end',
    run: async (stage) => {
      const { client, world } = stage;
      const to = { url: world.url };
      const streamId = await start(stage, { text: ['a', 'b', 'c', 'd'], interval_ms: 5 });
      const all = await client.observe(to, streamId).ended();
      const middle = Math.floor(all.cursor / 2);
      const rest = await client.observe(to, streamId, { afterSequence: middle }).ended(middle);
      assert.equal(rest.status, 'CHAT_STREAM_STATUS_COMPLETED');
      const last = client.observe(to, streamId, { afterSequence: all.cursor });
      const none = await last.ended(all.cursor);
      assert.equal(none.status, undefined);
      assert.deepEqual(last.events, []);
    },
  },
  {
    name: 'large answer (> 3 MiB)',
    run: async (stage) => {
      const { client, world } = stage;
      const streamId = await start(stage, { tokens: 3_500, delta_bytes: 1_024 });
      const end = await client.observe({ url: world.url }, streamId).ended();
      assert.ok(end.text.length > 3 * MIB);
      const chat = await isWhole(stage, streamId, end);
      assert.equal(chat.outputTruncated, true, 'FULL stays under what clients take');
    },
  },
  {
    name: 'slow reader',
    run: async (stage) => {
      const { client, world } = stage;
      const to = { url: world.url };
      const streamId = await start(stage, { tokens: 3_500, delta_bytes: 1_024 });
      const slow = client.observe(to, streamId, {
        pauseAfterEvent: 3,
        silenceMs: 2 * HEARTBEAT_MS,
      });
      await slow.reached(3);
      const end = await client.observe(to, streamId).ended();
      assert.equal(slow.cursor, 3, 'it reads nothing meanwhile');
      slow.resume();
      assert.deepEqual((await slow.ended()).text, end.text);
    },
  },
  {
    name: 'two observers, and one leaves',
    run: async (stage) => {
      const { client, world } = stage;
      const to = { url: world.url };
      const streamId = await start(stage, ENDLESS);
      const [one, two, leaving] = [1, 2, 3].map(() => client.observe(to, streamId));
      assert.ok(one !== undefined && two !== undefined && leaving !== undefined);
      await leaving.reached(5);
      leaving.leave();
      await leaving.hasLeft();
      // Leaving is not cancelling: it goes on for those who stay.
      await Promise.all([one, two].map((each) => each.reached(each.cursor + 5)));
      await cancel(stage, streamId);
      const [end] = await Promise.all([one.ended(), two.ended()]);
      assert.deepEqual(one.events, two.events);
      await isWhole(stage, streamId, end);
    },
  },
  {
    name: 'lost attempts are folded',
    run: async ({ client, world }) => {
      for (const [n, { name, text, after }] of world.folds.entries()) {
        if (text === undefined || after !== undefined) continue;
        const end = await client.observe({ url: world.edge }, `fold-${n}`).ended();
        assert.equal(end.text, text, name);
      }
    },
  },
];
