// Chats that wait for their client's tools, and the calls that a client makes for them.
import assert from 'node:assert/strict';
import { create } from '@bufbuild/protobuf';
import { jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { StopReason } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import type { ChatStream } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import { SubmitToolResultsRequestSchema } from '../../../gen/tailrace/v1/chat_stream_service_pb.ts';
import { ToolUseBlockSchema } from '../../../gen/tailrace/v1/content_pb.ts';
import { BlockKind } from '../../../gen/tailrace/v1/event_pb.ts';
import type { ChatKey } from '../../../src/chat/chat-key.ts';
import type { LogTail, StatusMark } from '../../../src/chat/ports/event-log.ts';
import { openList } from '../../../src/list/sqlite-list.ts';
import type { NatsAdapter } from '../../../src/nats/adapter.ts';
import { submitToolResults } from '../../../src/rpc/calls/submit-tool-results.ts';
import { startSweep } from '../../../src/worker/sweep.ts';
import type { ChatInit, Ports } from './chat-fixtures.ts';
import { startChat, startCommandOf, TENANT } from './chat-fixtures.ts';
import { claimedWriter } from './claims.ts';
import type { HandCall } from './hand-model.ts';
import { SILENT } from '../processes/nats.ts';
import { HANGS_MS, until } from '../until.ts';

const HOUR_MS = 3_600_000;

export function startAwaiting(ports: Ports, init: ChatInit = {}): Promise<ChatKey> {
  return startChat(ports, {
    awaitToolResults: true,
    ...init,
    request: { tools: [{ kind: { case: 'client', value: { name: 'look' } } }], ...init.request },
  });
}

/** The model calls one tool for each id, and is done with its turn. */
export function callTools(call: HandCall, ...ids: readonly string[]): void {
  for (const [i, id] of ids.entries()) {
    call.sink.toolUse(i, id, 'look');
    call.sink.toolInput(i, `{"of":"${id}"}`);
  }
  call.finish(StopReason.TOOL_USE);
}

/** A chat whose worker brought it to its wait and is gone: its start is not acknowledged. */
export async function waitingChat(
  ports: Ports,
  options: {
    readonly ids?: readonly string[];
    readonly deadlineMs?: number;
    readonly mark?: Partial<StatusMark>;
  } = {},
): Promise<ChatKey> {
  const { ids = ['call_1'], deadlineMs = Date.now() + HOUR_MS } = options;
  const chat = await startAwaiting(ports);
  const { sequence, meta } = await startCommandOf(ports.inbox, chat);
  const { createdAtMs, expiresAtMs } = meta;
  const { writer } = await claimedWriter(ports.log, chat, {
    command: sequence,
    owner: 'gone',
    createdAtMs,
    expiresAtMs,
    ...options.mark,
  });
  const toolUses = ids.map((id) => create(ToolUseBlockSchema, { id, name: 'look', input: '{}' }));
  for (const [index, { id, name, input: json }] of toolUses.entries()) {
    const kind = BlockKind.TOOL_USE;
    writer.push({ case: 'blockStarted', value: { index, kind, turn: 1, id, name } });
    writer.push({ case: 'toolInputDelta', value: { index, json } });
    writer.push({ case: 'blockStopped', value: { index } });
  }
  assert.equal((await writer.wait(toolUses, deadlineMs)).type, 'stored');
  return chat;
}

export function submit(
  ports: Ports,
  chat: ChatKey,
  results: Readonly<Record<string, string>>,
): Promise<ChatStream> {
  const request = create(SubmitToolResultsRequestSchema, {
    streamId: chat.streamId,
    results: Object.entries(results).map(([toolUseId, value]) => ({
      toolUseId,
      content: [{ block: { case: 'text' as const, value } }],
    })),
  });
  return submitToolResults({ ...ports, logger: SILENT }, TENANT, request);
}

/** Ports by which no command is ever published: whoever calls is gone when it comes to that. */
export function withoutCommands({ inbox, log }: Ports): Ports {
  return { log, inbox: { ...inbox, publish: () => new Promise(() => undefined) } };
}

/** The results are stored, and whoever took them dies before it publishes the continue. */
export async function submitAndDie(
  ports: Ports,
  chat: ChatKey,
  results: Readonly<Record<string, string>>,
): Promise<void> {
  void submit(withoutCommands(ports), chat, results);
  await untilKind(ports, chat, 'results');
}

export function untilKind(
  { log }: Pick<Ports, 'log'>,
  chat: ChatKey,
  kind: StatusMark['kind'],
): Promise<LogTail> {
  let tail: LogTail | undefined;
  const look = async (): Promise<LogTail | undefined> => {
    tail = await log.tail(chat);
    return tail?.status.mark.kind === kind ? tail : undefined;
  };
  return until(`${chat.streamId} to be at ${kind}`, look, HANGS_MS, () => tail?.status.mark);
}

export async function continuesOf(nc: NatsConnection, chat: ChatKey): Promise<number> {
  const jsm = await jetstreamManager(nc);
  const filter = `cmd.${chat.tenant}.${chat.streamId}.continue.*`;
  const { state } = await jsm.streams.info('COMMANDS', { subjects_filter: filter });
  return Object.values(state.subjects ?? {}).reduce((sum, count) => sum + count, 0);
}

export async function runSweep(nats: NatsAdapter): Promise<AsyncDisposable> {
  const list = await openList(':memory:', nats.changes, SILENT);
  const sweep = startSweep({ ...nats, list, logger: SILENT });
  return {
    [Symbol.asyncDispose]: async () => {
      await sweep.stop();
      await list[Symbol.asyncDispose]();
    },
  };
}
