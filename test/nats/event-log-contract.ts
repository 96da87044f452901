// What every EventLog promises, as one suite: the adapter of NATS and the reference model in memory
// both pass it, and do the same under the same random commands.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { ChatKey } from '../../src/chat/chat-key.ts';
import type { EventLog, LogRecord, StatusMark } from '../../src/chat/ports/event-log.ts';
import { chatKey, recordsOf } from '../support/chats/chat-fixtures.ts';
import { testAppend, testMark } from '../support/chats/claims.ts';

export interface OpenLog extends AsyncDisposable {
  readonly log: EventLog;
}

async function stored(
  log: EventLog,
  chat: ChatKey,
  expectedLast: number,
  append: ReturnType<typeof testAppend>,
): Promise<number> {
  const outcome = await log.append(chat, expectedLast, append);
  assert.ok(outcome.type === 'stored', outcome.type);
  return outcome.storeSequence;
}

/** A record without what only a store can know. */
function plain({ appendId, data, mark }: LogRecord): object {
  return { appendId, data: Buffer.from(data).toString('hex'), mark };
}

export function eventLogContract(name: string, open: () => Promise<OpenLog>): void {
  test(`${name}: an empty log has no tail, no last record and no pages`, async () => {
    await using opened = await open();
    const { log } = opened;
    const chat = chatKey();
    assert.equal(await log.tail(chat), undefined);
    assert.equal(await log.last(chat), undefined);
    assert.deepEqual(await log.page(chat, 0, 1_000), { records: [], more: false });
  });

  test(`${name}: what was appended comes back as it was`, async () => {
    await using opened = await open();
    const { log } = opened;
    const chat = chatKey('an:id.of_its-own');
    const mark = testMark({
      correlationId: 'a "quoted" trace: \u{e9}\u{1f30a}\r\n',
      model: 'm/\u{2713}',
    });
    const claim = testAppend(1, mark);
    const first = await stored(log, chat, 0, claim);
    const delta = testAppend(2);
    const second = await stored(log, chat, first, delta);
    assert.ok(second > first);
    const { records, more } = await log.page(chat, 0, 100_000);
    assert.equal(more, false);
    assert.deepEqual(
      records.map(plain),
      [claim, delta].map((append) => plain({ ...append, storeSequence: 0, storedAtMs: 0 })),
    );
    assert.deepEqual(
      records.map(({ storeSequence }) => storeSequence),
      [first, second],
    );
    assert.ok(records.every(({ storedAtMs }) => Math.abs(storedAtMs - Date.now()) < 60_000));
    const last = await log.last(chat);
    assert.ok(last !== undefined);
    assert.deepEqual(plain(last), plain({ ...delta, storeSequence: 0, storedAtMs: 0 }));
  });

  test(`${name}: the tail knows the newest record, its status and the newest sequence`, async () => {
    await using opened = await open();
    const { log } = opened;
    const chat = chatKey();
    const claim = testMark({ attempt: 1, firstSequence: 1, lastSequence: 1 });
    const first = await stored(log, chat, 0, testAppend(1, claim));
    assert.equal((await log.tail(chat))?.lastSequence, 1);
    const second = await stored(log, chat, first, testAppend(7));
    const running = await log.tail(chat);
    assert.equal(running?.lastSequence, 7);
    assert.equal(running.last.storeSequence, second);
    assert.equal(running.status.storeSequence, first);
    assert.deepEqual(running.status.mark, claim);
    const handBack = testMark({ kind: 'hand-back', firstSequence: 8, lastSequence: 7 });
    const empty = { ...testAppend(8, handBack), data: new Uint8Array(0) };
    const third = await stored(log, chat, second, empty);
    const back = await log.tail(chat);
    assert.equal(back?.last.storeSequence, third);
    assert.equal(back.last.data.length, 0);
    assert.equal(back.lastSequence, 7, 'a record without events says what was before it');
    assert.equal(back.status.mark.kind, 'hand-back');
  });

  test(`${name}: an append on an old view is refused and leaves nothing`, async () => {
    await using opened = await open();
    const { log } = opened;
    const chat = chatKey();
    const first = await stored(log, chat, 0, testAppend(1, testMark()));
    for (const wrong of [0, first - 1, first + 1, first + 1_000]) {
      if (wrong === first) continue;
      assert.deepEqual(await log.append(chat, wrong, testAppend(2)), { type: 'refused' });
    }
    const other = chatKey();
    assert.deepEqual(await log.append(other, first, testAppend(1, testMark())), {
      type: 'refused',
    });
    assert.equal((await recordsOf(log, chat)).length, 1);
    assert.equal(await log.last(other), undefined);
  });

  test(`${name}: pages hold at least a record, say whether there is more, and join to all`, async () => {
    await using opened = await open();
    const { log } = opened;
    const [chat, other] = [chatKey(), chatKey()];
    let last = await stored(log, chat, 0, testAppend(1, testMark()));
    let otherLast = 0;
    for (let sequence = 2; sequence <= 40; sequence++) {
      const text = 'x'.repeat(sequence % 7 === 0 ? 5_000 : 10);
      last = await stored(log, chat, last, testAppend(sequence, undefined, text));
      // Another chat's records lie between.
      const mark = otherLast === 0 ? testMark() : undefined;
      otherLast = await stored(log, other, otherLast, testAppend(sequence - 1, mark));
    }
    const whole = await log.page(chat, 0, 1_000_000);
    assert.equal(whole.records.length, 40);
    assert.equal(whole.more, false);
    const joined: LogRecord[] = [];
    for (let from = 0, more = true; more;) {
      const page = await log.page(chat, from, 3_000);
      assert.ok(page.records.length > 0);
      joined.push(...page.records);
      from = (joined.at(-1)?.storeSequence ?? 0) + 1;
      more = page.more;
    }
    assert.deepEqual(joined.map(plain), whole.records.map(plain));
    const middle = whole.records[20]?.storeSequence ?? 0;
    assert.deepEqual(
      (await log.page(chat, middle, 1_000_000)).records.map(plain),
      whole.records.slice(20).map(plain),
    );
    assert.deepEqual(await log.page(chat, last + 1, 1_000), { records: [], more: false });
  });
}

type Command =
  | { readonly do: 'append'; readonly chat: number; readonly view: number; readonly kind: Kind }
  | { readonly do: 'tail' | 'last'; readonly chat: number }
  | { readonly do: 'page'; readonly chat: number; readonly from: number };
type Kind = StatusMark['kind'] | 'delta';

const chatIndex = fc.nat({ max: 2 });
const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('append' as const),
      chat: chatIndex,
      // Mostly the newest view, sometimes an older one.
      view: fc.oneof(
        { weight: 4, arbitrary: fc.constant(0) },
        { weight: 1, arbitrary: fc.nat({ max: 3 }) },
      ),
      kind: fc.constantFrom<Kind[]>('claim', 'delta', 'delta', 'delta', 'hand-back', 'end'),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constantFrom('tail' as const, 'last' as const),
      chat: chatIndex,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('page' as const),
      chat: chatIndex,
      from: fc.nat({ max: 12 }),
    }),
  },
);

/** Both logs are told the same; all that they answer is the same but for the numbers of the store. */
export function sameUnderRandomCommands(
  open: () => Promise<{ readonly one: OpenLog; readonly two: OpenLog } & AsyncDisposable>,
): void {
  test('random commands: the adapter does what the reference model does', async () => {
    await using opened = await open();
    const logs = [opened.one.log, opened.two.log] as const;
    await fc.assert(
      fc.asyncProperty(fc.array(command, { minLength: 5, maxLength: 40 }), async (commands) => {
        const chats = [chatKey(), chatKey(), chatKey()];
        /** The store sequences of each chat's records, per log. */
        const known = logs.map(() => chats.map((): number[] => []));
        for (const each of commands) {
          const chat = chats[each.chat] ?? chatKey();
          const ofChat = known.map((perLog) => perLog[each.chat] ?? []);
          const count = ofChat[0]?.length ?? 0;
          const append = appendOf(each, count);
          const answers = await Promise.all(
            logs.map((log, i) => answer(log, chat, each, append, ofChat[i] ?? [])),
          );
          assert.deepEqual(answers[0], answers[1]);
        }
      }),
      { numRuns: 40 },
    );
  });
}

function appendOf(command: Command, count: number): ReturnType<typeof testAppend> {
  const sequence = count + 1;
  // A log begins with a record of its status.
  const kind = command.do !== 'append' || count === 0 ? 'claim' : command.kind;
  const made = testAppend(
    sequence,
    kind === 'delta'
      ? undefined
      : testMark({ kind, firstSequence: sequence, lastSequence: sequence }),
  );
  return made;
}

async function answer(
  log: EventLog,
  chat: ChatKey,
  command: Command,
  append: ReturnType<typeof testAppend>,
  known: number[],
): Promise<unknown> {
  const placeOf = (record: LogRecord): number => known.indexOf(record.storeSequence);
  const told = (record: LogRecord): object => ({ ...plain(record), place: placeOf(record) });
  switch (command.do) {
    case 'append': {
      const view = known.at(-1 - command.view) ?? 0;
      const outcome = await log.append(chat, view, append);
      if (outcome.type === 'stored') known.push(outcome.storeSequence);
      return outcome.type;
    }
    case 'tail': {
      const tail = await log.tail(chat);
      return (
        tail && {
          last: told(tail.last),
          status: told(tail.status),
          lastSequence: tail.lastSequence,
        }
      );
    }
    case 'last': {
      const last = await log.last(chat);
      return last && told(last);
    }
    case 'page': {
      const { records, more } = await log.page(chat, known[command.from] ?? 0, 100_000);
      return { records: records.map(told), more };
    }
  }
}
