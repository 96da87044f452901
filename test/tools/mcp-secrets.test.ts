// What MCP servers were given in confidence is taken out of what they say, in each form that it may come in.
import assert from 'node:assert/strict';
import { create } from '@bufbuild/protobuf';
import { test } from 'node:test';
import { McpServerSchema } from '../../gen/tailrace/v1/chat_request_pb.ts';
import { createSecrets } from '../../src/tools/mcp/mcp-secrets.ts';

const hide = (text: string, ...secrets: string[]): string =>
  createSecrets(create(McpServerSchema), secrets).hide(text);

test('a secret is hidden as it is, and as JSON has it', () => {
  assert.equal(hide('a hush-hush b', 'hush-hush'), 'a [redacted] b');
  const secret = 'pass"word\\n';
  assert.equal(hide(JSON.stringify({ secret }), secret), '{"secret":"[redacted]"}');
});

test('of a secret of several lines each is hidden alone, as a log has it', () => {
  const key = '-----BEGIN KEY-----\nc2VjcmV0IGtleQ==\r\n-----END KEY-----\n';
  assert.equal(hide('read c2VjcmV0IGtleQ== of it', key), 'read [redacted] of it');
  assert.equal(hide(`all: ${key}`, key), 'all: [redacted]');
});

test('what a cut has left of a secret at the end of a text is hidden as well', () => {
  const secrets = createSecrets(create(McpServerSchema), ['hush-hush', 'other-one']);
  assert.equal(secrets.hideCut('a hush-hush b hush-hu'), 'a [redacted] b [redacted]');
  assert.equal(secrets.hideCut('a hush-hush'), 'a [redacted]');
  assert.equal(secrets.hideCut('nothing of it'), 'nothing of it');
});
