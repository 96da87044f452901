// Images in results of MCP servers' tools: in the log for whoever watches, and before models that see.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ChatStreamView } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import type { ContentBlock } from '../../gen/tailrace/v1/content_pb.ts';
import type { Event } from '../../gen/tailrace/v1/event_pb.ts';
import { MAX_TOOL_RESULT_IMAGE_BYTES } from '../../src/chat/limits.ts';
import { forAllTests } from '../support/for-all-tests.ts';
import { calling, startMcpChats } from '../support/chats/mcp-chats.ts';
import { anyTool, startMcpServer } from '../support/servers/mcp-server.ts';
import { watchToEnd } from '../support/chats/watch-chat.ts';

const MAGIC = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');
/** By the name of the tool that answers with it. */
const IMAGES: Readonly<Record<string, Buffer>> = {
  tiny: MAGIC,
  large: Buffer.concat([MAGIC, Buffer.alloc(MAX_TOOL_RESULT_IMAGE_BYTES - MAGIC.length, 7)]),
  over: Buffer.concat([MAGIC, Buffer.alloc(MAX_TOOL_RESULT_IMAGE_BYTES)]),
};
/** As many as fit into an answer of an MCP server, about. */
const SWARM = 40_000;

const dir = await mkdtemp(join(tmpdir(), 'tailrace-mcp-images-'));
const server = await forAllTests(
  startMcpServer(({ method, params }) => {
    if (method === 'tools/list') {
      return { result: { tools: [...Object.keys(IMAGES), 'swarm'].map((name) => anyTool(name)) } };
    }
    if (params['name'] === 'swarm') {
      const image = (data: Buffer = MAGIC) => {
        return { type: 'image', data: data.toString('base64'), mimeType: 'image/png' };
      };
      const swarm = Array.from({ length: SWARM }, () => image());
      return { result: { content: [image(IMAGES['large']), ...swarm] } };
    }
    const data = IMAGES[String(params['name'])];
    if (method !== 'tools/call' || data === undefined) return undefined;
    return {
      result: {
        content: [
          { type: 'text', text: 'Look:' },
          { type: 'image', data: data.toString('base64'), mimeType: 'image/png' },
        ],
      },
    };
  }),
);
const chats = await forAllTests(
  startMcpChats(({ url }) => {
    const file = join(dir, 'models.json');
    const named = (name: string, more: object) => ({
      name,
      server: 'own',
      upstream_model: 'test-model',
      ...more,
    });
    const models = [
      named('sees', { can: { images: true } }),
      named('blind', { can: { images: false } }),
      named('unknown', {}),
      named('strict', { can: { images: true }, tool_images: false }),
    ];
    const servers = [{ name: 'own', base_url: url }];
    writeFileSync(file, JSON.stringify({ servers, models }));
    return { TAILRACE_MODELS_FILE: file, OPENAI_BASE_URL: '' };
  }),
);

after(() => rm(dir, { recursive: true }));

function resultContent(events: readonly Event[]): ContentBlock['block'][] {
  for (const { payload } of events) {
    const block = payload.case === 'blockStopped' ? payload.value.content?.block : undefined;
    if (block?.case === 'toolResult') return block.value.content.map((part) => part.block);
  }
  throw new Error('The chat has no result.');
}

test('an image of a tool’s result is in the log, and before the model that sees; another has a note', async () => {
  const note = '[An image, image/png, 8 bytes, which cannot be shown here.]';
  const shown = '[An image, image/png, 8 bytes: see the next message.]';
  for (const name of ['sees', 'blind', 'unknown', 'strict']) {
    const servers = [{ name: 's', url: server.url }];
    const watch = await chats.runToEnd(calling(['s__tiny']), servers, { model: name });
    const [said, image] = resultContent(watch.events);
    assert.deepEqual(said, { case: 'text', value: 'Look:' });
    assert.ok(image?.case === 'image' && image.value.source.case === 'data', name);
    assert.deepEqual(Buffer.from(image.value.source.value), MAGIC);
    const { messages } = await chats.modelAsked(2);
    const [result, ...more] = messages.slice(-2).filter(({ role }) => role !== 'assistant');
    assert.equal(result?.content, `Look:\n${name === 'sees' ? shown : note}`, name);
    const url = `data:image/png;base64,${MAGIC.toString('base64')}`;
    const parts = [
      { type: 'text', text: '[Images of the tool’s result:]' },
      { type: 'image_url', image_url: { url } },
    ];
    assert.deepEqual(more, name === 'sees' ? [{ role: 'user', content: parts }] : [], name);
  }
});

test('a large image is in the events whole, and by its size and hash in the FULL view', async () => {
  const large = IMAGES['large'] ?? MAGIC;
  const streamId = await chats.start(calling(['s__large']), [{ name: 's', url: server.url }], {
    model: 'sees',
  });
  const { events } = await watchToEnd(chats.client, streamId);
  const image = resultContent(events)[1];
  assert.ok(image?.case === 'image' && image.value.source.case === 'data');
  assert.ok(large.equals(image.value.source.value));
  const { chatStream } = await chats.client.getChatStream({ streamId, view: ChatStreamView.FULL });
  const inner = chatStream?.output.flatMap(({ block }) =>
    block.case === 'toolResult' ? block.value.content.map((part) => part.block) : [],
  )[1];
  assert.ok(inner?.case === 'image');
  assert.equal(inner.value.source.case, undefined);
  assert.equal(inner.value.original?.sizeBytes, large.length);
  assert.equal(inner.value.original.sha256, createHash('sha256').update(large).digest('hex'));
});

test('an image over the bound is a note that says so, in the log and to the model', async () => {
  const servers = [{ name: 's', url: server.url }];
  const watch = await chats.runToEnd(calling(['s__over']), servers, { model: 'sees' });
  const [, noted, ...more] = resultContent(watch.events);
  assert.deepEqual(more, []);
  assert.ok(noted?.case === 'text');
  assert.match(noted.value, /^\[An image, image\/png, 524296 bytes, which is too large/);
});

test('a swarm of tiny images is a result that the log can take, and the chat goes on', async () => {
  const servers = [{ name: 's', url: server.url }];
  const watch = await chats.runToEnd(calling(['s__swarm']), servers, { model: 'sees' });
  const content = resultContent(watch.events);
  assert.equal(content.filter((part) => part.case === 'image').length, 1);
  const last = content.at(-1);
  assert.ok(last?.case === 'text');
  assert.match(last.value, /Cut off here/);
});
