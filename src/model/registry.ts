// src/model: model servers, behind the port in src/chat/model-port.ts. Here: which models there are,
// which server has each, and what of a request is sent there. May not live here: anything of NATS, rpcs,
// or a chat's life.
import { FailureReason } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { Role } from '../../gen/tailrace/v1/content_pb.ts';
import { MODEL_LIST_FRESH_MS, MODEL_LIST_RETRY_MS } from '../chat/limits.ts';
import { unread, withoutThinking } from '../chat/model-fit.ts';
import type {
  ModelCall,
  ModelCapabilities,
  ModelClient,
  ModelInfo,
  ModelOutcome,
  ModelSink,
  ServerField,
} from '../chat/model-port.ts';
import { ModelFailure, SAMPLING_FIELDS } from '../chat/model-port.ts';
import type { DefaultPrompt } from '../chat/system-text.ts';
import { type ThinkingWish, thinkingWish } from '../chat/thinking-wish.ts';
import { chatBody } from './chat-body.ts';
import type { Dialect } from './dialects.ts';
import { dialectFor, dialectOf, isKnownHost, narrowed } from './dialects.ts';
import { grammarFault } from './embedded/json-schema.ts';
import { unreadable } from './failure.ts';
import type { ModelList } from './model-list.ts';
import { createModelList } from './model-list.ts';
import type { ListedModel } from './listed-model.ts';
import type { ModelCallPolicy, ServerClient } from './openai-client.ts';
import { createServerClient } from './openai-client.ts';
import type { ModelSpec, RegistrySpec, ServerSpec } from './registry-spec.ts';
import { bareModel } from './registry-spec.ts';
import { tagsOfDialect, type ThinkTags } from './think-tags.ts';
import { tokenizerOf } from './tokens/tokenizer-names.ts';

export interface RegistryPolicy extends ModelCallPolicy {
  readonly listFreshMs?: number;
  readonly listRetryMs?: number;
}

export interface ModelRegistry extends ModelClient {
  /** Ends all connections to model servers that carry no call. */
  readonly close: () => void;
}

/** A server of the spec, with what it says of itself. */
interface Server {
  readonly spec: ServerSpec;
  readonly client: ServerClient;
  readonly list: ModelList;
  /** Its list was waited for once: whether it came or not, no call waits for it again. */
  met: boolean;
}

export function createRegistry(spec: RegistrySpec, policy: RegistryPolicy = {}): ModelRegistry {
  const servers = spec.servers.map((server): Server => {
    const client = createServerClient(server, policy);
    const list = createModelList({
      read: client.listModels,
      freshMs: policy.listFreshMs ?? MODEL_LIST_FRESH_MS,
      retryMs: policy.listRetryMs ?? MODEL_LIST_RETRY_MS,
    });
    return { spec: server, client, list, met: false };
  });
  const discovering = servers.filter((server) => server.spec.discover);
  const configured = new Map(spec.models.map((model) => [model.name, model]));
  let made:
    | { readonly from: readonly unknown[]; readonly models: readonly ModelInfo[] }
    | undefined;

  async function listModels(signal: AbortSignal): Promise<readonly ModelInfo[]> {
    const lists = await listAll(signal);
    if (made?.from.every((list, i) => list === lists[i]) === true) return made.models;
    const models = infosOf();
    if (models.length === 0) throw unreadable('a list of models without a model');
    made = { from: lists, models };
    return models;
  }

  /** What each server has listed, for those whose models the list is made of; waits only for these. */
  async function listAll(
    signal: AbortSignal,
  ): Promise<readonly (readonly ListedModel[] | undefined)[]> {
    for (const server of servers) {
      if (!server.spec.discover && saysMore(server)) server.list.list(signal).catch(ignore);
    }
    const settled = await Promise.allSettled(discovering.map(({ list }) => list.list(signal)));
    signal.throwIfAborted();
    const failed = settled.find((each) => each.status === 'rejected');
    const some = configured.size > 0 || settled.some((each) => each.status === 'fulfilled');
    if (failed !== undefined && !some) throw failed.reason;
    return servers.map(({ list }) => list.known());
  }

  function infosOf(): readonly ModelInfo[] {
    const infos = new Map<string, ModelInfo>();
    for (const model of spec.models) {
      const server = servers.find((each) => each.spec.name === model.server);
      if (server !== undefined) infos.set(model.name, infoAt(model, server));
    }
    for (const server of discovering) {
      for (const { id } of server.list.known() ?? []) {
        if (!infos.has(id)) infos.set(id, infoAt(bareModel(id, server.spec.name), server));
      }
    }
    const { defaultModel } = spec;
    const [first] = discovering;
    if (defaultModel === undefined) return [...infos.values()];
    // The operator's default counts even where the model server lists it by another name.
    const bare = first && infoAt(bareModel(defaultModel, first.spec.name), first);
    const chosen = infos.get(defaultModel) ?? bare;
    infos.delete(defaultModel);
    return chosen === undefined ? [...infos.values()] : [chosen, ...infos.values()];
  }

  function infoAt(model: ModelSpec, server: Server): ModelInfo {
    return infoOf(model, server, spec.defaultPrompt);
  }

  async function generate(
    call: ModelCall,
    sink: ModelSink,
    signal: AbortSignal,
  ): Promise<ModelOutcome> {
    const model = configured.get(call.model) ?? discovered(call.model);
    const server = servers.find(({ spec: { name } }) => name === model?.server);
    if (model === undefined || server === undefined) throw notConfigured(call.model);
    if (saysMore(server)) await meet(server, signal);
    const dialect = dialectAt(server, model);
    const info = infoAt(model, server);
    const wish = thinkingWish(call.request);
    const thinking = wish && thinkingSent(wish, info.can.reasoning, dialect);
    if (call.turn === 1) {
      for (const warning of unread(call.request, info)) sink.warning(warning);
      if (wish?.on === true && thinking === undefined) sink.warning(withoutThinking(call.model));
    }
    const { upstreamModel, defaults } = model;
    const { defaultPrompt } = spec;
    const body = chatBody(call, { upstreamModel, dialect, defaults, thinking, defaultPrompt });
    const { correlationId } = call;
    const thinkTags = thinkTagsFor(call, model, dialect, thinking);
    return await server.client.generate({ body, correlationId, thinkTags }, sink, signal);
  }

  /** A chat may have been accepted by a process that has seen a list which this one has not. */
  function discovered(name: string): ModelSpec | undefined {
    const lists = discovering.find(({ list }) => list.known()?.some(({ id }) => id === name));
    const server = lists ?? discovering[0];
    return server && bareModel(name, server.spec.name);
  }

  return {
    listModels,
    generate,
    close: () => servers.forEach(({ client }) => client.close()),
  };
}

/** As the operator says, or the address, or the server's own list as far as it is known. */
function dialectAt({ spec, list }: Server, model: ModelSpec): Dialect {
  const known = list.known();
  const dialect = dialectOf(spec.dialect ?? dialectFor(spec.baseUrl, known?.[0]?.ownedBy));
  return narrowed(dialect, listedIn(known, model)?.parameters);
}

function listedIn(
  known: readonly ListedModel[] | undefined,
  model: ModelSpec,
): ListedModel | undefined {
  return known?.find(({ id }) => id === model.upstreamModel);
}

/** A process with the role worker alone is never asked for the list, and it decides what is sent. */
async function meet(server: Server, signal: AbortSignal): Promise<void> {
  const listed = server.list.list(signal).then(ignore, ignore);
  if (server.met) return;
  await listed;
  server.met = true;
}

/** The list decides what is sent: which dialect it is, or what OpenRouter reads for the model. */
function saysMore({ spec: { dialect, baseUrl } }: Server): boolean {
  const name = dialect ?? (isKnownHost(baseUrl) ? dialectFor(baseUrl, undefined) : undefined);
  return name === undefined || name === 'openrouter';
}

function readsOf({ sampling, thinking, thoughts }: Dialect): ReadonlySet<ServerField> {
  const reads = new Set<ServerField>(SAMPLING_FIELDS.filter((f) => sampling[f] !== undefined));
  // Where there is no reasoning at all that is what is said, and not how much of it.
  if (thinking?.effort !== false) reads.add('thinking.effort');
  if (thinking?.budget !== false) reads.add('thinking.budget_tokens');
  if (thoughts !== undefined) reads.add('messages.content.thinking');
  return reads;
}

/** best_effort promises an answer: a server that might refuse is asked only where the model can. */
function thinkingSent(
  wish: ThinkingWish,
  reasons: boolean | undefined,
  dialect: Dialect,
): ThinkingWish | undefined {
  if (dialect.thinking === undefined || reasons === false) return undefined;
  const risky = dialect.thinking.refusesOthers && reasons === undefined;
  return risky && wish.bestEffort ? undefined : wish;
}

/** An answer that goes on in the middle has no beginning for a tag to stand at. */
function thinkTagsFor(
  { messages }: ModelCall,
  { thinkTags }: ModelSpec,
  dialect: Dialect,
  thinking: ThinkingWish | undefined,
): ThinkTags | undefined {
  if (messages.at(-1)?.role === Role.ASSISTANT || thinkTags === false) return undefined;
  const tags = thinkTags ?? tagsOfDialect(dialect.name);
  // Where the template is told not to let it reason, it opens nothing.
  return tags !== undefined && thinking?.on === false ? { ...tags, opened: false } : tags;
}

function infoOf(
  model: ModelSpec,
  server: Server,
  defaultPrompt: DefaultPrompt | undefined,
): ModelInfo {
  const { name, aliases, can, fallbacks, prices } = model;
  const dialect = dialectAt(server, model);
  const listed = listedIn(server.list.known(), model);
  return {
    name,
    aliases,
    can: capabilitiesOf([can, listed?.can ?? {}, dialect.can]),
    contextTokens: model.contextTokens ?? listed?.contextTokens,
    maxOutputTokens: model.maxOutputTokens ?? listed?.maxOutputTokens,
    reads: readsOf(dialect),
    continues: dialect.continuing !== undefined,
    imageUrls: dialect.imageUrls,
    maxStops: dialect.maxStops,
    schemaFault: dialect.name === 'embedded' ? grammarFault : undefined,
    fallbacks,
    prices,
    tokenizer: model.tokenizer ?? tokenizerOf(model.upstreamModel),
    defaultPrompt,
  };
}

/** The first who says something is believed: the operator, then the server. */
function capabilitiesOf(words: readonly Partial<ModelCapabilities>[]): ModelCapabilities {
  const of = (what: keyof ModelCapabilities): boolean | undefined =>
    words.find((said) => said[what] !== undefined)?.[what];
  return {
    tools: of('tools'),
    parallelTools: of('parallelTools'),
    jsonSchema: of('jsonSchema'),
    reasoning: of('reasoning'),
    images: of('images'),
    documents: of('documents'),
  };
}

function notConfigured(name: string): ModelFailure {
  return new ModelFailure(
    FailureReason.UPSTREAM_REJECTED,
    `The model "${name}" was there when the chat was accepted and is not configured any more. ` +
      'Choose a model out of ListModels.',
    { retryable: false },
  );
}

/** What is learned from it stands in known(); a call says by itself when its server is away. */
function ignore(): void {}
