// What a secret is: what the contract marks, and nothing else; and what becomes of it where a request is
// given back.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  create,
  createFileRegistry,
  type DescFile,
  fromJson,
  toJson,
  toJsonString,
} from '@bufbuild/protobuf';
import {
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FileDescriptorProtoSchema,
} from '@bufbuild/protobuf/wkt';
import { InitiateChatStreamRequestSchema } from '../../gen/tailrace/v1/chat_stream_service_pb.ts';
import { REDACTED, redactSecrets, replaceSecrets } from '../../src/chat/request/secrets.ts';
import { markedWays, nameOf, plantSecrets } from '../support/chats/planted.ts';

const SCHEMA = InitiateChatStreamRequestSchema;

test('the contract marks what it says is sealed', () => {
  const marked = markedWays().map((way) => nameOf(way[way.length - 1] ?? assert.fail()));
  assert.deepEqual(marked.toSorted(), [
    'Database.connection_string',
    'McpServer.bearer_token',
    'McpServer.headers',
    'OAuthClientCredentials.client_secret',
  ]);
});

test('every marked text is found with its path, and the message that was given stays as it was', () => {
  const { request, secrets } = plantSecrets();
  const before = toJsonString(SCHEMA, request);
  const found = new Map<string, string>();
  const copy = replaceSecrets(SCHEMA, request, ({ path, text }) => {
    found.set(path, text);
    return `<${path}>`;
  });
  assert.deepEqual([...found.keys()].toSorted(), [
    'request.mcp_servers[0].headers["x-planted"]',
    'request.mcp_servers[1].bearer_token',
    'request.mcp_servers[2].oauth_client_credentials.client_secret',
    'request.tool_context[0].database.connection_string',
  ]);
  assert.deepEqual([...found.values()].toSorted(), [...secrets.values()].toSorted());
  assert.equal(toJsonString(SCHEMA, request), before);
  for (const [path, text] of found) {
    assert.ok(toJsonString(SCHEMA, copy).includes(JSON.stringify(`<${path}>`)), path);
    assert.ok(!toJsonString(SCHEMA, copy).includes(text), path);
  }
});

test('a request without secrets is not copied, and an empty text is none', () => {
  const empty = { name: 'a', bearerToken: '', headers: { 'x-none': '' } };
  const request = create(SCHEMA, {
    request: { mcpServers: [empty], metadata: { token: 'no secret' } },
  });
  const same = replaceSecrets(SCHEMA, request, () => assert.fail('there is none'));
  assert.equal(same, request);
});

test('where a request is given back, a secret is shown to be there and nothing of it', () => {
  const { request, secrets } = plantSecrets();
  const shown = toJsonString(SCHEMA, redactSecrets(SCHEMA, request));
  assert.equal(shown.split(JSON.stringify(REDACTED)).length - 1, secrets.size);
  assert.ok(shown.includes('x-planted'));
  for (const [name, secret] of secrets) assert.ok(!shown.includes(secret), name);
});

/** A contract of tomorrow: marked fields in places where today's has none. */
function contractOfTomorrow(): DescFile {
  const { STRING, BYTES, MESSAGE } = FieldDescriptorProto_Type;
  const { OPTIONAL, REPEATED } = FieldDescriptorProto_Label;
  const options = { debugRedact: true };
  const inner = { type: MESSAGE, typeName: '.later.Outer' };
  const proto = create(FileDescriptorProtoSchema, {
    name: 'later.proto',
    package: 'later',
    syntax: 'proto3',
    messageType: [
      {
        name: 'Outer',
        oneofDecl: [{ name: 'one' }],
        field: [
          { name: 'tokens', jsonName: 'tokens', number: 1, type: STRING, label: REPEATED, options },
          {
            name: 'key',
            jsonName: 'key',
            number: 2,
            type: STRING,
            label: OPTIONAL,
            oneofIndex: 0,
            options,
          },
          {
            name: 'open',
            jsonName: 'open',
            number: 3,
            type: STRING,
            label: OPTIONAL,
            oneofIndex: 0,
          },
          { name: 'within', jsonName: 'within', number: 4, label: OPTIONAL, ...inner },
          {
            name: 'by_name',
            jsonName: 'byName',
            number: 5,
            label: REPEATED,
            type: MESSAGE,
            typeName: '.later.Outer.ByNameEntry',
          },
        ],
        nestedType: [
          {
            name: 'ByNameEntry',
            options: { mapEntry: true },
            field: [
              { name: 'key', jsonName: 'key', number: 1, type: STRING, label: OPTIONAL },
              { name: 'value', jsonName: 'value', number: 2, label: OPTIONAL, ...inner },
            ],
          },
        ],
      },
      {
        name: 'Unfit',
        field: [{ name: 'key', jsonName: 'key', number: 1, type: BYTES, label: OPTIONAL, options }],
      },
    ],
  });
  return createFileRegistry(proto, () => undefined).getFile('later.proto') ?? assert.fail();
}

test('a field that is marked later is covered without code, wherever it is', () => {
  const [Outer] = contractOfTomorrow().messages;
  assert.ok(Outer !== undefined);
  const message = fromJson(Outer, {
    tokens: ['a', '', 'b'],
    within: { key: 'c', byName: { 'a "key"': { within: { tokens: ['d'] } }, open: { open: 'o' } } },
  });
  const copy = replaceSecrets(Outer, message, ({ path, text }) => `${text} at ${path}`);
  assert.deepEqual(toJson(Outer, copy), {
    tokens: ['a at tokens[0]', '', 'b at tokens[2]'],
    within: {
      key: 'c at within.key',
      byName: {
        'a "key"': {
          within: { tokens: [String.raw`d at within.by_name["a \"key\""].within.tokens[0]`] },
        },
        open: { open: 'o' },
      },
    },
  });
});

test('a mark on what cannot be sealed is an error, no leak', () => {
  const Unfit = contractOfTomorrow().messages[1];
  assert.ok(Unfit !== undefined);
  assert.throws(
    () => replaceSecrets(Unfit, create(Unfit), String),
    /field later\.Unfit\.key is marked debug_redact; only texts can be sealed/,
  );
});
