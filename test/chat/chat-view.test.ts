// The resource ChatStream: what it says of a chat, and that FULL stays small enough to be received.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { toBinary } from '@bufbuild/protobuf';
import * as fc from 'fast-check';
import { ChatStreamSchema, ChatStreamStatus } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import type { ChatStream } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { Role } from '../../gen/tailrace/v1/content_pb.ts';
import { canonicalRequest } from '../../src/chat/request/canonical.ts';
import { basicView, cutText, fullView } from '../../src/chat/fold/chat-view.ts';
import type { Command } from '../../src/chat/ports/commands.ts';
import { MAX_FULL_VIEW_BYTES, MAX_VIEW_DATA_BYTES } from '../../src/chat/limits.ts';
import { foldLog } from '../../src/chat/log/read-log.ts';
import { AnswerSink } from '../../src/worker/answer/answer-sink.ts';
import type { ChatInit } from '../support/chats/chat-fixtures.ts';
import { chatKey, initiateRequest } from '../support/chats/chat-fixtures.ts';
import { claimedWriter, firstTurn } from '../support/chats/claims.ts';
import { PNG } from '../support/chats/content.ts';
import { memoryLog } from '../support/chats/memory-log.ts';
import { testMeta } from '../support/chats/test-meta.ts';

const COMPLETED = { kind: 'completed', stopReason: 1 } as const;
const MiB = 1024 * 1024;

function startOf(init: ChatInit): Command {
  const { bytes, hash } = canonicalRequest(initiateRequest(init));
  return {
    chat: chatKey('c'),
    verb: 'start',
    priority: 5,
    sequence: 1,
    meta: testMeta({
      createdAtMs: 1_800_000_000_000,
      expiresAtMs: 1_900_000_000_000,
      correlationId: 'trace',
      requestHash: hash,
    }),
    data: bytes,
  };
}

/** The FULL view of a chat with this request and this answer. */
async function viewOf(init: ChatInit, answer: readonly string[]): Promise<ChatStream> {
  const log = memoryLog();
  const start = startOf(init);
  const { writer } = await claimedWriter(log, start.chat);
  const sink = new AnswerSink(writer, firstTurn(true));
  for (const [i, text] of answer.entries()) {
    if (i % 2 === 0) sink.text(text);
    else sink.thinking(text);
  }
  await writer.end(COMPLETED, sink.finish(COMPLETED));
  const tail = await log.tail(start.chat);
  return fullView(basicView(start, tail), start, await foldLog(log, start.chat, tail));
}

function sizeOf(view: ChatStream): number {
  return toBinary(ChatStreamSchema, view).length;
}

test('a queued chat is PENDING, with what its start says', () => {
  const view = basicView(startOf({ request: { metadata: { a: '1' } } }), undefined);
  assert.equal(view.status, ChatStreamStatus.PENDING);
  assert.equal(view.attempt, 0);
  assert.equal(view.startedAt, undefined);
  assert.equal(view.queuePosition, undefined);
  assert.deepEqual(view.metadata, { a: '1' });
  assert.equal(view.correlationId, 'trace');
});

test('a small answer is whole, with its request and its hash', async () => {
  const view = await viewOf({ text: 'question' }, ['answer', 'thought', 'more']);
  assert.equal(view.outputTruncated, false);
  assert.equal(view.output.length, 3);
  assert.equal(view.request?.messages.length, 1);
  assert.match(view.contentSha256, /^[0-9a-f]{64}$/);
  assert.equal(view.status, ChatStreamStatus.COMPLETED);
  assert.ok(view.endedAt !== undefined);
});

test('FULL gives small bytes back, and of large ones the size and the SHA-256', async () => {
  const large = Buffer.concat([PNG, Buffer.alloc(MAX_VIEW_DATA_BYTES, 7)]);
  const image = (data: Uint8Array) => {
    const source = { case: 'data' as const, value: data };
    return { block: { case: 'image' as const, value: { source, mediaType: 'image/png' } } };
  };
  const messages = [{ role: Role.USER, content: [image(PNG), image(large)] }];
  const view = await viewOf({ request: { messages } }, ['seen']);
  const [small, omitted] = (view.request?.messages[0]?.content ?? []).map(({ block }) => {
    assert.ok(block.case === 'image');
    return block.value;
  });
  assert.deepEqual(Buffer.from(small?.source.value ?? ''), PNG);
  assert.equal(small?.original, undefined);
  assert.equal(omitted?.source.case, undefined);
  assert.equal(omitted?.mediaType, 'image/png');
  assert.equal(omitted.original?.sizeBytes, large.length);
  assert.equal(omitted.original.sha256, createHash('sha256').update(large).digest('hex'));
});

test('FULL is under its bound, whatever is large', async () => {
  const large: readonly [ChatInit, readonly string[]][] = [
    [{}, ['x'.repeat(5 * MiB)]],
    [{}, ['x'.repeat(MiB), 'y'.repeat(5 * MiB), 'z'.repeat(MiB)]],
    [{ text: 'q'.repeat(6 * MiB) }, ['a'.repeat(4 * MiB)]],
    [{ text: 'q'.repeat(1_400_000) }, ['a'.repeat(4 * MiB)]],
    [{ request: { system: { text: 's'.repeat(6 * MiB) } } }, ['an answer']],
    [{ request: { stop: Array.from({ length: 16 }, () => '\u{1f30a}'.repeat(200_000)) } }, ['a']],
    [{ text: '\u{1f30a}'.repeat(MiB) }, ['\u{1f30a}'.repeat(MiB)]],
    [{}, Array.from({ length: 20_000 }, (_, i) => `${i}`.padEnd(200))],
  ];
  for (const [i, [init, answer]] of large.entries()) {
    const view = await viewOf(init, answer);
    assert.ok(sizeOf(view) <= MAX_FULL_VIEW_BYTES, `case ${i} has ${sizeOf(view)} bytes`);
    const said = view.output
      .map(({ block }) => (block.case === 'text' ? block.value : ''))
      .join('');
    const whole = said === answer.join('');
    assert.equal(view.outputTruncated, !whole, `case ${i} says whether its output is whole`);
  }
});

test('a cut text is the longest start that fits, and never ends inside a character', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.nat({ max: 60 }), (given, bytes) => {
      const text = given.toWellFormed();
      const cut = cutText(text, bytes);
      assert.ok(text.startsWith(cut));
      assert.ok(Buffer.byteLength(cut) <= bytes);
      assert.ok(cut.isWellFormed());
      const next = String.fromCodePoint(text.codePointAt(cut.length) ?? 0x41);
      if (cut !== text) assert.ok(Buffer.byteLength(cut + next) > bytes);
    }),
  );
});
