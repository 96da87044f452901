// The operator's own MCP servers, which requests name without an address: programs and addresses of his file.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Code, ConnectError } from '@connectrpc/connect';
import { WarningReason } from '../../gen/tailrace/v1/event_pb.ts';
import { MAX_MCP_LOG_LINE_CHARS, MAX_MCP_LOG_LINES } from '../../src/chat/limits.ts';
import { EVERYTHING_PROGRAM } from '../support/servers/everything-server.ts';
import { forAllTests } from '../support/for-all-tests.ts';
import { calling, startMcpChats, warningsIn } from '../support/chats/mcp-chats.ts';
import { anyTool, startMcpServer, textResult } from '../support/servers/mcp-server.ts';
import { isAlive } from '../support/processes/tailrace-process.ts';
import { until } from '../support/until.ts';
import { resultsIn } from '../support/chats/tool-calls.ts';
import { watchToEnd } from '../support/chats/watch-chat.ts';

const BY_HAND = join(import.meta.dirname, '../support/servers/stdio-mcp-server.ts');
const KEY = 'planted-key-of-the-operator';

const dir = await mkdtemp(join(tmpdir(), 'tailrace-mcp-own-'));
process.env['PLANTED_KEY'] = KEY;
process.env['PLANTED_OTHER'] = 'planted-other';
const program = (more: object) => ({ command: process.execPath, args: [BY_HAND], ...more });
const file = {
  servers: [
    { name: 'every', command: process.execPath, args: [EVERYTHING_PROGRAM, 'stdio'] },
    { name: 'hand', ...program({ cwd: dir, env: { KEY: { env: 'PLANTED_KEY' }, A: 'b' } }) },
    { name: 'some', ...program({ allowed_tools: ['env', 'leak'] }) },
    { name: 'older', ...program({ env: { OLDER: '1' } }) },
    { name: 'kept', ...program({ env: { KEPT: join(dir, 'kept'), STUBBORN: '1' } }) },
    { name: 'missing', command: join(dir, 'no-such-program') },
    { name: 'theirs', ...program({ tenants: ['acme'] }) },
  ],
};
const name = join(dir, 'mcp.json');
await writeFile(name, JSON.stringify(file));
const chats = await forAllTests(startMcpChats(() => ({ TAILRACE_MCP_FILE: name })));

after(() => rm(dir, { recursive: true }));

test('a program of the operator’s is used by its name alone, as any other server', async () => {
  const script = calling(
    ['every__echo', '{"message":"by stdio"}'],
    ['every__get-sum', '{"a":2,"b":3}'],
  );
  const watch = await chats.runToEnd(script, [{ name: 'every' }]);
  assert.deepEqual(resultsIn(watch.events), [
    { text: 'Echo: by stdio', isError: false },
    { text: 'The sum of 2 and 3 is 5.', isError: false },
  ]);
  assert.deepEqual(warningsIn(watch.events), []);
});

test('a program gets its own environment and folder, and nothing of Tailrace’s; secrets of it are told to nobody', async () => {
  const servers = [{ name: 'hand' }];
  const watch = await chats.runToEnd(calling(['hand__env'], ['hand__leak']), servers);
  const [told, leaked] = resultsIn(watch.events);
  const { env, cwd } = JSON.parse(told?.text ?? '') as {
    env: Record<string, string>;
    cwd: string;
  };
  assert.equal(cwd, dir);
  assert.equal(env['A'], 'b');
  assert.equal(env['KEY'], '[redacted]');
  const names = Object.keys(env).filter((name) => !/^(?:PWD|OLDPWD|SHLVL|_)$/.test(name));
  const inherited = ['PATH', 'HOME', 'USER', 'LOGNAME', 'LANG', 'LC_ALL', 'TZ', 'TMPDIR'];
  assert.deepEqual(names.filter((name) => !inherited.includes(name)).toSorted(), ['A', 'KEY']);
  assert.deepEqual(leaked, { text: 'the key is [redacted]', isError: false });
});

test('what a program says on its standard error is in the log at debug, within a bound, without its secrets', async () => {
  await chats.runToEnd(calling(['hand__chatter']), [{ name: 'hand' }]);
  // It is read beside the answer, and may come after the chat is over.
  const lines = await until('the last line of the program', () => {
    const said = chats.tailrace.logger.lines.flatMap(({ level, message, fields }) =>
      message === 'an MCP server said' && fields['mcp_server'] === 'hand'
        ? [{ level, line: String(fields['line']) }]
        : [],
    );
    return said.at(-1)?.line.includes('left out') === true
      ? said.slice(said.findLastIndex(({ line }) => line.startsWith('started with')))
      : undefined;
  });
  assert.equal(lines.length, MAX_MCP_LOG_LINES);
  for (const { level, line } of lines) {
    assert.equal(level, 'debug');
    assert.ok(line.length <= MAX_MCP_LOG_LINE_CHARS);
    assert.doesNotMatch(line, /pla/);
  }
  assert.match(lines.at(-1)?.line ?? '', /left out/);
});

test('the operator’s allowed tools bound those of the request', async () => {
  const streamId = await chats.start({ text: ['done'] }, [
    { name: 'some', allowedTools: ['leak', 'die'] },
  ]);
  assert.deepEqual(await chats.toolsToldOf(), ['some__leak']);
  const [warning] = warningsIn((await watchToEnd(chats.client, streamId)).events);
  assert.equal(warning?.reason, WarningReason.MCP_TOOL_LEFT_OUT);
  assert.match(warning.message, /"die", which it does not have/);
});

test('an older program that ends at the newest revision’s first question is started once more, without it', async () => {
  const watch = await chats.runToEnd(calling(['older__leak']), [{ name: 'older' }]);
  assert.equal(resultsIn(watch.events)[0]?.isError, false);
});

test('a program that ends in a call is an error result, and is started again for the next one', async () => {
  const rounds = [{ ...calling(['hand__leak']), rounds: [{ text: ['done'] }] }];
  const watch = await chats.runToEnd({ ...calling(['hand__die']), rounds }, [{ name: 'hand' }]);
  const results = watch.events.flatMap(({ payload }) => {
    const block = payload.case === 'blockStopped' ? payload.value.content?.block : undefined;
    const part = block?.case === 'toolResult' ? block.value.content[0]?.block : undefined;
    return part?.case === 'text' ? [part.value] : [];
  });
  assert.match(results[0] ?? '', /the MCP server "hand" has ended with exit code 3\.$/);
  assert.equal(results[1], 'the key is [redacted]');
});

test('a thousand words of progress at once are few events, told before the result', async () => {
  const watch = await chats.runToEnd(calling(['hand__progress']), [{ name: 'hand' }]);
  assert.deepEqual(resultsIn(watch.events), [{ text: 'done', isError: false }]);
  const told = watch.events.filter(({ payload }) => payload.case === 'toolProgress');
  assert.ok(told.length >= 1 && told.length < 20, String(told.length));
});

test('a program that cannot be started is a warning that says so', async () => {
  const watch = await chats.runToEnd({ text: ['done'] }, [{ name: 'missing' }]);
  const [warning] = warningsIn(watch.events);
  assert.equal(warning?.reason, WarningReason.MCP_SERVER_UNAVAILABLE);
  assert.match(
    warning.message,
    /"missing" cannot be used: it could not be started: its command is not found\./,
  );
});

async function keptPids(file: string): Promise<number[]> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return text
    .split('\n')
    .filter((line) => /^\d+$/.test(line))
    .map(Number);
}

test('a program that heeds nothing is killed with all that it started, when its chat is over', async () => {
  const file = join(dir, 'kept');
  await chats.runToEnd({ text: ['done'] }, [{ name: 'kept' }]);
  const pids = await keptPids(file);
  assert.ok(pids.length >= 2);
  await until('the program and its child to be gone', () => !pids.some(isAlive) || undefined);
});

test('law 8: a cancel ends a call of a program, and the program', async () => {
  const file = join(dir, 'kept');
  const before = (await keptPids(file)).length;
  const streamId = await chats.start(calling(['kept__wait']), [{ name: 'kept' }]);
  await until(
    'the call',
    async () => (await readFile(file, 'utf8')).includes('called') || undefined,
  );
  const pids = (await keptPids(file)).slice(before);
  assert.ok(pids.some(isAlive));
  await chats.client.cancelChatStream({ streamId });
  await watchToEnd(chats.client, streamId);
  await until('the program and its child to be gone', () => !pids.some(isAlive) || undefined);
});

test('names that the operator does not have, or has for others, are refused with those there are', async () => {
  for (const name of ['nobody', 'theirs']) {
    await assert.rejects(chats.start({ text: ['done'] }, [{ name }]), (error) => {
      assert.ok(error instanceof ConnectError);
      assert.equal(error.code, Code.InvalidArgument);
      assert.match(error.message, /request\.mcp_servers\[0\]\.name/);
      assert.match(error.message, /every, hand, some, older, kept, missing/);
      assert.doesNotMatch(error.message, /, theirs/);
      return true;
    });
  }
});

test('an address of the operator’s may be anywhere, and gets what his file says', async () => {
  await using server = await startMcpServer(({ method }) => {
    if (method === 'tools/list') return { result: { tools: [anyTool('look')] } };
    return method === 'tools/call' ? textResult('seen') : undefined;
  });
  const name = join(dir, 'other.yaml');
  await writeFile(
    name,
    `servers:\n  - name: inner\n    url: ${server.url}\n    bearer_token_env: PLANTED_KEY\n`,
  );
  await using own = await startMcpChats(() => ({
    TAILRACE_MCP_FILE: name,
    TAILRACE_FETCH_ALLOW: '',
  }));
  const watch = await own.runToEnd(calling(['inner__look']), [{ name: 'inner' }]);
  assert.deepEqual(resultsIn(watch.events), [{ text: 'seen', isError: false }]);
  for (const { headers } of server.asks) assert.equal(headers.authorization, `Bearer ${KEY}`);
});
