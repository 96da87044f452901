// What all clients are held against: the program as it is started, with its embedded NATS and the test model server; a
// network in front of it that can be cut; a second one that wants tokens and has no model server; and, for what no test
// can bring a real one to, the server's own edge with handlers that answer as they are told.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { create, fromJson, type JsonObject, toBinary } from '@bufbuild/protobuf';
import { ChatStreamStatus } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { AttachedSchema } from '../../gen/tailrace/v1/chat_stream_service_pb.ts';
import { type Event, EventBatchSchema, EventSchema } from '../../gen/tailrace/v1/event_pb.ts';
import { ChatError } from '../../src/chat/errors.ts';
import { makeToken } from '../../src/rpc/edge/auth.ts';
import { attachedFrame, batchFrame } from '../../src/rpc/observe/observe-frames.ts';
import { type ModelServer, startModelServer } from '../model-server/model-server.ts';
import { type Edge, startEdge, testSource } from '../rpc/edge.ts';
import { temporaryFolder } from '../support/processes/nats.ts';
import { type Proxy, startProxy } from '../support/processes/proxy.ts';
import { startTailraceProcess } from '../support/processes/tailrace-process.ts';

export interface World extends AsyncDisposable {
  readonly model: ModelServer;
  /** The server. */
  readonly url: string;
  /** The same through a network of one's own, which goes with the scenario. */
  readonly network: () => Promise<Proxy>;
  /** Wants a token, and cannot reach its model server. */
  readonly guarded: { readonly url: string; readonly token: string };
  /** The edge with handlers of the suite. */
  readonly edge: string;
  readonly folds: readonly FoldCase[];
}

export interface FoldCase {
  readonly name: string;
  readonly events: readonly JsonObject[];
  readonly after?: number;
  readonly text?: string;
  readonly fault?: string;
}

/** Often enough that a scenario of silence is short. */
export const HEARTBEAT_MS = 500;
export const RETRY_MS = 400;

export async function startWorld(): Promise<World> {
  await using stack = new AsyncDisposableStack();
  const model = stack.use(await startModelServer());
  const own = stack.use(temporaryFolder());
  const guardedFolder = stack.use(temporaryFolder());
  const { token, line } = makeToken('interop');
  const tokensFile = join(guardedFolder.path, 'tokens');
  writeFileSync(tokensFile, `${line}\n`);
  const tailrace = stack.use(
    await startTailraceProcess({
      TAILRACE_DATA_DIR: own.path,
      OPENAI_BASE_URL: model.url,
      TAILRACE_HEARTBEAT_MS: String(HEARTBEAT_MS),
      TAILRACE_LOG_LEVEL: 'error',
    }),
  );
  const guarded = stack.use(
    await startTailraceProcess({
      TAILRACE_DATA_DIR: guardedFolder.path,
      // Nobody is there.
      OPENAI_BASE_URL: 'http://127.0.0.1:9/v1',
      TAILRACE_TOKENS_FILE: tokensFile,
      TAILRACE_LOG_LEVEL: 'silent',
    }),
  );
  const folds = foldCases();
  const edge = stack.use(await startSuiteEdge(folds));
  const moved = stack.move();
  return {
    model,
    url: tailrace.url,
    network: () => startProxy(tailrace.url),
    guarded: { url: guarded.url, token },
    edge: edge.url,
    folds,
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  };
}

function foldCases(): readonly FoldCase[] {
  const file = join(import.meta.dirname, '../../clients/testdata/folds.json');
  return (JSON.parse(readFileSync(file, 'utf8')) as { cases: FoldCase[] }).cases;
}

const DENIED = new ChatError('PERMISSION_DENIED', 'This token may not do that.');

/** `busy…` is taken at the second try; `fold-<n>` is a chat of the shared folds. */
function startSuiteEdge(folds: readonly FoldCase[]): Promise<Edge> {
  const turnedAway = new Set<string>();
  return startEdge({
    handlers: {
      cancelChatStream: () => Promise.reject(DENIED),
      deleteChatStream: () =>
        Promise.reject(
          new ChatError('QUEUE_FULL', 'The queue is full; nothing was done.', {
            metadata: { max_queued: '10000' },
            retryAfterMs: RETRY_MS,
          }),
        ),
    },
    observe: async ({ request: { streamId, afterSequence } }) => {
      if (streamId === 'denied') throw DENIED;
      if (streamId.startsWith('busy') && !turnedAway.has(streamId)) {
        turnedAway.add(streamId);
        throw new ChatError('TOO_MANY_OBSERVERS', 'There are as many observers as may be.', {
          retryAfterMs: RETRY_MS,
        });
      }
      const events = (folds[Number(streamId.replace(/^.*-/, ''))]?.events ?? []).map((json) =>
        fromJson(EventSchema, json),
      );
      return replay(events.filter(({ sequence }) => sequence > afterSequence));
    },
  });
}

function replay(events: readonly Event[]) {
  const attached = create(AttachedSchema, {
    latestSequence: events.at(-1)?.sequence ?? 0,
    status: ChatStreamStatus.COMPLETED,
  });
  const batch = toBinary(EventBatchSchema, create(EventBatchSchema, { events: [...events] }));
  const now = Date.now();
  const source = testSource([attachedFrame(attached, now), batchFrame([batch], now, now)]);
  source.finish();
  return source;
}
