// Any valid request reaches the model server as the contract says, by every form that it may come in; any
// broken one is refused by the path of what is wrong, and makes nothing.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { create, fromBinary, fromJsonString, toBinary, toJsonString } from '@bufbuild/protobuf';
import { jetstreamManager } from '@nats-io/jetstream';
import * as fc from 'fast-check';
import type { ChatRequestSchema } from '../../gen/tailrace/v1/chat_request_pb.ts';
import { InitiateChatStreamRequestSchema } from '../../gen/tailrace/v1/chat_stream_service_pb.ts';
import { Role } from '../../gen/tailrace/v1/content_pb.ts';
import { canonicalRequest } from '../../src/chat/request/canonical.ts';
import { chatClient, PROTOCOLS } from '../support/clients.ts';
import { forAllTests } from '../support/for-all-tests.ts';
import { refused } from '../support/refusal.ts';
import { startScripted } from '../support/processes/scripted-tailrace.ts';

const SCHEMA = InitiateChatStreamRequestSchema;
const VALID_RUNS = 40;
const BROKEN_RUNS = 60;

const { nats, model, tailrace } = await forAllTests(startScripted());
const clients = PROTOCOLS.map((way) => chatClient(way, tailrace.url));

type Request = MessageInitShape<typeof ChatRequestSchema>;

const words = fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme' });
const optional = <T>(of: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.option(of, { nil: undefined });
const between = (min: number, max: number): fc.Arbitrary<number> =>
  fc.double({ min, max, noNaN: true });

interface Drawn {
  readonly turns: readonly { readonly assistant: boolean; readonly texts: readonly string[] }[];
  readonly last: readonly string[];
  readonly system: string | undefined;
  readonly sampling: Readonly<Record<keyof typeof WIRE, number | undefined>>;
  readonly seed: number | undefined;
  readonly stop: readonly string[];
  readonly priority: number | undefined;
}

/** What each number is called upstream, where vLLM's names count. */
const WIRE = {
  minP: 'min_p',
  topP: 'top_p',
  temperature: 'temperature',
  topK: 'top_k',
  repetitionPenalty: 'repetition_penalty',
  presencePenalty: 'presence_penalty',
  frequencyPenalty: 'frequency_penalty',
  maxTokens: 'max_tokens',
} as const;

const drawn: fc.Arbitrary<Drawn> = fc.record({
  turns: fc.array(
    fc.record({
      assistant: fc.boolean(),
      texts: fc.array(words, { minLength: 1, maxLength: 3 }),
    }),
    { maxLength: 5 },
  ),
  // What the test model server is told: anything but a script of its own.
  last: fc.array(
    words.map((text) => `say ${text}`),
    { minLength: 1, maxLength: 3 },
  ),
  system: optional(words),
  sampling: fc.record({
    minP: optional(between(0, 1)),
    topP: optional(between(0, 1)),
    temperature: optional(between(0, 2)),
    topK: optional(fc.integer({ min: 0, max: 2 ** 31 - 1 })),
    repetitionPenalty: optional(between(0.01, 100)),
    presencePenalty: optional(between(-2, 2)),
    frequencyPenalty: optional(between(-2, 2)),
    maxTokens: optional(fc.integer({ min: 1, max: 2 ** 31 - 1 })),
  }),
  seed: optional(fc.maxSafeInteger()),
  stop: fc.array(words, { maxLength: 4 }),
  priority: optional(fc.integer({ min: 0, max: 9 })),
});

function requestOf({ turns, last, system, sampling, seed, stop, priority }: Drawn): Request {
  const says = (role: Role, texts: readonly string[]) => ({
    role,
    content: texts.map((value) => ({ block: { case: 'text' as const, value } })),
  });
  const set = Object.entries(sampling).filter(([, value]) => value !== undefined);
  return {
    messages: [
      ...turns.map(({ assistant, texts }) => says(assistant ? Role.ASSISTANT : Role.USER, texts)),
      says(Role.USER, last),
    ],
    ...(system === undefined ? {} : { system: { text: system } }),
    ...Object.fromEntries(set),
    ...(seed === undefined ? {} : { seed: BigInt(seed) }),
    stop: [...stop],
    ...(priority === undefined ? {} : { priority }),
  };
}

/** Written by the contract and vLLM's reference, not by what we send. */
function bodyOf({ turns, last, system, sampling, seed, stop, priority }: Drawn): object {
  const set = Object.entries(WIRE).flatMap(([field, name]) => {
    const value = sampling[field as keyof typeof WIRE];
    return value === undefined ? [] : [[name, value] as const];
  });
  return {
    model: 'test-model',
    messages: [
      ...(system === undefined ? [] : [{ role: 'system', content: system }]),
      ...turns.map(({ assistant, texts }) =>
        assistant
          ? { role: 'assistant', content: texts.join('') }
          : { role: 'user', content: texts.join('\n') },
      ),
      { role: 'user', content: last.join('\n') },
    ],
    stream: true,
    stream_options: { include_usage: true },
    ...Object.fromEntries(set),
    ...(seed === undefined ? {} : { seed }),
    ...(stop.length === 0 ? {} : { stop: [...stop] }),
    ...(priority === undefined ? {} : { priority: priority - 5 }),
  };
}

test('any valid request is the same in binary and in JSON, and reaches the model server as it was given', async () => {
  await fc.assert(
    fc.asyncProperty(drawn, fc.nat(), async (draw, way) => {
      const initiate = create(SCHEMA, { request: requestOf(draw) });
      const identity = canonicalRequest(initiate).hash;
      const binary = fromBinary(SCHEMA, toBinary(SCHEMA, initiate));
      const json = fromJsonString(SCHEMA, toJsonString(SCHEMA, initiate));
      assert.equal(canonicalRequest(binary).hash, identity);
      assert.equal(canonicalRequest(json).hash, identity);
      const client = clients[way % clients.length] ?? assert.fail();
      await client.initiateChatStream({ request: requestOf(draw) });
      const { body } = await model.nextRequest();
      // JSON.parse as the server did: −0 is 0 on the wire.
      assert.deepEqual(body, JSON.parse(JSON.stringify(bodyOf(draw))));
    }),
    { numRuns: VALID_RUNS, endOnFailure: true },
  );
});

interface Fault {
  readonly path: string;
  readonly break: (request: Request) => void;
}

const FAULTS: readonly Fault[] = [
  { path: 'request.min_p', break: (r) => void (r.minP = 1.5) },
  { path: 'request.top_p', break: (r) => void (r.topP = Number.NaN) },
  { path: 'request.temperature', break: (r) => void (r.temperature = -0.1) },
  { path: 'request.top_k', break: (r) => void (r.topK = -1) },
  { path: 'request.repetition_penalty', break: (r) => void (r.repetitionPenalty = 0) },
  { path: 'request.presence_penalty', break: (r) => void (r.presencePenalty = 2.1) },
  { path: 'request.frequency_penalty', break: (r) => void (r.frequencyPenalty = -3) },
  { path: 'request.max_tokens', break: (r) => void (r.maxTokens = 0) },
  { path: 'request.seed', break: (r) => void (r.seed = 2n ** 60n) },
  { path: 'request.priority', break: (r) => void (r.priority = 10) },
  { path: 'request.stop[0]', break: (r) => void (r.stop = ['']) },
  { path: 'request.correlation_id', break: (r) => void (r.correlationId = 'x'.repeat(257)) },
  { path: 'request.messages[0].role', break: (r) => void (first(r).role = Role.UNSPECIFIED) },
  {
    path: 'request.messages[0].content[0]',
    break: (r) => void (first(r).content = [{ block: { case: undefined } }]),
  },
];

function first({ messages = [] }: Request): NonNullable<Request['messages']>[number] {
  return messages[0] ?? assert.fail('a request has messages');
}

test('any broken request is refused by the path of everything that is wrong with it, and makes nothing', async () => {
  const jsm = await jetstreamManager(await nats.bare());
  const stored = async (): Promise<number> => (await jsm.streams.info('COMMANDS')).state.last_seq;
  const before = await stored();
  await fc.assert(
    fc.asyncProperty(
      drawn,
      fc.subarray([...FAULTS], { minLength: 1 }),
      fc.nat(),
      async (draw, faults, way) => {
        const request = requestOf(draw);
        for (const fault of faults) fault.break(request);
        const client = clients[way % clients.length] ?? assert.fail();
        const { reason, fields } = await refused(client.initiateChatStream({ request }));
        assert.equal(reason, 'INVALID_REQUEST');
        const named = new Set(fields.map((path) => path.replace(/\.block$/, '')));
        for (const { path } of faults) {
          assert.ok(
            [...named].some((each) => each === path || each.startsWith(`${path}.`)),
            `${path} is not among ${[...named].join(', ')}`,
          );
        }
      },
    ),
    { numRuns: BROKEN_RUNS, endOnFailure: true },
  );
  assert.equal(await stored(), before, 'nothing was created');
});
