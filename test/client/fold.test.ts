// What a client makes of a log is what the server makes of it, lost attempts included.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import * as fc from 'fast-check';
import type { AnswerPart } from '../../clients/typescript/src/tailrace.ts';
import {
  ChatFold,
  ChatStreamStatus,
  EventSchema,
  TailraceError,
} from '../../clients/typescript/src/tailrace.ts';
import { sha256Hex } from '../../clients/typescript/src/sha256.ts';
import type { ContentBlock } from '../../gen/tailrace/v1/content_pb.ts';
import {
  ThinkingBlockSchema,
  ToolResultBlockSchema,
  ToolUseBlockSchema,
} from '../../gen/tailrace/v1/content_pb.ts';
import { BlockKind } from '../../gen/tailrace/v1/event_pb.ts';
import { AnswerFold } from '../../src/chat/fold/answer.ts';

type Payload = NonNullable<MessageInitShape<typeof EventSchema>['payload']>;

/** One step of a run: it opens blocks, adds to one of them, ends one, or another attempt takes over. */
type Step =
  | { readonly do: 'open'; readonly kind: BlockKind; readonly whole: boolean }
  | { readonly do: 'add' | 'cite' | 'stop'; readonly block: number; readonly text: string }
  | { readonly do: 'take over'; readonly keep: number }
  | { readonly do: 'answer' };

const KINDS = [
  BlockKind.TEXT,
  BlockKind.THINKING,
  BlockKind.TOOL_USE,
  BlockKind.SERVER_TOOL_USE,
  BlockKind.TOOL_RESULT,
] as const;

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant('open'), kind: fc.constantFrom(...KINDS), whole: fc.boolean() }),
  fc.record({
    do: fc.constantFrom('add', 'add', 'add', 'cite', 'stop'),
    block: fc.nat(20),
    text: fc.string({ unit: 'grapheme', maxLength: 6 }),
  }),
  fc.record({ do: fc.constant('take over'), keep: fc.double({ min: 0, max: 1, noNaN: true }) }),
  fc.record({ do: fc.constant('answer') }),
);

interface Open {
  readonly index: number;
  readonly kind: BlockKind;
  readonly sequence: number;
  /** The event with which it was complete. */
  done: number;
}

/** A log as workers write it. */
function logOf(steps: readonly Step[]): Payload[] {
  const payloads: Payload[] = [{ case: 'started', value: { model: 'm' } }];
  let open: Open[] = [];
  for (const step of steps) {
    const sequence = payloads.length + 1;
    switch (step.do) {
      case 'open': {
        const index = (open.at(-1)?.index ?? -1) + 1;
        const done = step.whole ? sequence + 1 : Infinity;
        open.push({ index, kind: step.kind, sequence, done });
        const value = { index, kind: step.kind, turn: 1, id: `call-${sequence}`, name: 'tool' };
        payloads.push({ case: 'blockStarted', value });
        if (step.whole) payloads.push(wholeOf(index, step.kind, `call-${sequence}`));
        break;
      }
      case 'add':
      case 'cite':
      case 'stop': {
        const block = open[step.block % Math.max(open.length, 1)];
        if (block === undefined || block.done < sequence) break;
        payloads.push(...changeOf(step.do, block, step.text));
        if (step.do === 'stop') block.done = sequence;
        break;
      }
      case 'take over': {
        const kept = Math.floor(step.keep * payloads.length);
        open = open.filter((each) => each.sequence <= kept);
        for (const each of open) if (each.done > kept) each.done = Infinity;
        payloads.push({ case: 'attemptStarted', value: { supersedesAfterSequence: kept } });
        break;
      }
      case 'answer': {
        const calls = open.filter(({ kind }) => kind === BlockKind.TOOL_USE);
        const results = calls.map((call) => ({
          toolUseId: `call-${call.sequence}`,
          content: [{ block: { case: 'text' as const, value: 'fine' } }],
        }));
        payloads.push({ case: 'toolResultsReceived', value: { results } });
        break;
      }
    }
  }
  return payloads;
}

function wholeOf(index: number, kind: BlockKind, id: string): Payload {
  return { case: 'blockStopped', value: { index, content: { block: wholeBlock(kind, id) } } };
}

function wholeBlock(kind: BlockKind, id: string): ContentBlock['block'] {
  switch (kind) {
    case BlockKind.THINKING: {
      const value = create(ThinkingBlockSchema, { text: 'whole', signature: 's' });
      return { case: 'thinking', value };
    }
    case BlockKind.TOOL_USE:
    case BlockKind.SERVER_TOOL_USE: {
      const value = create(ToolUseBlockSchema, { id, name: 'tool', input: '{}' });
      return { case: 'toolUse', value };
    }
    case BlockKind.TOOL_RESULT: {
      const value = create(ToolResultBlockSchema, { toolUseId: id, isError: true });
      return { case: 'toolResult', value };
    }
    default:
      return { case: 'text', value: 'whole' };
  }
}

function changeOf(what: 'add' | 'cite' | 'stop', { index, kind }: Open, text: string): Payload[] {
  if (what === 'stop') {
    const signature = kind === BlockKind.THINKING ? text : '';
    const incomplete = CALLS.includes(kind) && text.length % 2 === 0;
    return [{ case: 'blockStopped', value: { index, signature, incomplete } }];
  }
  if (what === 'cite') {
    if (kind !== BlockKind.TEXT) return [];
    return [{ case: 'citation', value: { index, document: 'd1', quote: text } }];
  }
  switch (kind) {
    case BlockKind.TEXT:
      return [{ case: 'textDelta', value: { index, text } }];
    case BlockKind.THINKING:
      return [{ case: 'thinkingDelta', value: { index, text } }];
    case BlockKind.TOOL_USE:
    case BlockKind.SERVER_TOOL_USE:
      return [{ case: 'toolInputDelta', value: { index, json: text } }];
    default:
      return [];
  }
}

const CALLS: readonly BlockKind[] = [BlockKind.TOOL_USE, BlockKind.SERVER_TOOL_USE];

const eventOf = (payload: Payload, at: number) =>
  create(EventSchema, { sequence: at + 1, attempt: 1, payload });

function partsAsTold(parts: readonly AnswerPart[]): unknown[] {
  return parts.map((part) => {
    switch (part.kind) {
      case 'text':
        return ['text', part.text, part.citations.map(({ quote }) => quote)];
      case 'thinking':
        return ['thinking', part.text, part.signature];
      case 'toolUse':
        return ['toolUse', part.id, part.name, part.input, part.incomplete];
      case 'toolResult':
        return ['toolResult', part.toolUseId, part.content.length, part.isError];
    }
  });
}

function blocksAsTold(blocks: readonly ContentBlock[]): unknown[] {
  return blocks.map(({ block, citations }) => {
    switch (block.case) {
      case 'text':
        return ['text', block.value, citations.map(({ quote }) => quote)];
      case 'thinking':
        return ['thinking', block.value.text, block.value.signature];
      case 'toolUse':
        return [
          'toolUse',
          block.value.id,
          block.value.name,
          block.value.input,
          block.value.incomplete,
        ];
      case 'toolResult': {
        const { toolUseId, content, isError = false } = block.value;
        return ['toolResult', toolUseId, content.length, isError];
      }
      default:
        return [block.case];
    }
  });
}

function joined(parts: readonly AnswerPart[], kind: 'text' | 'thinking'): string {
  return parts.map((part) => (part.kind === kind ? part.text : '')).join('');
}

test('any log folds to the same answer in the client as in the server, and to a true hash', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const payloads = logOf(steps);
      const server = new AnswerFold();
      const client = new ChatFold('chat', 0);
      const told = payloads.map((payload, at) => {
        server.apply(eventOf(payload, at));
        const snapshot = client.apply(eventOf(payload, at));
        return { snapshot, blocks: blocksAsTold(server.output()) };
      });
      // Read when all has been folded: a snapshot is of its own event whenever that is.
      for (const { snapshot, blocks } of told) {
        const { parts, text, thinking } = snapshot;
        assert.deepEqual(partsAsTold(parts), blocks);
        assert.equal(text, joined(parts, 'text'));
        assert.equal(thinking, joined(parts, 'thinking'));
      }
      const lastSequence = payloads.length + 1;
      const end = {
        status: ChatStreamStatus.COMPLETED,
        lastSequence,
        contentSha256: server.contentSha256(),
      };
      const ended = client.apply(eventOf({ case: 'completed', value: end }, payloads.length));
      assert.ok(ended.verified && ended.ended);
    }),
    { numRuns: 500 },
  );
});

test('an end that tells of another text or another count is an error', () => {
  const said: Payload[] = [
    { case: 'started', value: { model: 'm' } },
    { case: 'blockStarted', value: { index: 0, kind: BlockKind.TEXT, turn: 1 } },
    { case: 'textDelta', value: { index: 0, text: 'water' } },
  ];
  const foldWithEnd = (lastSequence: number, text: string) => {
    const fold = new ChatFold('chat', 0);
    for (const [at, payload] of said.entries()) fold.apply(eventOf(payload, at));
    const contentSha256 = createHash('sha256').update(text).digest('hex');
    const value = { status: ChatStreamStatus.COMPLETED, lastSequence, contentSha256 };
    return fold.apply(eventOf({ case: 'completed', value }, 3));
  };
  assert.ok(foldWithEnd(4, 'water').verified);
  const mismatch = (error: unknown) =>
    error instanceof TailraceError && error.reason === 'CONTENT_MISMATCH';
  assert.throws(() => foldWithEnd(4, 'wine'), mismatch);
  assert.throws(() => foldWithEnd(5, 'water'), mismatch);
});

test('a snapshot that was handed out never changes', () => {
  const fold = new ChatFold('chat', 0);
  fold.apply(eventOf({ case: 'blockStarted', value: { kind: BlockKind.TEXT, turn: 1 } }, 0));
  const before = fold.apply(eventOf({ case: 'textDelta', value: { text: 'a' } }, 1));
  const kept = structuredClone(before);
  fold.apply(eventOf({ case: 'textDelta', value: { text: 'b' } }, 2));
  fold.apply(eventOf({ case: 'attemptStarted', value: { supersedesAfterSequence: 0 } }, 3));
  assert.deepEqual(before, kept);
});

test('what an event does not touch is the same object in the next snapshot, and a copy has all of it', () => {
  const fold = new ChatFold('chat', 0);
  const call = { index: 0, kind: BlockKind.TOOL_USE, turn: 1, id: 'call-1', name: 'tool' };
  const result = { toolUseId: 'call-1', content: [] };
  fold.apply(eventOf({ case: 'blockStarted', value: call }, 0));
  fold.apply(eventOf({ case: 'blockStopped', value: { index: 0 } }, 1));
  const before = fold.apply(
    eventOf({ case: 'toolResultsReceived', value: { results: [result] } }, 2),
  );
  fold.apply(eventOf({ case: 'blockStarted', value: { index: 1, kind: BlockKind.TEXT } }, 3));
  const after = fold.apply(eventOf({ case: 'textDelta', value: { index: 1, text: 'a' } }, 4));
  assert.equal(after.parts.length, 3);
  assert.equal(after.parts[0], before.parts[0]);
  assert.equal(after.parts[1], before.parts[1]);
  assert.equal(after.parts, after.parts);
  assert.deepEqual({ ...after }, after);
  assert.deepEqual(structuredClone(after).parts, after.parts);
});

test('a chat of twenty thousand blocks is folded, each event at the cost of the block that it is about', () => {
  const fold = new ChatFold('chat', 0);
  const blocks = 20_000;
  let sequence = 0;
  const take = (payload: Payload) => fold.apply(eventOf(payload, sequence++));
  for (let index = 0; index < blocks; index++) {
    const kind = index % 2 === 0 ? BlockKind.TEXT : BlockKind.THINKING;
    take({ case: 'blockStarted', value: { index, kind, turn: 1 } });
    const payload = index % 2 === 0 ? 'textDelta' : 'thinkingDelta';
    take({ case: payload, value: { index, text: `${index} ` } });
    take({ case: 'blockStopped', value: { index } });
  }
  const { parts, text } = fold.snapshot;
  assert.equal(parts.length, blocks);
  assert.ok(text.endsWith(` ${blocks - 2} `));
  assert.equal(text, joined(parts, 'text'));
});

test('SHA-256 is that of Node, for every length around a block and for any text', () => {
  const nodes = (text: string) => createHash('sha256').update(text).digest('hex');
  for (let length = 0; length <= 200; length++) {
    const text = 'a'.repeat(length);
    assert.equal(sha256Hex(text), nodes(text), `${length} characters`);
  }
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 300 }), (text) => {
      assert.equal(sha256Hex(text), nodes(text));
    }),
  );
});
