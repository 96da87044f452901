// The embedded model's places and its process: who waits for one, who leaves, and what ends and comes back.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { describe, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import * as z from 'zod';
import { startEmbeddedModel } from '../../src/model/embedded/embedded-model.ts';
import { setUp } from '../support/needs.ts';

import { WAIT_MS, asked, embeddedModel, skipped } from './embedded-suite.ts';

describe('embedded model, life', { skip: skipped() }, () => {
  const { model, events, onEvent, post, answerTo, untilHealth } = embeddedModel();

  test('who hangs up gives the place back at once, while decoding as well as in a long prompt', async () => {
    const decoding = new AbortController();
    const story = { messages: asked('Tell a very long story.'), stream: true, max_tokens: 800 };
    const response = await post(story, decoding.signal);
    await response.body?.getReader().read();
    decoding.abort();
    // The whole answer would take some 13 s.
    assert.ok((await untilHealth({ busy: 0 })) < 1_000);

    const reading = new AbortController();
    const long = post({ messages: asked('many words '.repeat(400)), stream: true }, reading.signal);
    await untilHealth({ busy: 1 });
    reading.abort();
    await assert.rejects(long);
    // The whole prompt would take some 3 s.
    assert.ok((await untilHealth({ busy: 0 })) < 1_500);
  });

  test('five at once all get their answer, the fifth after a wait', async () => {
    const five = Promise.all(
      [1, 2, 3, 4, 5].map(async (n) => {
        return await answerTo({ messages: asked(`Write about the number ${n}.`), max_tokens: 16 });
      }),
    );
    await untilHealth({ busy: 4, queued: 1 });
    for (const answer of await five) assert.ok(answer.text.length > 10);
    await untilHealth({ busy: 0 });
  });

  test('beyond the queue comes 429 with Retry-After, and who waits may leave', async () => {
    const leave = new AbortController();
    const waiting = Array.from({ length: 68 }, async () => {
      return await post({ max_tokens: 800, messages: asked('Tell a long story.') }, leave.signal);
    });
    const left = Promise.allSettled(waiting);
    await untilHealth({ busy: 4, queued: 64 });
    const refused = await post({});
    assert.equal(refused.status, 429);
    assert.equal(refused.headers.get('retry-after'), '1');
    await refused.body?.cancel();
    leave.abort();
    await left;
    await untilHealth({ busy: 0 });
  });

  test('a killed child comes back at the same address', async () => {
    const signal = AbortSignal.timeout(WAIT_MS);
    const exited = once(onEvent, 'exited', { signal });
    const ready = once(onEvent, 'ready', { signal });
    const pid = model().pid();
    assert.ok(pid !== undefined);
    process.kill(pid, 'SIGKILL');
    await exited;
    const exit = events.findLast((event) => event.kind === 'exited');
    assert.deepEqual(exit?.exit, { code: null, signal: 'SIGKILL' });
    await ready;
    assert.notEqual(model().pid(), pid);
    assert.ok((await answerTo({ max_tokens: 4 })).text.length > 0);
  });

  test('a file that is no model is named, and no process stays behind', async () => {
    const start = startEmbeddedModel({ modelPath: import.meta.filename, onEvent: () => undefined });
    await assert.rejects(start, /embedded-life\.test\.ts cannot be used/);
  });

  test('a parent that is killed takes the child along', async () => {
    const script = `
      const { startEmbeddedModel } = await import(process.argv[1]);
      const model = await startEmbeddedModel({ modelPath: process.argv[2], onEvent() {} });
      console.log(model.baseUrl);`;
    const module = new URL('../../src/model/embedded/embedded-model.ts', import.meta.url).href;
    const parent = spawn(
      process.execPath,
      ['--input-type=module', '-e', script, module, setUp().model ?? ''],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const [line] = await once(createInterface({ input: parent.stdout }), 'line');
    const health = new URL('/health', z.string().parse(line));
    assert.equal((await fetch(health)).status, 200);
    parent.kill('SIGKILL');
    // Asked at its port: nobody may be there to collect an orphan's process id.
    const begun = performance.now();
    while (
      await fetch(health).then(
        () => true,
        () => false,
      )
    ) {
      assert.ok(performance.now() - begun < WAIT_MS, 'it still serves');
      await setImmediate();
    }
  });

  test('closing the handle ends the child, and so does the parent’s signal', async () => {
    const pid = model().pid();
    assert.ok(pid !== undefined);
    await model()[Symbol.asyncDispose]();
    assert.throws(() => process.kill(pid, 0), { code: 'ESRCH' });

    const stop = new AbortController();
    const late = startEmbeddedModel({
      modelPath: setUp().model ?? '',
      onEvent: () => undefined,
      signal: stop.signal,
    });
    stop.abort(new Error('enough'));
    await assert.rejects(late, /enough/);
  });
});
