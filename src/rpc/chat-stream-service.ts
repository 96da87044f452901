// The rpcs of ChatStreamService that Connect serves, each a function of what it needs, in one file
// each. ObserveChatStream has a writer of its own: observe-wire.ts.
import type { ChatList } from '../chat/ports/chat-list.ts';
import type { CommandInbox, ControlQueue } from '../chat/ports/commands.ts';
import type { TokenCounter } from '../chat/request/context-fit.ts';
import type { EventLog, LogEraser } from '../chat/ports/event-log.ts';
import { DOCUMENTS_READ_MS } from '../chat/limits.ts';
import type { Logger } from '../chat/ports/logger.ts';
import type { ModelClient } from '../chat/ports/model.ts';
import type { DatabaseChecker } from '../chat/rules/tool-context-rules.ts';
import { type DocumentSources, readDocuments } from '../chat/request/read-documents.ts';
import type { Sealer } from '../chat/ports/sealing.ts';
import { traceparentOf } from '../chat/trace.ts';
import { tenantOf } from './edge/auth.ts';
import { cancelChatStream } from './calls/cancel-chat-stream.ts';
import { deleteChatStream } from './calls/delete-chat-stream.ts';
import { getChatStream } from './calls/get-chat-stream.ts';
import type { ChatStreamHandlers } from './connect-routes.ts';
import { initiateChatStream } from './calls/initiate-chat-stream.ts';
import { listChatStreams } from './calls/list-chat-streams.ts';
import { listModels, modelsOrUnavailable } from './calls/list-models.ts';
import type { ObserveHub } from './observe/observe-hub.ts';
import { submitToolResults } from './calls/submit-tool-results.ts';
import { SubmitTurns } from './calls/submit-turns.ts';
import { spanOf } from './edge/rpc-span.ts';
import { waitChatStream } from './calls/wait-chat-stream.ts';

export interface ServiceDeps {
  readonly inbox: CommandInbox;
  readonly log: EventLog;
  readonly eraser: LogEraser;
  readonly control: Pick<ControlQueue, 'ring'>;
  readonly list: ChatList;
  readonly hub: ObserveHub;
  readonly model: ModelClient;
  /** The names of the operator's MCP servers that a tenant may use. */
  readonly ownMcpServers: (tenant: string) => readonly string[];
  readonly logger: Logger;
  readonly documents: DocumentSources;
  readonly checkDatabase: DatabaseChecker;
  readonly tokens: TokenCounter;
  readonly sealer: Sealer;
  readonly maxRequestBytes: number;
}

export function chatStreamHandlers(deps: ServiceDeps): ChatStreamHandlers {
  const untilOver = deps.hub.untilOver;
  const submitTurns = new SubmitTurns();
  return {
    initiateChatStream: (request, context) =>
      initiateChatStream(
        {
          ...deps,
          models: () => modelsOrUnavailable(deps.model, context.signal),
          readDocuments: (request, chat) =>
            readDocuments(request, deps.documents, chat, () =>
              AbortSignal.any([context.signal, AbortSignal.timeout(DOCUMENTS_READ_MS)]),
            ),
        },
        tenantOf(context.values),
        request,
        spanOf(context.values)?.traceparent ?? traceparentOf(null),
      ),
    getChatStream: async ({ streamId, view }, context) => {
      const chat = { tenant: tenantOf(context.values), streamId };
      return { chatStream: await getChatStream(deps, chat, view) };
    },
    waitChatStream: async (request, context) => ({
      chatStream: await waitChatStream(deps, tenantOf(context.values), request, context.signal),
    }),
    cancelChatStream: async ({ streamId, reason }, context) => {
      const chat = { tenant: tenantOf(context.values), streamId };
      return {
        chatStream: await cancelChatStream({ ...deps, untilOver }, chat, reason, context.signal),
      };
    },
    listChatStreams: (request, context) =>
      listChatStreams(deps.list, tenantOf(context.values), request),
    deleteChatStream: async ({ streamId }, context) => {
      const { meta } = await deleteChatStream(
        { ...deps, ring: deps.control.ring },
        { tenant: tenantOf(context.values), streamId },
      );
      // Its answer has nothing to tell it by.
      spanOf(context.values)?.about(meta);
      return {};
    },
    submitToolResults: async (request, context) => {
      const tenant = tenantOf(context.values);
      const chat = { tenant, streamId: request.streamId };
      const submit = () => submitToolResults(deps, tenant, request);
      return { chatStream: await submitTurns.take(chat, submit) };
    },
    listModels: (_, context) => listModels(deps.model, context.signal),
  };
}
