// Three nats-servers with three replicas: what a start, a call and the list do while there is no leader.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { NATS_REQUEST_MS } from '../../src/chat/limits.ts';
import type { NatsConnection } from '@nats-io/transport-node';
import { connect } from '@nats-io/transport-node';
import { openList } from '../../src/list/sqlite-list.ts';
import { openNats } from '../../src/nats/adapter.ts';
import { natsCommandInbox } from '../../src/nats/command-inbox.ts';
import { natsEventLog, natsLogEraser } from '../../src/nats/event-log.ts';
import { openExchange } from '../../src/nats/exchange.ts';
import { confirmLeaders } from '../../src/nats/quorum.ts';
import { untilLeader } from '../../src/nats/until-leader.ts';
import type { NatsNode } from '../chaos/nats-nodes.ts';
import { createNatsNodes } from '../chaos/nats-nodes.ts';
import { startChat } from '../support/chats/chat-fixtures.ts';
import { patient, SILENT, startNats, temporaryFolder } from '../support/processes/nats.ts';
import { until } from '../support/until.ts';

/** Also where those who are to elect have to start first. */
const ELECTED_MS = 60_000;

async function threeServers(folder: string, stack: AsyncDisposableStack): Promise<NatsNode[]> {
  const nodes = await createNatsNodes(3, folder, (name, said) => assert.fail(`${name}: ${said}`));
  for (const { member } of nodes) stack.use(member);
  return nodes;
}

const access = (nodes: readonly NatsNode[]) => ({
  servers: nodes.map(({ url }) => url),
  name: 'test',
  replicas: 3,
  store: { maxBytes: undefined, diskFreeBytes: undefined },
  logger: SILENT,
});

test('a start waits for the cluster’s first leader, and says so where none comes', async () => {
  using folder = temporaryFolder();
  await using stack = new AsyncDisposableStack();
  const nodes = await threeServers(folder.path, stack);
  const [first, second, third] = nodes;
  await first?.member.start();
  const opening = openNats(access(nodes));
  let opened = false;
  void opening.then(() => (opened = true));
  await assert.rejects(
    untilLeader(() => Promise.reject(namedError('JetStreamNotEnabled')), 300),
    /no leader, or not enough servers .* for 0.3 s .* More than half/,
  );
  await sleep(NATS_REQUEST_MS);
  assert.equal(opened, false, 'longer than a request waits');
  await Promise.all([second?.member.start(), third?.member.start()]);
  await using nats = await opening;
  await startChat(nats);
});

test('what is asked of a leader while there is none is asked again until there is one', async () => {
  using folder = temporaryFolder();
  await using stack = new AsyncDisposableStack();
  const nodes = await threeServers(folder.path, stack);
  await Promise.all(nodes.map(({ member }) => member.start()));
  const nats = await openNats(access(nodes));
  const chat = await startChat(nats);
  await nats[Symbol.asyncDispose]();
  const [stays, ...others] = nodes;
  assert.ok(stays !== undefined);
  await Promise.all(others.map(({ member }) => member.kill()));
  await using nc = await connect({ servers: [stays.url] });
  const leaderless = async (): Promise<boolean> => (await codeOf(nc)) === TEMPORARILY_UNAVAILABLE;
  await until('JetStream to say that it has no leader', leaderless, ELECTED_MS);

  // An election may take longer than a call has: here each has what an election takes.
  const exchange = openExchange(nc, ELECTED_MS, () => () => undefined);
  stack.defer(() => exchange.close());
  const inbox = natsCommandInbox(exchange, confirmLeaders(exchange, 3));
  const asked = Promise.all([
    inbox.confirmLeaders(),
    inbox.start(chat),
    natsEventLog(exchange, nc).tail(chat),
    natsLogEraser(exchange).eraseBefore(chat, 2),
  ]);
  let answered = false;
  const over = asked.finally(() => (answered = true));
  over.catch(() => undefined);
  // Behind them on the same connection: each has been refused by now.
  assert.equal(await codeOf(nc), TEMPORARILY_UNAVAILABLE);
  assert.equal(answered, false, 'none was given up at the first refusal');
  await Promise.all(others.map(({ member }) => member.start()));
  const [, start, tail] = await over;
  assert.equal(start?.chat.streamId, chat.streamId);
  assert.equal(tail, undefined);
});

test('where no leader comes the caller hears what NATS said', async () => {
  await using server = await startNats();
  await using nc = await server.bare();
  // In place of JetStream's own stream, which there is none of by this name.
  const error = { code: 503, err_code: TEMPORARILY_UNAVAILABLE, description: 'not yet' };
  let refused = 0;
  nc.subscribe('test.ask', {
    callback: (_, msg) => {
      refused++;
      msg.respond(JSON.stringify({ error }));
    },
  });
  const exchange = openExchange(nc, 2_000, () => () => undefined);
  const answer = await exchange.askAgain('test.ask', new Uint8Array(0), () => true);
  assert.match(Buffer.from(answer.data).toString(), /not yet/);
  assert.ok(refused > 1, 'it was asked again');
  exchange.close();
});

test('what NATS refuses for good is not waited for', async () => {
  let asked = 0;
  const ask = (): Promise<void> => {
    asked++;
    return Promise.reject(new Error('no'));
  };
  await assert.rejects(untilLeader(ask), /^Error: no$/);
  assert.equal(asked, 1);
});

test('the list goes on when the server that held its consumer is killed', async () => {
  using folder = temporaryFolder();
  await using stack = new AsyncDisposableStack();
  const nodes = await threeServers(folder.path, stack);
  await Promise.all(nodes.map(({ member }) => member.start()));
  await using nats = await openNats(access(nodes));
  await using list = await openList(':memory:', nats.changes, SILENT);
  const holder = await holderOfConsumer(nodes);
  await nodes.find(({ name }) => name === holder)?.member.kill();
  // The client's own consumer would wait for the dead server for as long as it is away.
  await until('a start', () => startChat(nats).catch(() => false as const));
  const caughtUp = (): Promise<boolean> =>
    list.caughtUp().then(
      () => true,
      () => false,
    );
  await until('the list to have caught up', caughtUp);
});

/** The server that the list's own consumer of the log lives on. */
async function holderOfConsumer(nodes: readonly NatsNode[]): Promise<string> {
  await using nc = patient(await connect({ servers: access(nodes).servers }));
  const answer = await nc.request('$JS.API.CONSUMER.LIST.EVENTS', '{}');
  const [consumer] = answer.json<{ consumers: { cluster: { leader: string } }[] }>().consumers;
  assert.ok(consumer !== undefined);
  return consumer.cluster.leader;
}

const TEMPORARILY_UNAVAILABLE = 10008;

/** How the leader of the logs, or whoever speaks for it, answers a question; undefined: nobody does. */
async function codeOf(nc: NatsConnection): Promise<number | undefined> {
  const question = JSON.stringify({ last_by_subj: '>' });
  try {
    const answer = await nc.request('$JS.API.STREAM.MSG.GET.EVENTS', question, { timeout: 500 });
    return answer.json<{ error?: { err_code?: number } }>().error?.err_code;
  } catch {
    return undefined;
  }
}

function namedError(name: string): Error {
  return Object.assign(new Error(name), { name });
}
