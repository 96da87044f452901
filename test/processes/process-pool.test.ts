// Child processes for work that may hang or grow: what ends them, who waits for them, and for how long.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import type { ChatKey } from '../../src/chat/chat-key.ts';
import {
  createProcessPool,
  type FailureKind,
  type PoolOptions,
  ProcessFailure,
  type ProcessPool,
} from '../../src/processes/process-pool.ts';
import { until } from '../support/until.ts';

const NEVER = new AbortController().signal;
const [A, B]: readonly [ChatKey, ChatKey] = [
  { tenant: 'a', streamId: 'one' },
  { tenant: 'b', streamId: 'one' },
];

const threadAt = (name: string): string => new URL(name, import.meta.url).href;

function pool(options: Partial<PoolOptions> = {}): ProcessPool {
  return createProcessPool({
    thread: threadAt('echo-thread.ts'),
    memoryBytes: 512 * 1024 * 1024,
    places: 1,
    idleMs: 60_000,
    maxWaiting: 8,
    ...options,
  });
}

interface Reply {
  readonly pid: number;
  readonly said: unknown;
}

async function say(
  to: ProcessPool,
  job: object,
  { whose = A, signal = NEVER, withinMs = 60_000 } = {},
): Promise<Reply> {
  return (await to.run(whose, 1, signal, (place) => place.ask(job, { withinMs, signal }))) as Reply;
}

function isAlive(pid: number | string | undefined): boolean {
  try {
    return process.kill(Number(pid), 0);
  } catch {
    return false;
  }
}

function kind(expected: FailureKind): (error: unknown) => boolean {
  return (error) => error instanceof ProcessFailure && error.kind === expected;
}

test('one process does one thing after the other, and ends when nobody needs it', async () => {
  await using one = pool({ idleMs: 1_000 });
  const [first, second] = await Promise.all([say(one, { say: 1 }), say(one, { say: 2 })]);
  assert.deepEqual([first.said, second.said], [1, 2]);
  assert.equal(first.pid, second.pid);
  assert.equal(one.processes(), 1);
  await until('its end', async () => Promise.resolve(one.processes() === 0));
  assert.notEqual((await say(one, { say: 3 })).pid, first.pid);
});

test('a process that ends, is killed, grows beyond its memory or takes too long fails its own work alone', async () => {
  await using one = pool();
  const gone: readonly (readonly [object, FailureKind, number])[] = [
    [{ act: 'exit' }, 'broken', 60_000],
    [{ act: 'die' }, 'killed', 60_000],
    [{ act: 'grow' }, 'killed', 60_000],
    [{ act: 'hang' }, 'too-slow', 100],
  ];
  for (const [job, expected, withinMs] of gone) {
    const failed = say(one, job, { withinMs });
    const next = say(one, { say: 'next' }, { whose: B });
    await assert.rejects(failed, kind(expected));
    assert.equal((await next).said, 'next');
  }
});

test('Ctrl-C, which goes to the whole process group, ends no work under way', async () => {
  await using one = pool();
  const groupOf = (pid: number): string =>
    execFileSync('ps', ['-o', 'pgid=', '-p', String(pid)], { encoding: 'utf8' }).trim();
  const { pid } = await say(one, { say: '' });
  assert.notEqual(groupOf(pid), groupOf(process.pid));
});

test('to start is no part of the time that work may take', async () => {
  await using one = pool({ thread: threadAt('late-thread.ts') });
  // Its thread alone takes longer.
  assert.equal((await say(one, { say: 1 }, { withinMs: 1_400 })).said, 1);
});

test('one chat’s many do not hold another’s back', async () => {
  await using one = pool();
  const order: string[] = [];
  const held = new AbortController();
  const first = say(one, { act: 'hang' }, { signal: held.signal });
  const rest = Array.from({ length: 4 }, async () => {
    await say(one, { say: '' });
    order.push('a');
  });
  const other = say(one, { say: '' }, { whose: B }).then(() => order.push('b'));
  held.abort(new Error('wanted no more'));
  await assert.rejects(first, /wanted no more/);
  await Promise.all([...rest, other]);
  assert.equal(order.indexOf('b'), 1);
});

test('one tenant’s many, however long they take, leave a process for another', async () => {
  await using two = pool({ places: 2 });
  const held = new AbortController();
  const { signal } = held;
  const many = [say(two, { act: 'hang' }, { signal }), say(two, { act: 'hang' }, { signal })];
  assert.equal((await say(two, { say: 'b' }, { whose: B })).said, 'b');
  held.abort(new Error('wanted no more'));
  for (const each of many) await assert.rejects(each, /wanted no more/);
});

test('too many that wait are refused, and who leaves gives its place up', async () => {
  await using one = pool({ maxWaiting: 1 });
  const [held, leaving] = [new AbortController(), new AbortController()];
  const first = say(one, { act: 'hang' }, { signal: held.signal });
  const waits = say(one, { say: 'never' }, { signal: leaving.signal });
  await assert.rejects(say(one, { say: 'no' }), kind('full'));
  leaving.abort(new Error('left'));
  await assert.rejects(waits, /left/);
  const last = say(one, { say: 'yes' });
  held.abort(new Error('left'));
  await assert.rejects(first, /left/);
  assert.equal((await last).said, 'yes');
});

test('a process that is to say goodbye does, while another takes its place', async () => {
  await using one = pool();
  const held = new AbortController();
  const { signal } = held;
  const first = one.run(A, 1, signal, async (place) => {
    const { pid } = (await place.ask({ say: 'pid' }, { withinMs: 60_000, signal })) as Reply;
    setImmediate(() => held.abort(new Error('cancelled')));
    const goodbye = { job: { say: 'bye' }, withinMs: 60_000 };
    await place
      .ask({ act: 'hang' }, { withinMs: 60_000, signal, goodbye })
      .catch((error: Error) => {
        throw new Error(`${pid} ${error.message}`);
      });
  });
  const [pid] = await first.then(
    () => assert.fail('it went on'),
    (error: Error) => error.message.split(' '),
  );
  assert.notEqual(String((await say(one, { say: '' })).pid), pid);
  await until('its end', async () => Promise.resolve(!isAlive(pid)));
});

test('no more processes say goodbye at a time than there are places', async () => {
  await using one = pool();
  const cancelled = async (): Promise<number> => {
    const held = new AbortController();
    const { signal } = held;
    let pid = 0;
    const working = one.run(A, 1, signal, async (place) => {
      ({ pid } = (await place.ask({ say: '' }, { withinMs: 60_000, signal })) as Reply);
      setImmediate(() => held.abort(new Error('cancelled')));
      const goodbye = { job: { act: 'hang' }, withinMs: 60_000 };
      await place.ask({ act: 'hang' }, { withinMs: 60_000, signal, goodbye });
    });
    await assert.rejects(working, /cancelled/);
    return pid;
  };
  const [first, second] = [await cancelled(), await cancelled()];
  await until('the end of the second', async () => Promise.resolve(!isAlive(second)));
  assert.ok(isAlive(first), 'it still has its time');
  process.kill(first, 'SIGKILL');
});

test('at its end whoever waits is refused, and no process is left', async () => {
  const one = pool();
  const first = say(one, { act: 'hang' });
  const second = say(one, { say: '' });
  const over = Promise.allSettled([first, second]);
  await until('its process', async () => Promise.resolve(one.processes() === 1));
  await one[Symbol.asyncDispose]();
  await over;
  await assert.rejects(first, kind('killed'));
  await assert.rejects(second, kind('full'));
  await assert.rejects(say(one, { say: '' }), kind('full'));
  assert.equal(one.processes(), 0);
});
