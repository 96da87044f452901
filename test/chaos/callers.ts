// Calls as clients make them, through any api and in any protocol, each with its answer in the history.
import { toBinary } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { ErrorInfoSchema } from '../../gen/google/rpc/error_details_pb.ts';
import type { ChatStreamStatus } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { Role } from '../../gen/tailrace/v1/content_pb.ts';
import { EventSchema } from '../../gen/tailrace/v1/event_pb.ts';
import type { ChatClient } from '../support/clients.ts';
import { chatClient, PROTOCOLS } from '../support/clients.ts';
import { COUNTER } from './counting-tools.ts';
import type { Outcome, Recording, SeenEvent } from './history.ts';
import { nowMs } from './history.ts';
import type { ChatPlan } from './plan.ts';
import type { Random } from './random.ts';

/** Longer than any call may take that waits for NATS. */
const CALL_TIMEOUT_MS = 30_000;
const WAIT_S = 5n;

interface Caller {
  readonly api: string;
  readonly client: ChatClient;
}

export interface Callers extends Disposable {
  readonly start: (plan: ChatPlan, random: Random) => Promise<Outcome>;
  readonly cancel: (chat: string, random: Random) => Promise<Outcome>;
  readonly remove: (chat: string, random: Random) => Promise<Outcome>;
  readonly read: (kind: 'get' | 'wait' | 'list', chat: string, random: Random) => Promise<void>;
  /** `onFrame` may hold the stream up, and leaves it by a false. */
  readonly observe: (
    chat: string,
    afterSequence: number,
    random: Random,
    signal: AbortSignal,
    onFrame: (events: readonly SeenEvent[]) => Promise<boolean>,
  ) => Promise<{ readonly api: string; readonly beganMs: number; readonly end: Outcome }>;
}

/** What a chat has that searches. */
const SEARCHED = {
  tools: [{ kind: { case: 'server' as const, value: { name: 'document_search' } } }],
  toolContext: [
    {
      name: 'mill',
      item: {
        case: 'document' as const,
        value: {
          source: { case: 'text' as const, value: 'Water leaves the mill by the tailrace.' },
        },
      },
    },
  ],
};

/** `counterUrl`: of the counting tools, for the plans that call them. */
export function createCallers(
  apis: readonly { readonly name: string; readonly url: string }[],
  history: Recording,
  counterUrl = '',
): Callers {
  const clients = apis.flatMap(({ name, url }) =>
    PROTOCOLS.map((way) => ({ api: name, client: chatClient(way, url) })),
  );

  async function call<T>(
    random: Random,
    ask: (client: ChatClient, options: { timeoutMs: number }) => Promise<T>,
    tell: (
      about: { api: string; beganMs: number; answeredMs: number; outcome: Outcome },
      answer: T | undefined,
    ) => void,
  ): Promise<Outcome> {
    const { api, client } = random.pick<Caller>(clients);
    const beganMs = nowMs();
    try {
      const answer = await ask(client, { timeoutMs: CALL_TIMEOUT_MS });
      tell({ api, beganMs, answeredMs: nowMs(), outcome: 'ok' }, answer);
      return 'ok';
    } catch (error) {
      const outcome = outcomeOf(error);
      tell({ api, beganMs, answeredMs: nowMs(), outcome }, undefined);
      return outcome;
    }
  }

  return {
    start: (plan, random) => {
      const { chat, words, script, searches, counts, deltas, priority } = plan;
      const text = JSON.stringify(script);
      const request = {
        messages: [
          { role: Role.USER, content: [{ block: { case: 'text' as const, value: text } }] },
        ],
        stream: deltas,
        priority,
        correlationId: chat,
        // Where the counter cannot be used there is another tool to offer, or the model's calls would end the chat.
        ...(searches + counts > 0 ? SEARCHED : {}),
        ...(counts > 0 ? { mcpServers: [{ name: COUNTER, url: counterUrl }] } : {}),
      };
      return call(
        random,
        (client, options) => client.initiateChatStream({ streamId: chat, request }, options),
        (about, answer) =>
          history.starts.push({ ...about, chat, words, created: answer?.created ?? false }),
      );
    },
    cancel: (chat, random) =>
      call(
        random,
        (client, options) => client.cancelChatStream({ streamId: chat, reason: 'chaos' }, options),
        (about, answer) =>
          history.cancels.push({ ...about, chat, status: answer?.chatStream?.status }),
      ),
    remove: (chat, random) =>
      call(
        random,
        (client, options) => client.deleteChatStream({ streamId: chat }, options),
        (about) => history.deletes.push({ ...about, chat }),
      ),
    read: async (kind, chat, random) => {
      await call(
        random,
        (client, options) => statusBy(client, kind, chat, options),
        (about, status) => history.reads.push({ ...about, kind, chat, status }),
      );
    },
    observe: async (chat, afterSequence, random, signal, onFrame) => {
      const { api, client } = random.pick<Caller>(clients);
      const beganMs = nowMs();
      // A transport may not look at a signal that is aborted already.
      if (signal.aborted) return { api, beganMs, end: '' };
      const leaving = new AbortController();
      const either = AbortSignal.any([signal, leaving.signal]);
      try {
        const request = { streamId: chat, afterSequence };
        for await (const message of client.observeChatStream(request, { signal: either })) {
          const { frame, storedTime } = message;
          const seenMs = nowMs();
          const storedMs =
            Number(storedTime?.seconds ?? 0) * 1_000 + (storedTime?.nanos ?? 0) / 1e6;
          const events = frame.case === 'batch' ? frame.value.events : [];
          const seen = events.map((event) => ({
            sequence: event.sequence,
            bytes: toBinary(EventSchema, event),
            seenMs,
            storedMs,
          }));
          if (!(await onFrame(seen))) leaving.abort();
          if (leaving.signal.aborted) return { api, beganMs, end: 'left' };
        }
        return { api, beganMs, end: 'ok' };
      } catch (error) {
        if (leaving.signal.aborted) return { api, beganMs, end: 'left' };
        return { api, beganMs, end: signal.aborted ? '' : outcomeOf(error) };
      }
    },
    [Symbol.dispose]: () => {
      for (const { client } of clients) client[Symbol.dispose]();
    },
  };
}

async function statusBy(
  client: ChatClient,
  kind: 'get' | 'wait' | 'list',
  streamId: string,
  options: { timeoutMs: number },
): Promise<ChatStreamStatus | undefined> {
  switch (kind) {
    case 'get':
      return (await client.getChatStream({ streamId }, options)).chatStream?.status;
    case 'wait': {
      const timeout = { seconds: WAIT_S };
      return (await client.waitChatStream({ streamId, timeout }, options)).chatStream?.status;
    }
    case 'list': {
      const { chatStreams } = await client.listChatStreams({ correlationId: streamId }, options);
      return chatStreams.find((each) => each.streamId === streamId)?.status;
    }
  }
}

function outcomeOf(error: unknown): Outcome {
  if (!(error instanceof ConnectError)) return `not an error of a call: ${String(error)}`;
  const [info] = error.findDetails(ErrorInfoSchema);
  return info?.reason ?? Code[error.code];
}
