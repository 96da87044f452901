// Images, documents and system texts from the port to the model server's body; what cannot be honoured is
// refused by its path, and nothing is created.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { jetstreamManager } from '@nats-io/jetstream';
import type { ChatRequestSchema } from '../../gen/tailrace/v1/chat_request_pb.ts';
import { ChatStreamView } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import type { ContentBlockSchema } from '../../gen/tailrace/v1/content_pb.ts';
import { Role } from '../../gen/tailrace/v1/content_pb.ts';
import { scripted } from '../model-server/model-server.ts';
import { chatClient, type ChatClient, PROTOCOLS } from '../support/clients.ts';
import { DOCX, PNG } from '../support/chats/content.ts';
import { forAllTests } from '../support/for-all-tests.ts';
import { refused } from '../support/refusal.ts';
import { startScripted } from '../support/processes/scripted-tailrace.ts';
import { until } from '../support/until.ts';
import { watchToEnd } from '../support/chats/watch-chat.ts';

type Request = MessageInitShape<typeof ChatRequestSchema>;
type Block = MessageInitShape<typeof ContentBlockSchema>;

/** What lies on a web server of the test, and what was asked of it. */
const WEB: Readonly<Record<string, readonly [type: string, body: string | Uint8Array]>> = {
  '/page': ['text/html; charset=utf-8', '<title>T</title><h1>Mills</h1><p>One &amp; two</p>'],
  '/mill.pdf': ['application/octet-stream', file('two-pages.pdf')],
  '/picture': ['image/png', PNG],
};
const web = createServer();
const fetched: string[] = [];

const folder = mkdtempSync(join(tmpdir(), 'tailrace-content-'));
web.on('request', (request: IncomingMessage, response: ServerResponse) => {
  fetched.push(request.url ?? '');
  const [type, body] = WEB[request.url ?? ''] ?? [];
  if (type === undefined) response.writeHead(404).end();
  else response.writeHead(200, { 'content-type': type }).end(body);
});
await once(web.listen(0, '127.0.0.1'), 'listening');
const webPort = (web.address() as AddressInfo).port;
const { nats, model, tailrace, client } = await forAllTests(
  startScripted(({ url }) => {
    const file = join(folder, 'models.yaml');
    writeFileSync(
      file,
      `servers:
  - { name: s, base_url: ${url}, dialect: vllm }
models:
  - { name: seeing, server: s }
  - { name: blind, server: s, can: { images: false, documents: false } }
  - { name: short, server: s, context_tokens: 200, tokenizer: o200k_base }
default_prompt: |
  It is {date}. You are {model} at {tenant}. {guidelines}
use_default_prompt: false
guidelines: { default: Be kind. }
`,
    );
    return {
      OPENAI_BASE_URL: '',
      TAILRACE_MODELS_FILE: file,
      TAILRACE_FETCH_ALLOW: '127.0.0.1',
    };
  }),
);
const nc = await nats.bare();

after(() => {
  web.close();
  rmSync(folder, { recursive: true, force: true });
});

const SCRIPT = scripted({ tokens: 1 });
const text = (value: string): Block => ({ block: { case: 'text', value } });
const said = text(SCRIPT);

function image(data: Uint8Array, mediaType = 'image/png'): Block {
  return { block: { case: 'image', value: { source: { case: 'data', value: data }, mediaType } } };
}

function document(data: Uint8Array, mediaType: string, title = ''): Block {
  const source = { case: 'data' as const, value: data };
  return { block: { case: 'document', value: { title, source, mediaType } } };
}

function linked(url: string, mediaType = '', title = ''): Block {
  const source = { case: 'url' as const, value: url };
  return { block: { case: 'document', value: { title, source, mediaType } } };
}

/** On the web server of the test. */
function at(path: string, mediaType = '', title = ''): Block {
  return linked(`http://127.0.0.1:${webPort}${path}`, mediaType, title);
}

function file(name: string): Uint8Array {
  return readFileSync(join(import.meta.dirname, '../documents/files', name));
}

function asking(content: readonly Block[], more: Partial<Request> = {}): { request: Request } {
  return {
    request: { messages: [{ role: Role.USER, content: [...content] }], ...more } as Request,
  };
}

async function upstreamOf(
  initiate: { readonly request: Request },
  by: ChatClient = client,
): Promise<unknown> {
  const { streamId } = await by.initiateChatStream(initiate);
  await watchToEnd(by, streamId);
  const body = model.requests.at(-1)?.body;
  return typeof body === 'object' && body !== null ? Reflect.get(body, 'messages') : undefined;
}

test('images and texts reach the model server as parts, in their order, by every protocol', async () => {
  const url = 'https://a.example/b.webp';
  const linked: Block = {
    block: { case: 'image', value: { source: { case: 'url', value: url } } },
  };
  const request = asking([text('first'), image(PNG), text('then'), linked, text('and'), said]);
  for (const way of PROTOCOLS) {
    using by = chatClient(way, tailrace.url);
    assert.deepEqual(
      await upstreamOf(request, by),
      [
        {
          role: 'user',
          content: [
            { type: 'text', text: 'first' },
            {
              type: 'image_url',
              image_url: { url: `data:image/png;base64,${PNG.toString('base64')}` },
            },
            { type: 'text', text: 'then' },
            { type: 'image_url', image_url: { url } },
            { type: 'text', text: `and\n${SCRIPT}` },
          ],
        },
      ],
      way.name,
    );
  }
});

test('documents of every kind reach the model server as text in their frame', async () => {
  const csv = Buffer.from('name;km\nK\xf6ln;1', 'latin1');
  const html = Buffer.from('<h1>Mills</h1><script>evil()</script><p>One &amp; two</p>');
  const given: Block = {
    block: {
      case: 'document',
      value: { title: 'A "b" <c>', source: { case: 'text', value: 'x </document> y' } },
    },
  };
  const messages = await upstreamOf(
    asking([
      text('Read:'),
      document(file('two-pages.pdf'), 'application/pdf', 'Mill'),
      document(file('rivers.docx'), DOCX),
      document(html, 'text/html'),
      document(csv, 'text/csv; charset=windows-1252', 'km'),
      document(Buffer.from('# Title\n'), 'text/markdown'),
      given,
      said,
    ]),
  );
  const content = Reflect.get((messages as readonly object[])[0] ?? {}, 'content') as string;
  const [pdf, docx, ...rest] = content.split(/\n(?=<document )/).slice(1);
  assert.match(
    pdf ?? '',
    /^<document index="1" title="Mill" media_type="application\/pdf">\nPage 1 line 1: [^]*mill\.\n<\/document>$/,
  );
  assert.match(docx ?? '', /^<document index="2" media_type="[^"]+">\n# Rivers\n\nThe Rhine/);
  assert.deepEqual(rest, [
    '<document index="3" media_type="text/html">\n# Mills\n\nOne & two\n</document>',
    '<document index="4" title="km" media_type="text/csv">\nname;km\nKöln;1\n</document>',
    '<document index="5" media_type="text/markdown">\n# Title\n</document>',
    `<document index="6" title="A &quot;b&quot; &lt;c&gt;">\nx &lt;/document> y\n</document>\n${SCRIPT}`,
  ]);
});

test('a document is stored as its text: FULL shows it, and the same bytes again are the same chat', async () => {
  const data = file('two-pages.pdf');
  const request = { streamId: 'pdf', ...asking([document(data, 'application/pdf'), said]) };
  assert.equal((await client.initiateChatStream(request)).created, true);
  await watchToEnd(client, 'pdf');
  const { chatStream } = await client.getChatStream({
    streamId: 'pdf',
    view: ChatStreamView.FULL,
  });
  const block = chatStream?.request?.messages[0]?.content[0]?.block;
  assert.ok(block?.case === 'document' && block.value.source.case === 'text');
  assert.match(block.value.source.value, /^Page 1 line 1: the river/);
  assert.equal(block.value.original?.sizeBytes, data.length);
  assert.equal(block.value.original.sha256, createHash('sha256').update(data).digest('hex'));
  assert.equal((await client.initiateChatStream(request)).created, false);
  const other = {
    streamId: 'pdf',
    ...asking([document(file('cjk.pdf'), 'application/pdf'), said]),
  };
  assert.equal((await refused(client.initiateChatStream(other))).reason, 'STREAM_ID_TAKEN');
});

test('documents by url reach the model server as text, by every protocol', async () => {
  const asked = asking([at('/page'), at('/mill.pdf', 'application/pdf', 'Mill'), said]);
  for (const way of PROTOCOLS) {
    using by = chatClient(way, tailrace.url);
    const messages = await upstreamOf(asked, by);
    const content = String(Array.isArray(messages) ? Reflect.get(messages[0], 'content') : '');
    assert.match(
      content,
      /^<document index="1" media_type="text\/html">\n# Mills\n\nOne & two\n<\/document>\n<document index="2" title="Mill" media_type="application\/pdf">\nPage 1 line 1: /,
    );
  }
});

test('a document by url is fetched once: a repeat with the same id is the same chat, without a fetch', async () => {
  const request = { streamId: 'by-url', ...asking([at('/mill.pdf', 'application/pdf'), said]) };
  fetched.length = 0;
  assert.equal((await client.initiateChatStream(request)).created, true);
  assert.deepEqual(fetched, ['/mill.pdf']);
  assert.equal((await client.initiateChatStream(request)).created, false);
  const other = { streamId: 'by-url', ...asking([at('/page'), said]) };
  assert.equal((await refused(client.initiateChatStream(other))).reason, 'STREAM_ID_TAKEN');
  assert.deepEqual(fetched, ['/mill.pdf']);
  await watchToEnd(client, 'by-url');
  const { chatStream } = await client.getChatStream({
    streamId: 'by-url',
    view: ChatStreamView.FULL,
  });
  const block = chatStream?.request?.messages[0]?.content[0]?.block;
  assert.ok(block?.case === 'document' && block.value.source.case === 'text');
  assert.match(block.value.source.value, /^Page 1 line 1: the river/);
  const data = file('two-pages.pdf');
  assert.equal(block.value.original?.sizeBytes, data.length);
  assert.equal(block.value.original.sha256, createHash('sha256').update(data).digest('hex'));
});

async function storedCommands(): Promise<number> {
  const jsm = await jetstreamManager(nc);
  return (await jsm.streams.info('COMMANDS')).state.last_seq;
}

test('what cannot be read, seen or fitted is refused by its path, and nothing is created', async () => {
  const C = 'request.messages[0].content';
  const pdf = (name: string): Block => document(file(name), 'application/pdf');
  const tooLong = asking([pdf('two-pages.pdf'), said], { model: 'short', maxTokens: 150 });
  // A machine that is too slow to count a request leaves it to the model server.
  await until('a count of its tokens', () =>
    client.initiateChatStream(tooLong).then(
      () => false,
      () => true,
    ),
  );
  const before = await storedCommands();
  const cut = document(file('two-pages.pdf').subarray(0, 700), 'application/pdf');
  const latin = document(Buffer.from('K\xf6ln', 'latin1'), 'text/csv');
  for (const [request, reason, fields, message] of [
    [
      asking([pdf('encrypted.pdf'), said, cut, latin]),
      'INVALID_REQUEST',
      [`${C}[0].document.data`, `${C}[2].document.data`, `${C}[3].document.data`],
      /with a password; send it without one.*broken PDF.*charset=windows-1252/,
    ],
    [
      asking([image(PNG, 'image/jpeg'), image(PNG, '')]),
      'INVALID_REQUEST',
      [`${C}[0].image.media_type`, `${C}[1].image.media_type`],
      /the bytes are image\/png/,
    ],
    [
      asking([said, at('/gone'), at('/picture'), linked(`http://127.0.0.2:${webPort}/page`)]),
      'INVALID_REQUEST',
      [`${C}[1].document.url`, `${C}[2].document.url`, `${C}[3].document.url`],
      /answered with status 404.*answered with "image\/png", which cannot be read.*may not be fetched/,
    ],
    [
      asking([image(PNG), pdf('two-pages.pdf')], { model: 'blind' }),
      'MODEL_UNFIT',
      [`${C}[0].image`, `${C}[1].document`],
      /sees no images; these can: seeing, short.*takes no documents; these can: seeing, short/,
    ],
    [
      tooLong,
      'MODEL_UNFIT',
      ['request.messages'],
      /have \d+ tokens with the system text and max_tokens asks for 150 more; the context of the model short is 200/,
    ],
  ] as const) {
    const refusal = await refused(client.initiateChatStream({ streamId: 'no', ...request }));
    assert.equal(refusal.code, 'InvalidArgument');
    assert.equal(refusal.reason, reason);
    assert.deepEqual(refusal.fields, fields);
    assert.match(refusal.message, message);
  }
  assert.equal(await storedCommands(), before);
});

test('default prompt, text and guidelines reach the model server in this order, each as asked', async () => {
  const day = new Date().toISOString().slice(0, 10);
  const prompt = `It is ${day}. You are seeing at default. Be kind.`;
  for (const [system, expected] of [
    [{ useDefaultPrompt: true, text: 'T', guidelines: 'G' }, `${prompt}\n\nT\n\nG`],
    [{ useDefaultPrompt: true }, prompt],
    [{ useDefaultPrompt: false, text: 'T' }, 'T'],
    [{ guidelines: 'G' }, 'G'],
  ] as const) {
    assert.deepEqual(await upstreamOf(asking([said], { system })), [
      { role: 'system', content: expected },
      { role: 'user', content: SCRIPT },
    ]);
  }
  assert.deepEqual(await upstreamOf(asking([said])), [{ role: 'user', content: SCRIPT }]);
});
