// Three nats-servers with three replicas: what a start and the list do while there is no leader.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { NATS_REQUEST_MS } from '../../src/chat/limits.ts';
import { connect } from '@nats-io/transport-node';
import { openList } from '../../src/list/sqlite-list.ts';
import { openNats } from '../../src/nats/adapter.ts';
import { untilLeader } from '../../src/nats/until-leader.ts';
import type { NatsNode } from '../chaos/nats-nodes.ts';
import { createNatsNodes } from '../chaos/nats-nodes.ts';
import { startChat } from '../support/chat-fixtures.ts';
import { patient, SILENT, temporaryFolder } from '../support/nats.ts';
import { until } from '../support/until.ts';

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

function namedError(name: string): Error {
  return Object.assign(new Error(name), { name });
}
