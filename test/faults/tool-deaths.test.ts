// A worker process is killed between each two steps of a run with a tool of ours. The chat comes to its end;
// a call that must not be made twice is made once or not at all, and none whose result is in the log again.
// Side by side: most of it is waiting for claims of the dead to lapse.
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { ChatStreamStatus } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { assertTrueLog, untilOver } from '../support/chats/chat-fixtures.ts';
import { startNats, temporaryFolder } from '../support/processes/nats.ts';
import { startWithTools } from '../support/chats/own-tools.ts';
import { startStepProxy, type Step } from '../support/processes/step-proxy.ts';
import { HANGS_MS, within } from '../support/until.ts';
import { forkWorker } from '../support/processes/worker-child.ts';

interface Outcome {
  /** Times that the tool was called, in both processes. */
  readonly calls: number;
  readonly result: string;
}

/** The first worker dies at the step, the second brings the chat to its end. */
async function dieAt(step: Step, idempotent: boolean): Promise<Outcome> {
  using folder = temporaryFolder();
  await using nats = await startNats();
  await using adapter = await nats.open();
  await using proxy = await startStepProxy(nats.access.url);
  const countFile = join(folder.path, 'calls');
  const options = {
    access: nats.access,
    slots: 1,
    words: 3,
    everyMs: 1,
    callsTool: true,
    ownTool: { name: 'web_fetch', idempotent, countFile },
  } as const;
  const chat = await (async () => {
    await using dying = await forkWorker({
      ...options,
      access: { ...nats.access, url: proxy.url },
    });
    const reached = proxy.reached(step);
    const chat = await startWithTools(adapter, ['web_fetch']);
    await within(HANGS_MS, `step ${step.when} ${step.nth}`, reached);
    await dying.kill();
    return chat;
  })();
  await using _next = await forkWorker(options);
  const { status } = await untilOver(adapter.log, chat);
  assert.equal(status.mark.status, ChatStreamStatus.COMPLETED);
  const { events } = await assertTrueLog(adapter.log, chat);
  const results = events.flatMap(({ payload }) => {
    const block = payload.case === 'blockStopped' ? payload.value.content?.block : undefined;
    return block?.case === 'toolResult' ? [block.value] : [];
  });
  assert.equal(results.length, 1, 'one result');
  const [said] = results[0]?.content ?? [];
  return {
    calls: existsSync(countFile) ? readFileSync(countFile, 'utf8').trim().split('\n').length : 0,
    result: said?.block.case === 'text' ? said.block.value : '',
  };
}

/** Writes: the claim, what the model says, its turn, that the call begins, its result, the end. */
const CLAIM = 1;
const SAID = 2;
const TURN = 3;
const BEGUN = 4;
const RESULT = 5;

describe('a worker dead between each two steps of a tool', { concurrency: true }, () => {
  const rows: readonly (readonly [Step, calls: readonly number[], known: boolean])[] = [
    [{ nth: CLAIM, when: 'after' }, [1], true],
    [{ nth: SAID, when: 'after' }, [1], true],
    [{ nth: TURN, when: 'before' }, [1], true],
    [{ nth: TURN, when: 'after' }, [1], true],
    [{ nth: BEGUN, when: 'before' }, [1], true],
    // It dies with the answer on its way, or in the call.
    [{ nth: BEGUN, when: 'after' }, [0, 1], false],
    [{ nth: RESULT, when: 'before' }, [1], false],
    [{ nth: RESULT, when: 'after' }, [1], true],
  ];
  for (const [step, calls, known] of rows) {
    const name = `${step.when} write ${step.nth}`;
    test(`a call that must not be repeated, its worker killed ${name}: it is made once at the most`, async () => {
      const outcome = await dieAt(step, false);
      assert.ok(calls.includes(outcome.calls), `${outcome.calls} calls`);
      if (known) assert.equal(outcome.result, 'well');
      else assert.match(outcome.result, /^This call was under way when its worker was lost/);
    });
  }
  test('a call that may be repeated is, where its result was lost, and not where it is in the log', async () => {
    const [lost, stored] = await Promise.all([
      dieAt({ nth: RESULT, when: 'before' }, true),
      dieAt({ nth: RESULT, when: 'after' }, true),
    ]);
    assert.deepEqual(lost, { calls: 2, result: 'well' });
    assert.deepEqual(stored, { calls: 1, result: 'well' });
  });
});
