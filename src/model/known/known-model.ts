// What is known of a model, and so what of a request is sent to its server: by the operator's word, by
// what the server lists, by its dialect.
import { Role } from '../../../gen/tailrace/v1/content_pb.ts';
import { unread, withoutThinking } from '../../chat/request/model-fit.ts';
import type {
  ModelCall,
  ModelCapabilities,
  ModelInfo,
  ModelWarning,
  ServerField,
} from '../../chat/ports/model.ts';
import { SAMPLING_FIELDS } from '../../chat/ports/model.ts';
import type { DefaultPrompt } from '../../chat/prompt/system-text.ts';
import { type ThinkingWish, thinkingWish } from '../../chat/rules/thinking-wish.ts';
import type { BodyTarget } from '../body/chat-body.ts';
import type { Dialect } from '../dialects/dialects.ts';
import { dialectFor, dialectOf, isKnownHost, narrowed } from '../dialects/dialects.ts';
import { grammarFault } from '../embedded/json-schema.ts';
import type { ListedModel } from './listed-model.ts';
import type { ModelList } from './model-list.ts';
import type { ModelSpec, ServerSpec } from '../settings/registry-spec.ts';
import { tagsOfDialect, type ThinkTags } from '../dialects/think-tags.ts';
import { tokenizerOf } from '../tokens/tokenizer-names.ts';

/** A server of the spec, with what it says of itself. */
export interface KnownServer {
  readonly spec: ServerSpec;
  readonly list: ModelList;
}

/** How a call is sent, and what of its request is not honoured. */
export function sendingOf(
  call: ModelCall,
  model: ModelSpec,
  server: KnownServer,
  defaultPrompt: DefaultPrompt | undefined,
): {
  readonly target: BodyTarget;
  readonly thinkTags: ThinkTags | undefined;
  readonly warnings: readonly ModelWarning[];
} {
  const dialect = dialectAt(server, model);
  const info = infoOf(model, server, defaultPrompt);
  const wish = thinkingWish(call.request);
  const thinking = wish && thinkingSent(wish, info.can.reasoning, dialect);
  const warnings = unread(call.request, info);
  if (wish?.on === true && thinking === undefined) warnings.push(withoutThinking(model.name));
  const { upstreamModel, defaults } = model;
  return {
    target: {
      upstreamModel,
      dialect,
      defaults,
      thinking,
      defaultPrompt,
      seesImages: model.toolImages === false ? false : info.can.images,
    },
    thinkTags: thinkTagsFor(call, model, dialect, thinking),
    warnings,
  };
}

/** The list decides what is sent: which dialect it is, or what OpenRouter reads for the model. */
export function saysMore({ spec: { dialect, baseUrl } }: KnownServer): boolean {
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

export function infoOf(
  model: ModelSpec,
  server: KnownServer,
  defaultPrompt: DefaultPrompt | undefined,
): ModelInfo {
  const { name, aliases, can, fallbacks, parallelCalls, prices } = model;
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
    callsOnlyForced: dialect.callsOnlyForced,
    imageUrls: dialect.imageUrls,
    maxStops: dialect.maxStops,
    schemaFault: dialect.name === 'embedded' ? grammarFault : undefined,
    fallbacks,
    parallelCalls,
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

/** As the operator says, or the address, or the server's own list as far as it is known. */
function dialectAt({ spec, list }: KnownServer, model: ModelSpec): Dialect {
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
