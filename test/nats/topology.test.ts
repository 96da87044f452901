// The streams and consumers: made by any number of processes at once, upgraded in place, and refused
// with a reason where what is stored does not fit.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NatsConnection } from '@nats-io/transport-node';
import { TopologyError } from '../../src/nats/topology.ts';
import { chatKey, recordsOf, startChat } from '../support/chats/chat-fixtures.ts';
import { testAppend, testMark } from '../support/chats/claims.ts';
import { startNats } from '../support/processes/nats.ts';

type Config = Readonly<Record<string, unknown>>;

async function api(nc: NatsConnection, subject: string, body: unknown = {}): Promise<Config> {
  const msg = await nc.request(`$JS.API.${subject}`, JSON.stringify(body));
  const answer = msg.json<Config>();
  assert.equal(answer['error'], undefined, `${subject}: ${JSON.stringify(answer['error'])}`);
  return answer;
}

async function configOf(nc: NatsConnection, stream: string): Promise<Config> {
  return (await api(nc, `STREAM.INFO.${stream}`))['config'] as Config;
}

async function consumersOf(nc: NatsConnection): Promise<Config[]> {
  const { consumers } = (await api(nc, 'CONSUMER.LIST.COMMANDS')) as { consumers: Config[] };
  return consumers.map((consumer) => consumer['config'] as Config);
}

const refused =
  (...says: readonly RegExp[]) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof TopologyError, String(error));
    for (const words of says) assert.match(error.message, words);
    return true;
  };

test('many processes at once make one topology, and all of them can use it', async () => {
  await using nats = await startNats();
  const adapters = await Promise.all(Array.from({ length: 6 }, (_, i) => nats.open(`p${i}`)));
  const nc = await nats.bare();
  const { streams } = (await api(nc, 'STREAM.NAMES')) as { streams: string[] };
  assert.deepEqual(streams.toSorted(), ['COMMANDS', 'EVENTS']);
  assert.equal((await consumersOf(nc)).length, 11, 'one for each priority, and one for control');
  await Promise.all(adapters.map((adapter) => startChat(adapter)));
  for (const adapter of adapters) await adapter[Symbol.asyncDispose]();
});

/** Work is renewed while it runs; control is done in a moment. In nanoseconds. */
function ackWaitOf(consumer: Readonly<Record<string, unknown>>): number {
  return consumer['durable_name'] === 'control' ? 5e9 : 15e9;
}

test('what the laws need is set', async () => {
  await using nats = await startNats();
  await using _adapter = await nats.open();
  const nc = await nats.bare();
  const [commands, events] = [await configOf(nc, 'COMMANDS'), await configOf(nc, 'EVENTS')];
  for (const config of [commands, events]) {
    assert.equal(config['retention'], 'limits');
    assert.equal(config['storage'], 'file');
    assert.equal(config['discard'], 'new', 'a full stream drops nothing');
    assert.equal(config['max_msgs_per_subject'], -1, 'a log keeps all of its records');
  }
  assert.ok(Number(commands['max_age']) < Number(events['max_age']), 'commands expire first');
  for (const consumer of await consumersOf(nc)) {
    assert.equal(consumer['max_ack_pending'], -1);
    assert.equal(consumer['max_deliver'], -1);
    assert.equal(consumer['ack_policy'], 'explicit');
    assert.equal(consumer['ack_wait'], ackWaitOf(consumer));
  }
});

test('a second start changes nothing, and loses nothing', async () => {
  await using nats = await startNats();
  const nc = await nats.bare();
  const chat = chatKey();
  {
    await using adapter = await nats.open();
    await startChat(adapter);
    await adapter.log.append(chat, 0, testAppend(1, testMark()));
  }
  const before = [await configOf(nc, 'COMMANDS'), await configOf(nc, 'EVENTS')];
  await using adapter = await nats.open();
  assert.deepEqual([await configOf(nc, 'COMMANDS'), await configOf(nc, 'EVENTS')], before);
  assert.equal((await recordsOf(adapter.log, chat)).length, 1);
});

test('settings of an older version are upgraded in place, an operator’s limit is kept', async () => {
  await using nats = await startNats();
  const nc = await nats.bare();
  const chat = chatKey();
  {
    await using adapter = await nats.open();
    await adapter.log.append(chat, 0, testAppend(1, testMark()));
  }
  const current = await configOf(nc, 'EVENTS');
  const { republish: _, ...older } = current;
  const limited = { ...older, max_age: 3_600_000_000_000, max_bytes: 1_000_000_000 };
  // Keeping one record a subject would eat the logs; a stream that was made so is put right.
  await api(nc, 'STREAM.UPDATE.EVENTS', { ...limited, max_msgs_per_subject: 1_000 });
  const [consumer] = await consumersOf(nc);
  await api(nc, `CONSUMER.CREATE.COMMANDS.${String(consumer?.['name'])}`, {
    stream_name: 'COMMANDS',
    config: { ...consumer, max_ack_pending: 1_000, ack_wait: 30_000_000_000 },
  });
  await using adapters = new AsyncDisposableStack();
  const opened = await Promise.all([nats.open('a'), nats.open('b'), nats.open('c')]);
  for (const adapter of opened) adapters.use(adapter);
  assert.deepEqual(await configOf(nc, 'EVENTS'), { ...current, max_bytes: 1_000_000_000 });
  for (const each of await consumersOf(nc)) {
    assert.equal(each['max_ack_pending'], -1);
    assert.equal(each['ack_wait'], ackWaitOf(each));
  }
  assert.equal((await recordsOf(opened[0].log, chat)).length, 1);
});

test('a stored setting that cannot be changed refuses to start, naming it and the way out', async () => {
  for (const setting of [
    { retention: 'workqueue' },
    { storage: 'memory' },
    { retention: 'interest' },
  ]) {
    await using nats = await startNats();
    const nc = await nats.bare();
    await api(nc, 'STREAM.CREATE.COMMANDS', { name: 'COMMANDS', subjects: ['cmd.>'], ...setting });
    const [[name, value]] = Object.entries(setting) as [[string, string]];
    const says = [/COMMANDS/, new RegExp(`${name} "${value}"`), /another NATS account/];
    await assert.rejects(nats.open(), refused(...says));
  }
});

test('a stream of someone else’s on our subjects, or under our name, refuses to start', async () => {
  {
    await using nats = await startNats();
    await api(await nats.bare(), 'STREAM.CREATE.THEIRS', { name: 'THEIRS', subjects: ['log.>'] });
    await assert.rejects(nats.open(), refused(/EVENTS/, /log\.>/));
  }
  await using nats = await startNats();
  await api(await nats.bare(), 'STREAM.CREATE.EVENTS', {
    name: 'EVENTS',
    subjects: ['clicks.>'],
    discard: 'new',
  });
  await assert.rejects(nats.open(), refused(/EVENTS/, /clicks\.>/));
});

test('a consumer that does not fit refuses to start, naming it', async () => {
  await using nats = await startNats();
  {
    await using _adapter = await nats.open();
  }
  const nc = await nats.bare();
  await api(nc, 'CONSUMER.DELETE.COMMANDS.work-5');
  await api(nc, 'CONSUMER.CREATE.COMMANDS.work-5', {
    stream_name: 'COMMANDS',
    config: { durable_name: 'work-5', ack_policy: 'none', filter_subjects: ['cmd.*.*.start.5'] },
  });
  await assert.rejects(nats.open(), refused(/work-5/));
});

test('a mirror under our name refuses to start', async () => {
  await using nats = await startNats();
  const nc = await nats.bare();
  // A name of ours that is a mirror holds none of our subjects.
  await api(nc, 'STREAM.CREATE.SOURCE', { name: 'SOURCE', subjects: ['source'] });
  await api(nc, 'STREAM.CREATE.COMMANDS', {
    name: 'COMMANDS',
    mirror: { name: 'SOURCE' },
    discard: 'new',
  });
  await assert.rejects(nats.open(), refused(/COMMANDS/));
});
