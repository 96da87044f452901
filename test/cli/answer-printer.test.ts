// What a lost worker had said: on a terminal it stands there already and is said anew, elsewhere it is never printed.
// And what is shown of tools, whose results have their calls' index.
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { ChatFold } from '../../clients/typescript/src/fold.ts';
import {
  BlockKind,
  type Event,
  EventSchema,
} from '../../clients/typescript/src/gen/tailrace/v1/event_pb.ts';
import { createAnswerPrinter } from '../../src/cli/terminal/answer-printer.ts';

type Payload = NonNullable<Exclude<MessageInitShape<typeof EventSchema>, Event>['payload']>;

function event(sequence: number, attempt: number, payload: Payload): Event {
  return create(EventSchema, { sequence, attempt, payload });
}

function text(sequence: number, attempt: number, said: string): Event {
  return event(sequence, attempt, { case: 'textDelta', value: { index: 0, text: said } });
}

function opened(sequence: number, attempt: number): Event {
  const value = { index: 0, kind: BlockKind.TEXT, turn: 1 };
  return event(sequence, attempt, { case: 'blockStarted', value });
}

/** "Wrong" is what the lost attempt said. */
const EVENTS: readonly Event[] = [
  event(1, 1, { case: 'started', value: { model: 'm' } }),
  opened(2, 1),
  text(3, 1, 'Wrong'),
  event(4, 2, {
    case: 'attemptStarted',
    value: { supersedesAfterSequence: 1 },
  }),
  opened(5, 2),
  text(6, 2, 'Right'),
];

function printed(
  t: TestContext,
  isTerminal: boolean,
  events: readonly Event[] = EVENTS,
): { out: string; err: string } {
  const before = process.stdout.isTTY;
  const said = { out: '', err: '' };
  const out = t.mock.method(process.stdout, 'write', (chunk: string) => {
    said.out += chunk;
    return true;
  });
  const err = t.mock.method(process.stderr, 'write', (chunk: string) => {
    said.err += chunk;
    return true;
  });
  process.stdout.isTTY = isTerminal;
  try {
    const printer = createAnswerPrinter();
    const fold = new ChatFold('chat', 0);
    for (const each of events) printer.show(fold.apply(each));
    printer.end();
  } finally {
    process.stdout.isTTY = before;
    out.mock.restore();
    err.mock.restore();
  }
  return said;
}

test('on a terminal a line says that the lost words are said anew', (t) => {
  const { out, err } = printed(t, true);
  assert.equal(out, 'Wrong\nRight\n');
  assert.match(err, /A worker was lost/);
});

test('without a terminal the text is what the chat came to, and nothing else', (t) => {
  const { out, err } = printed(t, false);
  assert.equal(out, 'Right\n');
  assert.equal(err, '');
});

/** A client's call, and what its client answered; then another attempt goes on behind it. */
const CALL: readonly Event[] = [
  event(1, 1, { case: 'started', value: { model: 'm' } }),
  event(2, 1, {
    case: 'blockStarted',
    value: { index: 0, kind: BlockKind.TOOL_USE, turn: 1, id: 'call_1', name: 'weather' },
  }),
  event(3, 1, { case: 'toolInputDelta', value: { index: 0, json: '{"city":"Paris"}' } }),
  event(4, 1, { case: 'blockStopped', value: { index: 0 } }),
  event(5, 1, {
    case: 'toolResultsReceived',
    value: {
      results: [
        { toolUseId: 'call_1', content: [{ block: { case: 'text', value: '21 degrees' } }] },
      ],
    },
  }),
  event(6, 2, { case: 'attemptStarted', value: { supersedesAfterSequence: 5 } }),
];

test('a call and its result are both shown whole on a terminal, and none of it is called lost', (t) => {
  const { out, err } = printed(t, true, CALL);
  const lines = stripVTControlCharacters(out);
  assert.equal(lines, '[weather {"city":"Paris"}]\n[21 degrees]\n');
  assert.equal(err, '');
});
