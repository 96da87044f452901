// InitiateChatStream: one conditional publish makes the chat and queues it (law 1). Everything that
// can be refused is refused before.
import type { MessageInitShape } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import { randomUUID } from 'node:crypto';
import { v7 as uuidV7 } from 'uuid';
import type {
  InitiateChatStreamRequest,
  InitiateChatStreamResponseSchema,
} from '../../../gen/tailrace/v1/chat_stream_service_pb.ts';
import { type ChatRequest, ChatRequestSchema } from '../../../gen/tailrace/v1/chat_request_pb.ts';
import { canonicalRequest } from '../../chat/request/canonical.ts';
import type { ChatKey } from '../../chat/chat-key.ts';
import type { ChatList } from '../../chat/ports/chat-list.ts';
import { withPosition } from '../../chat/fold/chat-view.ts';
import { chooseModel } from '../../chat/request/choose-model.ts';
import type { Command, CommandInbox } from '../../chat/ports/commands.ts';
import { contentViolations } from '../../chat/rules/content-rules.ts';
import { contextViolation, type TokenCounter } from '../../chat/request/context-fit.ts';
import { conversationViolations, fieldsNotHonoured } from '../../chat/rules/conversation-rules.ts';
import type { ChatAtLeader } from '../../chat/decisions/decisions.ts';
import { afterStartFailed, decideId } from '../../chat/decisions/decisions.ts';
import { ChatError, invalidRequest } from '../../chat/errors.ts';
import type { EventLog } from '../../chat/ports/event-log.ts';
import {
  DEFAULT_PRIORITY,
  DEFAULT_TTL_MS,
  MAX_QUEUED_PER_TENANT,
  PUBLISH_TRIES,
} from '../../chat/limits.ts';
import { formatViolations } from '../../chat/rules/format-rules.ts';
import { fieldsOf } from '../../chat/ports/log-fields.ts';
import type { Logger } from '../../chat/ports/logger.ts';
import { mcpViolations } from '../../chat/rules/mcp-rules.ts';
import { fitViolations } from '../../chat/request/model-fit.ts';
import type { ModelInfo } from '../../chat/ports/model.ts';
import { readBoth, readView } from '../../chat/log/read-chat.ts';
import { limitsOf, limitViolations } from '../../chat/rules/request-limits.ts';
import { identitiesOf, sealSecrets } from '../../chat/request/seal-request.ts';
import type { Sealer } from '../../chat/ports/sealing.ts';
import { systemText, systemViolations } from '../../chat/prompt/system-text.ts';
import {
  type DatabaseChecker,
  toolContextViolations,
} from '../../chat/rules/tool-context-rules.ts';
import { contextText } from '../../chat/prompt/tool-context-text.ts';
import { toolViolations } from '../../chat/rules/tool-rules.ts';
import { answerSchema } from '../../tools/schemas/answer-schema.ts';
import { checkInputSchema } from '../../tools/schemas/json-schema.ts';
import { tableShape } from '../../tools/tables/known-tables.ts';
import { SERVED_TOOLS } from '../../tools/server-tools.ts';

export interface InitiateDeps {
  readonly inbox: CommandInbox;
  readonly log: EventLog;
  readonly logger: Logger;
  readonly models: () => Promise<readonly ModelInfo[]>;
  /** The names of the operator's MCP servers that a tenant may use. */
  readonly ownMcpServers: (tenant: string) => readonly string[];
  /** The request with its documents as text; rejects where one cannot be read. */
  readonly readDocuments: (request: ChatRequest, chat: ChatKey) => Promise<ChatRequest>;
  readonly checkDatabase: DatabaseChecker;
  readonly tokens: TokenCounter;
  readonly list: Pick<ChatList, 'queued' | 'position'>;
  readonly sealer: Sealer;
  readonly maxRequestBytes: number;
}

export async function initiateChatStream(
  deps: InitiateDeps,
  tenant: string,
  call: InitiateChatStreamRequest,
  traceparent: string,
): Promise<MessageInitShape<typeof InitiateChatStreamResponseSchema>> {
  const given = call.request ?? create(ChatRequestSchema);
  const refused = fieldsNotHonoured(call, SERVED_TOOLS);
  const violations = [
    ...conversationViolations(given),
    ...contentViolations(given),
    ...toolViolations(given, checkInputSchema),
    ...mcpViolations(given, deps.ownMcpServers(tenant)),
    ...toolContextViolations(given, tableShape, deps.checkDatabase),
    ...formatViolations(given, answerSchema),
    ...limitViolations(given),
  ];
  if (refused.length + violations.length > 0) {
    // All that is wrong at once, so that nobody has to come twice.
    const reason = violations.length > 0 ? 'INVALID_REQUEST' : 'FIELD_NOT_HONOURED';
    throw invalidRequest(reason, [...violations, ...refused]);
  }
  return acceptChat(deps, tenant, call, traceparent);
}

/** For a request that keeps the rules and asks for nothing that is not honoured. */
export async function acceptChat(
  deps: InitiateDeps,
  tenant: string,
  call: InitiateChatStreamRequest,
  traceparent: string,
): Promise<MessageInitShape<typeof InitiateChatStreamResponseSchema>> {
  const given = call.request ?? create(ChatRequestSchema);
  const models = await deps.models();
  const model = chooseModel(given.model, models);
  const unset = systemViolations(given.system, model.defaultPrompt);
  if (unset.length > 0) throw invalidRequest('INVALID_REQUEST', unset);
  const unfit = fitViolations(given, model, models);
  if (unfit.length > 0) throw invalidRequest('MODEL_UNFIT', unfit);

  const asGiven = canonicalRequest(call);
  const chat: ChatKey = { tenant, streamId: call.streamId ?? uuidV7() };
  const identities = identitiesOf(call, asGiven.hash, deps.sealer, chat);
  // An id that this server has just made can have no past; one that a caller chose can. Looked up before
  // documents are read, so that a repeat is answered for little.
  const existing =
    call.streamId === undefined ? undefined : await findExisting(deps, chat, identities);
  const createdAtMs = Date.now();
  const request = existing === undefined ? await deps.readDocuments(given, chat) : given;
  // What is stored is the text, and no secret; the identity is that of what was given.
  const stored = sealSecrets(request === given ? call : { ...call, request }, deps.sealer, chat);
  const bytes = stored === call ? asGiven.bytes : canonicalRequest(stored).bytes;
  const start: Omit<Command, 'sequence'> = {
    chat,
    verb: 'start',
    priority: request.priority ?? DEFAULT_PRIORITY,
    meta: {
      appendId: randomUUID(),
      createdAtMs,
      expiresAtMs: createdAtMs + ttlMs(call),
      correlationId: request.correlationId,
      traceparent,
      model: model.name,
      runTimeoutMs: limitsOf(request).runTimeoutMs,
      requestHash: identities[0],
      metadata: request.metadata,
      reason: '',
      results: 0,
    },
    data: bytes,
  };
  if (existing === undefined) {
    if (bytes.length > deps.maxRequestBytes) {
      throw requestTooLarge(bytes.length, deps.maxRequestBytes);
    }
    const facts = { tenant, model: model.name, createdAtMs };
    const context = contextText(request);
    const system = systemText(request.system, model.defaultPrompt, facts, context);
    const overflow = await contextViolation(deps.tokens, request, system, model, models);
    if (overflow !== undefined) throw invalidRequest('MODEL_UNFIT', [overflow]);
    if (deps.list.queued(tenant) >= MAX_QUEUED_PER_TENANT) throw queueFull();
  }
  const { created, at } =
    existing === undefined
      ? await publishStart(deps, start, identities)
      : { created: false, at: existing };
  if (created) deps.logger.info(fieldsOf(start), 'a chat was accepted');
  const bare = await readView(deps.log, at.start, at.tail);
  const view = withPosition(bare, at.start, deps.list.position);
  return {
    streamId: chat.streamId,
    status: view.status,
    message: created
      ? 'The chat is durable and queued.'
      : 'The same request had been accepted under this id; this is that chat.',
    created,
    chatStream: view,
  };
}

interface Started {
  /** False: the same request had made it before. */
  readonly created: boolean;
  readonly at: Pick<ChatAtLeader, 'start' | 'tail'>;
}

async function publishStart(
  deps: InitiateDeps,
  start: Omit<Command, 'sequence'>,
  identities: readonly string[],
): Promise<Started> {
  const stored = (sequence: number): Started => {
    return { created: true, at: { start: { ...start, sequence }, tail: undefined } };
  };
  let cause: unknown;
  for (let tries = 0; tries < PUBLISH_TRIES; tries++) {
    const outcome = await deps.inbox.publish(start, 0);
    switch (outcome.type) {
      case 'stored':
        return stored(outcome.storeSequence);
      case 'full':
        throw new ChatError(
          'QUEUE_FULL',
          'The store (NATS JetStream) is too full for new chats; nothing was created. Delete chats that are not needed any more, or have the operator give it room; then repeat the call.',
          { retryAfterMs: 10_000, cause: outcome.cause },
        );
      case 'refused':
      case 'doubt': {
        // In doubt read back, then send the same again; never a second chat (law 1).
        const found = await deps.inbox.start(start.chat);
        const next = afterStartFailed(outcome.type, found, start.meta.appendId);
        if (next === 'stored') return stored(found?.sequence ?? 0);
        if (next === 'look') {
          const existing = await findExisting(deps, start.chat, identities);
          if (existing !== undefined) return { created: false, at: existing };
        }
        cause = outcome.type === 'doubt' ? outcome.cause : undefined;
      }
    }
  }
  throw new ChatError(
    'LOG_UNAVAILABLE',
    'The log (NATS JetStream) did not confirm the chat. Repeat the call with the same stream_id: it is created at most once.',
    { retryAfterMs: 1_000, cause },
  );
}

/**
 * The chat that already has this id, if it is the same request. Rejects with ALREADY_EXISTS for
 * another request, and for an id that is still taken though its chat is gone.
 */
async function findExisting(
  deps: InitiateDeps,
  chat: ChatKey,
  identities: readonly string[],
): Promise<ChatAtLeader | undefined> {
  const found = decideId(await readBoth(deps.inbox, deps.log, chat), identities, Date.now());
  switch (found.is) {
    case 'free':
      return undefined;
    case 'same':
      return found.at;
    case 'retired':
      throw new ChatError(
        'STREAM_ID_RETIRED',
        `The id "${chat.streamId}" belonged to a chat stream that was deleted or has expired; choose another.`,
        { metadata: { stream_id: chat.streamId } },
      );
    case 'taken': {
      const keyId = deps.sealer.missing(found.at.start.meta.requestHash);
      if (keyId !== undefined) throw cannotCompare(chat, keyId);
      throw new ChatError(
        'STREAM_ID_TAKEN',
        `The id "${chat.streamId}" belongs to a chat stream with another request; choose another id, or send the same request.`,
        { metadata: { stream_id: chat.streamId } },
      );
    }
  }
}

function cannotCompare({ streamId }: ChatKey, keyId: string): ChatError {
  return new ChatError(
    'SEALING_KEY_MISSING',
    `The id "${streamId}" belongs to a chat stream with a secret that was sealed by the key "${keyId}", which this server does not have, so it cannot tell whether this is the same request. The operator must keep that key in TAILRACE_SEAL_KEYS for as long as chats live that it sealed.`,
    { metadata: { stream_id: streamId, key_id: keyId } },
  );
}

function queueFull(): ChatError {
  return new ChatError(
    'QUEUE_FULL',
    `${MAX_QUEUED_PER_TENANT} chats of this tenant are queued, the most that there may be; nothing was created. Call again when some have begun, or run more workers.`,
    { metadata: { max_queued: String(MAX_QUEUED_PER_TENANT) }, retryAfterMs: 5_000 },
  );
}

function ttlMs(call: InitiateChatStreamRequest): number {
  if (call.ttl === undefined) return DEFAULT_TTL_MS;
  return Number(call.ttl.seconds) * 1_000 + Math.floor(call.ttl.nanos / 1_000_000);
}

function requestTooLarge(bytes: number, maxBytes: number): ChatError {
  return new ChatError(
    'REQUEST_TOO_LARGE',
    `The request has ${bytes} bytes, its documents as text; this server takes at most ${maxBytes}.`,
    { metadata: { max_bytes: String(maxBytes) } },
  );
}
