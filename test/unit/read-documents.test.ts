// Documents of a request become text wherever they stand, or are named by their paths, all at once.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create } from '@bufbuild/protobuf';
import { type ChatRequest, ChatRequestSchema } from '../../gen/tailrace/v1/chat_request_pb.ts';
import { Role } from '../../gen/tailrace/v1/content_pb.ts';
import { documentsOf } from '../../src/chat/content-places.ts';
import type { DocumentReader } from '../../src/chat/document-port.ts';
import { ChatError } from '../../src/chat/errors.ts';
import { readDocuments } from '../../src/chat/read-documents.ts';

function document(said: string) {
  const source = { case: 'data' as const, value: Buffer.from(said) };
  return { source, mediaType: 'text/plain', title: said };
}

function asking(): ChatRequest {
  const block = (said: string) => ({
    block: { case: 'document' as const, value: document(said) },
  });
  const result = { toolUseId: 't', content: [block('two')] };
  return create(ChatRequestSchema, {
    messages: [
      {
        role: Role.USER,
        content: [
          block('one'),
          { block: { case: 'toolResult', value: result } },
          { block: { case: 'text', value: 'hi' } },
        ],
      },
    ],
    toolContext: [{ name: 'c', item: { case: 'document', value: document('three') } }],
  });
}

const begin = (): AbortSignal => new AbortController().signal;

/** Reads what is said in capitals; what `broken` names it cannot. */
function reader(...broken: readonly string[]): DocumentReader {
  return {
    read: async ({ data }) => {
      const said = Buffer.from(data).toString();
      return Promise.resolve(
        broken.includes(said) ? { unreadable: `is ${said}` } : { text: said.toUpperCase() },
      );
    },
  };
}

test('documents in messages, tool results and tool context become text; the given request stays', async () => {
  const given = asking();
  const read = await readDocuments(given, reader(), begin);
  assert.deepEqual(
    [...documentsOf(read)].map(({ path, document: { source, original, title } }) => {
      return [path, source.value, original?.sizeBytes, title];
    }),
    [
      ['request.messages[0].content[0].document', 'ONE', 3, 'one'],
      ['request.messages[0].content[1].tool_result.content[0].document', 'TWO', 3, 'two'],
      ['request.tool_context[0].document', 'THREE', 5, 'three'],
    ],
  );
  assert.ok([...documentsOf(given)].every(({ document: { source } }) => source.case === 'data'));
  assert.equal(await readDocuments(read, reader(), () => assert.fail('nothing to read')), read);
});

test('all that cannot be read is named in its order', async () => {
  await assert.rejects(readDocuments(asking(), reader('three', 'one'), begin), (error) => {
    assert.ok(error instanceof ChatError && error.reason === 'INVALID_REQUEST');
    assert.deepEqual(error.violations, [
      { path: 'request.messages[0].content[0].document.data', description: 'is one' },
      { path: 'request.tool_context[0].document.data', description: 'is three' },
    ]);
    return true;
  });
});

test('who takes too long is told the bound; a reader that is busy and a caller that leaves come through', async () => {
  const stuck: DocumentReader = {
    read: (_, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
      }),
  };
  await assert.rejects(
    readDocuments(asking(), stuck, () => AbortSignal.timeout(1)),
    /may take 60 s, and that was not enough/,
  );
  const left = new Error('left');
  const leaving = readDocuments(asking(), stuck, () => {
    const controller = new AbortController();
    setImmediate(() => controller.abort(left));
    return controller.signal;
  });
  await assert.rejects(leaving, left);
  const busy = new ChatError('QUEUE_FULL', 'busy', { retryAfterMs: 1 });
  const full: DocumentReader = { read: () => Promise.reject(busy) };
  await assert.rejects(readDocuments(asking(), full, begin), busy);
});
