// Tailrace's own tools through the whole product: asked for by name, told to the model, run between its
// turns, and seen by every observer; and the citations of what they found.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { ChatRequest, ChatRequestSchema } from '../../gen/tailrace/v1/chat_request_pb.ts';
import {
  ChatStreamStatus,
  ChatStreamView,
  StopReason,
} from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { Role } from '../../gen/tailrace/v1/content_pb.ts';
import { BlockKind } from '../../gen/tailrace/v1/event_pb.ts';
import { scripted } from '../model-server/model-server.ts';
import type { ScriptInput } from '../model-server/script.ts';
import { forAllTests } from '../support/for-all-tests.ts';
import { refused } from '../support/refusal.ts';
import { startScripted } from '../support/processes/scripted-tailrace.ts';
import { callsOf, resultsIn, serverTools } from '../support/chats/tool-calls.ts';
import { type Watch, watchToEnd } from '../support/chats/watch-chat.ts';

const { model, tailrace, client } = await forAllTests(
  startScripted(() => ({ TAILRACE_FETCH_ALLOW: '127.0.0.1' })),
);

type Request = Exclude<MessageInitShape<typeof ChatRequestSchema>, ChatRequest>;

const MILL = {
  name: 'mill',
  item: {
    case: 'document' as const,
    value: {
      title: 'The mill',
      source: {
        case: 'text' as const,
        value: 'A mill has a wheel.\nWater that has done its work leaves by the tailrace.',
      },
    },
  },
};
const SALES = {
  name: 'sales',
  item: { case: 'table' as const, value: { format: 'csv', data: 'city,sold\nBasel,3\nBern,4\n' } },
};

function asking(script: ScriptInput, more: Request): Request {
  return {
    messages: [
      { role: Role.USER, content: [{ block: { case: 'text', value: scripted(script) } }] },
    ],
    ...more,
  };
}

async function run(request: Request): Promise<Watch & { readonly streamId: string }> {
  const { streamId } = await client.initiateChatStream({ request });
  return Object.assign(await watchToEnd(client, streamId), { streamId });
}

const TAILRACE = 'leaves by the tailrace';

test('documents are searched, tables queried, and what the model cites of them becomes citations', async () => {
  for (const stream of [true, false]) {
    const watch = await run(
      asking(
        {
          tokens: 0,
          calls: callsOf(
            ['document_search', { query: 'where does the water leave' }],
            ['table_query', { sql: 'select sum(sold) as total from sales' }],
          ),
          rounds: [
            {
              text: [
                'It leaves below [',
                '[d1: "leaves by',
                ' the  tailrace"]',
                ']; invented [[d1: "flies away"]]',
                ' and [[d9]] stays.',
              ],
            },
          ],
        },
        {
          stream,
          tools: serverTools('document_search', 'table_query'),
          toolContext: [MILL, SALES],
          system: { text: 'Be brief.', citations: { enabled: true } },
        },
      ),
    );
    assert.equal(watch.end().status, ChatStreamStatus.COMPLETED);
    assert.equal(watch.end().stopReason, StopReason.END_TURN);
    const [found, total] = resultsIn(watch.events);
    assert.ok(found !== undefined && total !== undefined);
    assert.match(found.text, /d1/);
    assert.match(found.text, /Water that has done its work leaves by the tailrace\./);
    assert.match(total.text, /7/);
    assert.deepEqual([found.isError, total.isError], [false, false]);
    assert.equal(watch.text(), 'It leaves below ; invented  and [[d9]] stays.');
    const cited = watch.events.flatMap(({ payload }) =>
      payload.case === 'citation'
        ? [[payload.value.document, payload.value.quote, payload.value.position]]
        : [],
    );
    assert.deepEqual(cited, [
      ['d1', 'leaves by the  tailrace', 16],
      ['d1', '', 27],
    ]);
    const { chatStream } = await client.getChatStream({
      streamId: watch.streamId,
      view: ChatStreamView.FULL,
    });
    const kinds = chatStream?.output.map(({ block }) => block.case);
    assert.deepEqual(kinds, ['toolUse', 'toolUse', 'toolResult', 'toolResult', 'text']);
    const citations = chatStream?.output.at(-1)?.citations.map(({ document }) => document);
    assert.deepEqual(citations, ['d1', 'd1']);

    const [first, second] = model.requests.slice(-2).map(({ body }) => body as Body);
    const [system] = first?.messages ?? [];
    assert.match(
      system?.content ?? '',
      /^Be brief\.\n\n.*\(d1\).*document_search.*Cite the documents/s,
    );
    const named = first?.tools.map(({ function: { name } }) => name);
    assert.deepEqual(named, ['document_search', 'table_query']);
    assert.match(first?.tools[1]?.function.description ?? '', /sales/);
    const roles = second?.messages.map(({ role }) => role);
    assert.deepEqual(roles, ['system', 'user', 'assistant', 'tool', 'tool']);
  }
});

interface Body {
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  readonly tools: readonly {
    readonly function: { readonly name: string; readonly description: string };
  }[];
}

test('a page is fetched for the model, and one that must not be is an error result', async () => {
  const server = createServer((_, response) => {
    response.setHeader('content-type', 'text/html');
    response.end(`<title>Mill</title><body><p>Water ${TAILRACE}.</p></body>`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  try {
    const watch = await run(
      asking(
        {
          tokens: 0,
          calls: callsOf(
            ['web_fetch', { url: `http://127.0.0.1:${port}/mill` }],
            ['web_fetch', { url: 'http://127.0.0.2/mill' }],
          ),
          rounds: [{ text: ['done'] }],
        },
        { tools: serverTools('web_fetch') },
      ),
    );
    const [page, inner] = resultsIn(watch.events);
    assert.match(page?.text ?? '', /Mill[^]*Water leaves by the tailrace\./);
    assert.equal(inner?.isError, true);
    assert.equal(watch.text(), 'done');
    const kinds = watch.events.flatMap(({ payload }) =>
      payload.case === 'blockStarted' ? [payload.value.kind] : [],
    );
    assert.ok(kinds.includes(BlockKind.SERVER_TOOL_USE));
  } finally {
    server.close();
  }
});

test('SQL that writes or looks elsewhere is an error result, and changes nothing', async () => {
  const hostile = [
    'delete from sales',
    "attach 'x.db' as x",
    'select 1; delete from sales',
    'pragma writable_schema = 1',
  ];
  const watch = await run(
    asking(
      {
        tokens: 0,
        calls: callsOf(...hostile.map((sql) => ['table_query', { sql }] as const), [
          'table_query',
          { sql: 'select count(*) as n from sales' },
        ]),
        rounds: [{ text: ['so'] }],
      },
      { tools: serverTools('table_query'), toolContext: [SALES] },
    ),
  );
  const told = resultsIn(watch.events);
  assert.deepEqual(
    told.map(({ isError }) => isError),
    [true, true, true, true, false],
  );
  assert.match(told.at(-1)?.text ?? '', /2/);
});

test('tools without anything to use, context without a tool, and citations of nothing are refused by path', async () => {
  const fields = async (more: Request): Promise<readonly string[]> =>
    (await refused(client.initiateChatStream({ request: asking({ tokens: 1 }, more) }))).fields;
  assert.deepEqual(await fields({ tools: serverTools('document_search') }), [
    'request.tools[0].server.name',
  ]);
  assert.deepEqual(await fields({ toolContext: [SALES] }), ['request.tool_context[0].table']);
  assert.deepEqual(await fields({ system: { citations: { enabled: true } } }), [
    'request.system.citations.enabled',
  ]);
  const database = { case: 'database' as const, value: { connectionString: 'postgres://x' } };
  assert.deepEqual(await fields({ toolContext: [{ name: 'd', item: database }] }), [
    'request.tool_context[0].database',
    'request.tool_context[0].database.connection_string',
  ]);
});

test('the request of docs/TOOLS.md is taken as it stands, with its tools', async () => {
  const docs = readFileSync(join(import.meta.dirname, '../../docs/TOOLS.md'), 'utf8');
  const [, body = '', path = ''] =
    /^curl [^\n]* -d '(.*?)' http:\/\/127\.0\.0\.1:8080(\S+)$/ms.exec(docs) ?? [];
  const response = await fetch(new URL(path, tailrace.url), {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
  });
  const answered = await response.text();
  assert.equal(response.status, 200, answered);
  const { streamId } = JSON.parse(answered) as { readonly streamId: string };
  const watch = await watchToEnd(client, streamId);
  assert.equal(watch.end().status, ChatStreamStatus.COMPLETED);
});
