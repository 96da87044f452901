// What it costs to accept a request, beside the publish: reading it, its rules, its identity, the answer.
// In one process and by CPU time, so that other work on the machine hardly counts.
import { create, fromBinary, toBinary, toJsonString } from '@bufbuild/protobuf';
import type { JsonValue } from '@bufbuild/protobuf';
import type { ChatRequest } from '../gen/tailrace/v1/chat_request_pb.ts';
import { InitiateChatStreamRequestSchema } from '../gen/tailrace/v1/chat_stream_service_pb.ts';
import { Role } from '../gen/tailrace/v1/content_pb.ts';
import { traceparentOf } from '../src/chat/trace.ts';
import { createSealing } from '../src/ops/sealing.ts';
import { initiateChatStream } from '../src/rpc/calls/initiate-chat-stream.ts';
import { messageFromBinary, messageFromJson } from '../src/rpc/request/request-checks.ts';
import { boundBinaryValues, boundJsonValues } from '../src/rpc/request/request-values.ts';
import { memoryLog } from '../test/support/chats/memory-log.ts';
import { TEST_MODEL_INFO } from '../test/support/chats/test-model.ts';

const SCHEMA = InitiateChatStreamRequestSchema;

export interface AcceptanceFigures {
  readonly messages: number;
  readonly bytes: number;
  /** CPU for each request, in ms. */
  readonly binaryMs: number;
  readonly jsonMs: number;
  /** Of binaryMs, what a bare decode would not have cost: the rules. */
  readonly rulesMs: number;
}

export async function acceptanceCost(
  messages: number,
  bytes: number,
  rounds: number,
): Promise<AcceptanceFigures> {
  const text = 'wörds and more. '.repeat(Math.ceil(bytes / messages / 17));
  const request = create(SCHEMA, {
    request: {
      messages: Array.from({ length: messages }, (_, i) => ({
        role: i % 2 === 0 || i === messages - 1 ? Role.USER : Role.ASSISTANT,
        content: [{ block: { case: 'text' as const, value: text } }],
      })),
    },
  });
  const binary = toBinary(SCHEMA, request);
  const json = Buffer.from(toJsonString(SCHEMA, request));
  const deps = {
    inbox: {
      confirmLeaders: () => Promise.resolve(),
      publish: () => Promise.resolve({ type: 'stored', storeSequence: 1 } as const),
      last: () => Promise.resolve(undefined),
      start: () => Promise.resolve(undefined),
      eraseBefore: () => Promise.resolve(),
    },
    log: memoryLog(),
    logger: { debug() {}, info() {}, warn() {}, error() {} },
    models: () => Promise.resolve([TEST_MODEL_INFO]),
    ownMcpServers: () => [],
    list: { queued: () => 0, position: () => 0 },
    sealer: createSealing([]),
    maxRequestBytes: 8 * 1024 * 1024,
    checkDatabase: () => [],
    readDocuments: (given: ChatRequest) => Promise.resolve(given),
    tokens: { count: () => Promise.resolve(undefined) },
  };
  const accept = (call: typeof request) =>
    initiateChatStream(deps, 'default', call, traceparentOf(null));
  const cpuMs = async (act: () => unknown): Promise<number> => {
    for (let i = 0; i < rounds / 5; i++) await act();
    const before = process.cpuUsage();
    for (let i = 0; i < rounds; i++) await act();
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1_000 / rounds;
  };
  const binaryMs = await cpuMs(() => {
    boundBinaryValues(SCHEMA, binary);
    return accept(messageFromBinary(SCHEMA, binary));
  });
  const jsonMs = await cpuMs(() => {
    boundJsonValues(json);
    return accept(messageFromJson(SCHEMA, JSON.parse(json.toString()) as JsonValue));
  });
  const checkedMs = await cpuMs(() => messageFromBinary(SCHEMA, binary));
  const decodedMs = await cpuMs(() => fromBinary(SCHEMA, binary));
  return { messages, bytes: binary.length, binaryMs, jsonMs, rulesMs: checkedMs - decodedMs };
}
