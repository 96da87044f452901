// The interop suite's driver of clients/typescript.
import { create, fromJson, type JsonObject, toJson } from '@bufbuild/protobuf';
import { createClient, type Transport } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-node';
import {
  CancelChatStreamRequestSchema,
  ChatRequestSchema,
  type ChatSnapshot,
  type ChatStream,
  ChatStreamSchema,
  ChatStreamService,
  ChatStreamView,
  createTailraceClient,
  DeleteChatStreamRequestSchema,
  GetChatStreamRequestSchema,
  InitiateChatStreamRequestSchema,
  InitiateChatStreamResponseSchema,
  ListChatStreamsRequestSchema,
  ListChatStreamsResponseSchema,
  ModelSchema,
  StopReasonSchema,
  SubmitToolResultsRequestSchema,
  type TailraceClient,
  TailraceError,
  type WaitChatStreamRequest,
  WaitChatStreamRequestSchema,
  WaitChatStreamResponseSchema,
} from '../../../../clients/typescript/src/tailrace.ts';
import type { CallCommand, Target } from '../../driver.ts';
import { codeName } from './errors.ts';
import { localDriver, statusName } from './local-driver.ts';

const MS = 1_000;
const PING_MS = 20_000;

function transportTo({ url }: Target): Transport {
  return createConnectTransport({
    baseUrl: url,
    httpVersion: '2',
    // A connection whose other side is gone without a word is found out.
    pingIntervalMs: PING_MS,
  });
}

function clientFor(
  target: Target,
  options: { readonly maxRetries?: number; readonly silenceMs?: number },
): TailraceClient {
  const { token } = target;
  return createTailraceClient(transportTo(target), {
    ...options,
    ...(token === undefined ? {} : { token }),
  });
}

function chat(stream: ChatStream): JsonObject {
  return { chatStream: toJson(ChatStreamSchema, stream) };
}

/** The rpc itself, which has a deadline: the client's `wait` goes on for as long as it takes. */
async function waitOnce(
  target: Target,
  request: WaitChatStreamRequest,
  timeoutMs: number,
): Promise<JsonObject> {
  const rpc = createClient(ChatStreamService, transportTo(target));
  try {
    const answer = await rpc.waitChatStream(request, { timeoutMs });
    return toJson(WaitChatStreamResponseSchema, answer) as JsonObject;
  } catch (thrown) {
    throw TailraceError.from(thrown);
  }
}

/** By the client's own functions, once each: what they would wait out is what the scenarios ask for. */
async function call(command: CallCommand): Promise<JsonObject> {
  const { request: json, timeoutMs } = command;
  const client = clientFor(command, { maxRetries: 0 });
  const options = timeoutMs === undefined ? {} : { timeoutMs };
  switch (command.rpc) {
    case 'InitiateChatStream': {
      const { streamId, request, awaitToolResults, ttl } = fromJson(
        InitiateChatStreamRequestSchema,
        json,
      );
      const { $typeName: _, ...init } = request ?? create(ChatRequestSchema);
      const response = await client.initiate(init, {
        ...options,
        awaitToolResults,
        streamId,
        ttlMs: ttl === undefined ? undefined : Number(ttl.seconds) * MS,
      });
      return toJson(InitiateChatStreamResponseSchema, response) as JsonObject;
    }
    case 'GetChatStream': {
      const { streamId, view } = fromJson(GetChatStreamRequestSchema, json);
      return chat(await client.get(streamId, { ...options, full: view === ChatStreamView.FULL }));
    }
    case 'WaitChatStream': {
      const request = fromJson(WaitChatStreamRequestSchema, json);
      if (timeoutMs !== undefined) return waitOnce(command, request, timeoutMs);
      const { streamId, view } = request;
      return chat(await client.wait(streamId, { ...options, full: view === ChatStreamView.FULL }));
    }
    case 'ListChatStreams': {
      const filter = fromJson(ListChatStreamsRequestSchema, json);
      const { $typeName: _, ...init } = filter;
      for await (const page of client.list(init, options).pages()) {
        return toJson(ListChatStreamsResponseSchema, page) as JsonObject;
      }
      return {};
    }
    case 'CancelChatStream': {
      const { streamId, reason } = fromJson(CancelChatStreamRequestSchema, json);
      return chat(await client.cancel(streamId, { ...options, reason }));
    }
    case 'DeleteChatStream': {
      await client.delete(fromJson(DeleteChatStreamRequestSchema, json).streamId, options);
      return {};
    }
    case 'SubmitToolResults': {
      const { streamId, results } = fromJson(SubmitToolResultsRequestSchema, json);
      return chat(await client.submitToolResults(streamId, results, options));
    }
    case 'ListModels': {
      const models = await client.listModels(options);
      return { models: models.map((model) => toJson(ModelSchema, model)) };
    }
  }
}

export function typescriptDriver() {
  return localDriver({
    call,
    observe: async (command, sights) => {
      const { afterSequence = 0, silenceMs } = command;
      const client = clientFor(command, silenceMs === undefined ? {} : { silenceMs });
      let last: ChatSnapshot | undefined;
      const { signal } = sights;
      for await (const update of client.observe(command.streamId, { afterSequence, signal })) {
        last = update.snapshot;
        switch (update.kind) {
          case 'attached':
            sights.attached(update.attached);
            break;
          case 'heartbeat':
            sights.heartbeat(update.heartbeat);
            break;
          case 'event': {
            const { sequence, attempt, payload } = update.event;
            await sights.event({ sequence, attempt, case: payload.case ?? '' });
            break;
          }
          case 'reconnecting':
            break;
        }
      }
      signal.throwIfAborted();
      return {
        text: last?.text ?? '',
        cursor: last?.sequence ?? afterSequence,
        ...(last?.ended === true
          ? {
              status: statusName(last.status),
              stopReason: StopReasonSchema.value[last.stopReason]?.name ?? '',
            }
          : {}),
      };
    },
    toError: (thrown) => {
      if (!(thrown instanceof TailraceError)) throw thrown;
      const { code, reason = '', message, metadata, fieldViolations, retryAfterMs = 0 } = thrown;
      return {
        code: codeName(code),
        reason,
        message,
        metadata,
        violations: fieldViolations,
        retryAfterMs,
      };
    },
    close: () => undefined,
  });
}
