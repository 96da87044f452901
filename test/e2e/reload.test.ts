// The files of models and of MCP servers are read again on SIGHUP, by the program as its user runs it: a run goes on with what
// it began with, what begins then has the new file, and a wrong file changes nothing.
import assert from 'node:assert/strict';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Role } from '../../gen/tailrace/v1/content_pb.ts';
import { initiateRequest } from '../support/chats/chat-fixtures.ts';
import { type ChatClient, grpcClient } from '../support/clients.ts';
import { temporaryFolder } from '../support/processes/nats.ts';
import { startTailraceProcess } from '../support/processes/tailrace-process.ts';
import { Watch, watchToEnd } from '../support/chats/watch-chat.ts';
import { scripted, startModelServer } from '../model-server/model-server.ts';

/** As operators should: never cut short while it is read. */
function replace(file: string, text: string): void {
  writeFileSync(`${file}.new`, text);
  renameSync(`${file}.new`, file);
}

function fileOf(baseUrl: string, models: readonly string[]): string {
  const list = models.map((name) => `  - { name: ${name}, server: s, upstream_model: test-model }`);
  return `servers:\n  - { name: s, base_url: ${baseUrl}, dialect: vllm }\nmodels:\n${list.join('\n')}\n`;
}

async function namesAt(client: ChatClient): Promise<string[]> {
  return (await client.listModels({})).models.map(({ name }) => name);
}

test('SIGHUP: a running chat goes on at its old server, the next goes to the new one, a wrong file changes nothing', async () => {
  using folder = temporaryFolder();
  await using old = await startModelServer();
  await using young = await startModelServer();
  const file = join(folder.path, 'models.yaml');
  replace(file, fileOf(old.url, ['first']));
  await using tailrace = await startTailraceProcess({
    TAILRACE_DATA_DIR: join(folder.path, 'data'),
    TAILRACE_MODELS_FILE: file,
  });
  const client = grpcClient(tailrace.url);
  const slow = scripted({ tokens: 30, interval_ms: 100 });
  await client.initiateChatStream(initiateRequest({ streamId: 'running', text: slow }));
  const watch = new Watch();
  const watching = watch.follow(client, 'running');
  await watch.saw('textDelta');

  replace(file, fileOf(young.url, ['second', 'third']));
  tailrace.signal('SIGHUP');
  await tailrace.logged('the files of models and prompt were read again');
  assert.deepEqual(await namesAt(client), ['second', 'third'], 'the list is new at once');
  await client.initiateChatStream(initiateRequest({ streamId: 'next' }));
  await watchToEnd(client, 'next');
  assert.equal(young.requests.length, 1);

  replace(file, fileOf(young.url, ['fourth']).replace('dialect: vllm', 'dialekt: vllm'));
  tailrace.signal('SIGHUP');
  const said = await tailrace.logged('cannot be used; what was read before stays');
  const why = JSON.stringify(said);
  assert.match(why, /models\.yaml:2: servers\[0\]\.dialekt is not a setting here/);
  assert.deepEqual(await namesAt(client), ['second', 'third']);

  await watching;
  assert.equal(watch.end().failure, undefined);
  assert.equal(old.requests.length, 1, 'the running one was not sent again');
  assert.equal(watch.text().trim().split(' ').length, 30);
  await client.initiateChatStream(initiateRequest({ streamId: 'last' }));
  await watchToEnd(client, 'last');
  assert.equal(young.requests.length, 2);
  assert.equal((await tailrace.stop()).code, 0);
});

test('SIGHUP: the file of MCP servers is read again, and a wrong one changes nothing', async () => {
  using folder = temporaryFolder();
  await using model = await startModelServer();
  const file = join(folder.path, 'mcp.yaml');
  const of = (name: string): string => `servers:\n  - { name: ${name}, command: none }\n`;
  replace(file, of('first'));
  await using tailrace = await startTailraceProcess({
    TAILRACE_DATA_DIR: join(folder.path, 'data'),
    TAILRACE_MCP_FILE: file,
    OPENAI_BASE_URL: model.url,
  });
  const client = grpcClient(tailrace.url);
  const refusal = async (): Promise<string> => {
    const content = [{ block: { case: 'text' as const, value: 'hi' } }];
    const request = {
      messages: [{ role: Role.USER, content }],
      mcpServers: [{ name: 'nobody' }],
    };
    const error: unknown = await client.initiateChatStream({ request }).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    return String(error);
  };
  assert.match(await refusal(), /these are: first\./);
  replace(file, of('second'));
  tailrace.signal('SIGHUP');
  await tailrace.logged('the file of MCP servers was read again');
  assert.match(await refusal(), /these are: second\./);
  replace(file, of('third').replace('command', 'comand'));
  tailrace.signal('SIGHUP');
  const said = await tailrace.logged('the file of MCP servers cannot be used');
  assert.match(JSON.stringify(said), /mcp\.yaml:2: servers\[0\]\.comand is not a setting here/);
  assert.match(await refusal(), /these are: second\./);
  assert.equal((await tailrace.stop()).code, 0);
});
