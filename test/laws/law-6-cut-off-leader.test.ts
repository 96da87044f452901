// Law 6 on a real cluster: a leader that is cut off goes on answering reads for some seconds, until it
// finds out. What it says is old, and nobody's answer may rest on it.
import assert from 'node:assert/strict';
import type { NatsConnection } from '@nats-io/transport-node';
import { connect } from '@nats-io/transport-node';
import { test } from 'node:test';
import { readChat } from '../../src/chat/log/read-chat.ts';
import { openList } from '../../src/list/sqlite-list.ts';
import { openNats } from '../../src/nats/adapter.ts';
import { createNatsNodes } from '../chaos/nats-nodes.ts';
import { loopback } from '../chaos/network.ts';
import { startChat } from '../support/chats/chat-fixtures.ts';
import { patient, SILENT, temporaryFolder } from '../support/processes/nats.ts';
import { until } from '../support/until.ts';

const STREAMS = ['COMMANDS', 'EVENTS'] as const;

test('law 6: at a leader that is cut off and does not know it yet, a chat that was made elsewhere is not NOT_FOUND, and no list is whole', async () => {
  using folder = temporaryFolder();
  await using network = loopback((from, to) => from !== to);
  await using stack = new AsyncDisposableStack();
  const nodes = await createNatsNodes(
    3,
    folder.path,
    (name, said) => assert.fail(`${name}: ${said}`),
    network,
  );
  for (const { member } of nodes) stack.use(member);
  await Promise.all(nodes.map(({ member }) => member.start()));
  const opened = async (urls: readonly string[]) =>
    stack.use(
      await openNats({
        servers: urls,
        name: 'test',
        replicas: 3,
        store: { maxBytes: undefined, diskFreeBytes: undefined },
        logger: SILENT,
      }),
    );
  // Made by this one, so that there is a leader to ask for.
  const anywhere = await opened(nodes.map(({ url }) => url));
  const before = await startChat(anywhere);
  await using nc = patient(await connect({ servers: nodes.map(({ url }) => url) }));
  const leader = await until('a leader', () => leaderOf(nc, 'COMMANDS').catch(() => undefined));
  await moveLeader(nc, 'EVENTS', leader);
  const cutOff = await opened(nodes.filter(({ name }) => name === leader).map(({ url }) => url));
  const others = nodes.filter(({ name }) => name !== leader);
  const majority = await opened(others.map(({ url }) => url));
  const list = stack.use(await openList(':memory:', cutOff.changes, SILENT));
  assert.equal((await readChat(cutOff.inbox, cutOff.log, before)).start.sequence, 1);
  await list.caughtUp();

  for (const { name } of others) network.cut(leader, name);
  await using asking = await connect({ servers: others.map(({ url }) => url) });
  const elected = async (): Promise<boolean> => {
    const leaders = await Promise.all(STREAMS.map((stream) => leaderOf(asking, stream)));
    return leaders.every((each) => each !== undefined && each !== leader);
  };
  await until('the others to have elected', () => elected().catch(() => false));
  const made = await startChat(majority);

  const unavailable = { reason: 'LOG_UNAVAILABLE' };
  await Promise.all([
    assert.rejects(readChat(cutOff.inbox, cutOff.log, made), unavailable),
    assert.rejects(readChat(cutOff.inbox, cutOff.log, before), unavailable),
    assert.rejects(list.caughtUp(), unavailable),
  ]);
  for (const { name } of others) network.mend(leader, name);
  const found = async (): Promise<boolean> =>
    readChat(cutOff.inbox, cutOff.log, made).then(
      () => true,
      (error: unknown) => {
        assert.equal((error as { reason?: string }).reason, 'LOG_UNAVAILABLE');
        return false;
      },
    );
  await until('the chat to be found there as well', found);
});

async function leaderOf(nc: NatsConnection, stream: string): Promise<string | undefined> {
  const answer = await nc.request(`$JS.API.STREAM.INFO.${stream}`, '', { timeout: 1_000 });
  return answer.json<{ cluster?: { leader?: string } }>().cluster?.leader;
}

async function moveLeader(nc: NatsConnection, stream: string, to: string): Promise<void> {
  const first = await until('a leader', () => leaderOf(nc, stream).catch(() => undefined));
  if (first === to) return;
  const order = JSON.stringify({ placement: { preferred: to } });
  await nc.request(`$JS.API.STREAM.LEADER.STEPDOWN.${stream}`, order);
  const moved = async (): Promise<boolean> => (await leaderOf(nc, stream)) === to;
  await until(`${to} to lead ${stream}`, () => moved().catch(() => false));
}
