// `tailrace chat` on a terminal: it streams, remembers, is cancelled by Ctrl-C and left by a second one, and goes on
// over a lost connection. The terminal is a real one, by Python's pty.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChatStreamStatus } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { scripted } from '../model-server/model-server.ts';
import { startOnTerminal, tailrace } from '../support/processes/cli.ts';
import { grpcClient } from '../support/clients.ts';
import { needs } from '../support/needs.ts';
import { forAllTests } from '../support/for-all-tests.ts';
import { startProxy } from '../support/processes/proxy.ts';
import { startScripted } from '../support/processes/scripted-tailrace.ts';

const { model, tailrace: server } = await forAllTests(startScripted());

const skip = needs('python3');
const CTRL_C = '\u0003';
const CTRL_D = '\u0004';
const ENTER = '\r';
const ENDLESS = scripted({ fault: 'endless', interval_ms: 20 });
const PROMPT = /> /;
/** Seconds: it is under way when its first words are seen. */
const TOKENS = 150;

/** Of the newest request that the model server got. */
function lastMessages(): readonly unknown[] {
  const request = model.requests.at(-1);
  assert.ok(request !== undefined);
  return (request.body as { readonly messages: readonly unknown[] }).messages;
}

function chat(address = server.url, env: Readonly<Record<string, string>> = {}) {
  return startOnTerminal(['chat'], { env: { TAILRACE_ADDRESS: address, NO_COLOR: '1', ...env } });
}

test('a conversation remembers what was said; Ctrl-D leaves with 0', { skip }, async () => {
  const running = chat();
  await running.seen(PROMPT);
  running.type(scripted({ text: ['First.'] }) + ENTER);
  await running.seen('END_TURN');
  await running.seen(PROMPT);
  running.type(scripted({ text: ['Second.'] }) + ENTER);
  await running.seen('END_TURN');
  const messages = lastMessages();
  assert.deepEqual(messages, [
    { role: 'user', content: scripted({ text: ['First.'] }) },
    { role: 'assistant', content: 'First.' },
    { role: 'user', content: scripted({ text: ['Second.'] }) },
  ]);
  await running.seen(PROMPT);
  running.type(`/new${ENTER}`);
  await running.seen('Nothing was said before.');
  running.type(scripted({ text: ['Third.'] }) + ENTER);
  await running.seen('END_TURN');
  assert.equal(lastMessages().length, 1);
  await running.seen(PROMPT);
  running.type(CTRL_D);
  assert.equal((await running.ended).code, 0);
});

test('Ctrl-C cancels the running chat and brings the prompt back', { skip }, async () => {
  const running = chat();
  await running.seen(PROMPT);
  running.type(ENDLESS + ENTER);
  await running.seen(/\b5:\d+ /);
  running.type(CTRL_C);
  await running.seen('CANCELLED');
  await running.seen(PROMPT);
  running.type(`/id${ENTER}`);
  await running.seen(/[0-9a-f]{8}-[0-9a-f-]{27}/);
  const streamId = /[0-9a-f]{8}-[0-9a-f-]{27}/.exec(running.output())?.[0] ?? '';
  const { chatStream } = await grpcClient(server.url).getChatStream({ streamId });
  assert.equal(chatStream?.status, ChatStreamStatus.CANCELLED);
  running.type(CTRL_C);
  assert.equal((await running.ended).code, 0, 'at the prompt Ctrl-C leaves');
});

test(
  'a second Ctrl-C leaves with 130, also where the cancel does not get through',
  { skip },
  async () => {
    await using proxy = await startProxy(server.url);
    const running = chat(proxy.url);
    await running.seen(PROMPT);
    running.type(ENDLESS + ENTER);
    await running.seen(/\b5:\d+ /);
    proxy.stall('up');
    running.type(CTRL_C);
    await running.seen('Ctrl-C again leaves');
    running.type(CTRL_C);
    assert.equal((await running.ended).code, 130);
  },
);

test(
  'a lost connection is told and resumed: the answer goes on where it was',
  { skip },
  async () => {
    await using proxy = await startProxy(server.url);
    const running = chat(proxy.url);
    await running.seen(PROMPT);
    running.type(scripted({ tokens: TOKENS, interval_ms: 20 }) + ENTER);
    await running.seen(/\b9:\d+ /);
    proxy.cut();
    await running.seen('The connection was lost');
    await running.seen('verified');
    const numbers = [...running.output().matchAll(/\b(\d+):\d{16} /g)].map(([, n]) => Number(n));
    assert.deepEqual(
      numbers,
      Array.from({ length: TOKENS }, (_, i) => i),
      'each once, in order',
    );
    running.type(CTRL_D);
    assert.equal((await running.ended).code, 0);
  },
);

test('what cannot be begun is told, and the conversation goes on', { skip }, async () => {
  const running = chat();
  await running.seen(PROMPT);
  running.type(`/model none-such${ENTER}`);
  await running.seen('From now on: none-such.');
  running.type(`Hi${ENTER}`);
  await running.seen('there is no model "none-such"');
  running.type(`/model test-model${ENTER}`);
  await running.seen('From now on: test-model.');
  running.type(scripted({ text: ['Back.'] }) + ENTER);
  await running.seen('END_TURN');
  const messages = lastMessages();
  assert.equal(messages.length, 1, 'what was refused was not said');
  await running.seen(PROMPT);
  running.type(CTRL_D);
  assert.equal((await running.ended).code, 0);
});

test('colour only on a terminal, and never with NO_COLOR', { skip }, async () => {
  const env = { TAILRACE_ADDRESS: server.url };
  // oxlint-disable-next-line no-control-regex -- that is what it is about
  const colour = /\u001B\[\d+m/;
  const onTerminal = await startOnTerminal(['models'], { env }).ended;
  assert.match(onTerminal.stdout, colour);
  const without = await startOnTerminal(['models'], { env: { ...env, NO_COLOR: '1' } }).ended;
  assert.doesNotMatch(without.stdout, colour);
  assert.doesNotMatch((await tailrace(['models'], { env })).stdout, colour);
});

test('what a model says does not steer the terminal', { skip }, async () => {
  const said = scripted({ text: ['\u001B]0;title\u0007', '\u001B[2J', 'done'] });
  const { stdout } = await startOnTerminal(['chat', said], {
    env: { TAILRACE_ADDRESS: server.url },
  }).ended;
  assert.match(stdout, /done/);
  // oxlint-disable-next-line no-control-regex -- that is what must not be there
  assert.doesNotMatch(stdout, /\u001B\]0|\u001B\[2J|\u0007/);
});
