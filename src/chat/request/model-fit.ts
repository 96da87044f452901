// Whether a model can do what a request asks of it. What it lacks is refused before anything is
// created, with the models that have it; what its server merely does not read is a warning event, or
// refused where the request is strict.
import { type ChatRequest, ToolChoiceMode } from '../../../gen/tailrace/v1/chat_request_pb.ts';
import { Role } from '../../../gen/tailrace/v1/content_pb.ts';
import { WarningReason } from '../../../gen/tailrace/v1/event_pb.ts';
import { listed } from './choose-model.ts';
import { blocksOf } from '../rules/content-places.ts';
import type { Violation } from '../errors.ts';
import type {
  ModelCapabilities,
  ModelInfo,
  ModelWarning,
  SamplingField,
  ServerField,
} from '../ports/model.ts';
import { SAMPLING_FIELDS } from '../ports/model.ts';
import { thinkingWish } from '../rules/thinking-wish.ts';

/** Every rule that the request breaks by its choice of model. */
export function fitViolations(
  request: ChatRequest,
  model: ModelInfo,
  models: readonly ModelInfo[],
): Violation[] {
  const found: Violation[] = [];
  for (const { path, capability, what } of needs(request)) {
    if (model.can[capability] !== false) continue;
    const able = models.filter(({ can }) => can[capability] !== false).map(({ name }) => name);
    const others = able.length === 0 ? 'no model here can' : `these can: ${listed(able)}`;
    found.push({ path, description: `the model ${model.name} ${what}; ${others}` });
  }
  found.push(...lengthViolations(request, model));
  found.push(...formViolations(request, model));
  if (request.strict) {
    for (const { field, message } of unread(request, model)) {
      found.push({
        path: field,
        description: `${message}; without "strict" it is a warning event`,
      });
    }
  }
  return found;
}

/** An answer longer than there can be: servers cut it in silence, or fail the call. */
function lengthViolations(
  { maxTokens = 0 }: ChatRequest,
  { name, maxOutputTokens, contextTokens }: ModelInfo,
): Violation[] {
  const path = 'request.max_tokens';
  if (maxOutputTokens !== undefined && maxTokens > maxOutputTokens) {
    const description = `is ${maxTokens}; the model ${name} gives at most ${maxOutputTokens} tokens`;
    return [{ path, description }];
  }
  if (contextTokens === undefined || maxTokens < contextTokens) return [];
  const description = `is ${maxTokens}; the context of the model ${name} is ${contextTokens} tokens, the conversation included`;
  return [{ path, description }];
}

/** What the server has no form for, so that to leave it out would change the question. */
function formViolations(request: ChatRequest, model: ModelInfo): Violation[] {
  const found: Violation[] = [];
  const { maxStops } = model;
  if (maxStops !== undefined && request.stop.length > maxStops) {
    found.push({
      path: 'request.stop',
      description: `has ${request.stop.length} texts; the server of the model ${model.name} takes at most ${maxStops}`,
    });
  }
  if (model.callsOnlyForced && leavesChoice(request)) {
    found.push({
      path: 'request.tool_choice',
      description: `the model ${model.name} calls a tool only where it must, and never by its own choice: the mode must be TOOL_CHOICE_MODE_ANY or TOOL_CHOICE_MODE_NAMED, or TOOL_CHOICE_MODE_NONE for an answer without`,
    });
  }
  const format = request.responseFormat?.format;
  if (format?.case === 'jsonSchema' && format.value.strict) {
    // The door has parsed it.
    const fault = model.schemaFault?.(JSON.parse(format.value.schema) as object);
    if (fault !== undefined) {
      found.push({
        path: 'request.response_format.json_schema.schema',
        description: `the server of the model ${model.name} cannot be strict about it: ${fault}; without "strict" the answer is only checked`,
      });
    }
  }
  const last = request.messages.length - 1;
  if (!model.continues && request.messages[last]?.role === Role.ASSISTANT) {
    found.push({
      path: `request.messages[${last}].role`,
      description: `the server of the model ${model.name} cannot continue an assistant message; the last one must be of ROLE_USER`,
    });
  }
  if (model.imageUrls) return found;
  for (const [i, { content }] of request.messages.entries()) {
    for (const [j, { block }] of content.entries()) {
      if (block.case !== 'image' || block.value.source.case !== 'url') continue;
      found.push({
        path: `request.messages[${i}].content[${j}].image.url`,
        description: `the server of the model ${model.name} fetches no images; give the bytes as data`,
      });
    }
  }
  return found;
}

/** Whether it is for the model to say if a tool is called. A tool that is the answer must be. */
function leavesChoice({ tools, mcpServers, toolChoice, responseFormat }: ChatRequest): boolean {
  if (tools.length === 0 && mcpServers.length === 0) return false;
  if (responseFormat?.format.case === 'tool') return false;
  const mode = toolChoice?.mode ?? ToolChoiceMode.AUTO;
  return mode === ToolChoiceMode.AUTO || mode === ToolChoiceMode.UNSPECIFIED;
}

interface Need {
  readonly path: string;
  readonly capability: keyof ModelCapabilities;
  /** Goes on: "the model NAME …". */
  readonly what: string;
}

function needs(request: ChatRequest): Need[] {
  const found: Need[] = [];
  if (request.tools.length > 0) {
    found.push({ path: 'request.tools', capability: 'tools', what: 'cannot call tools' });
  }
  if (request.mcpServers.length > 0) {
    found.push({ path: 'request.mcp_servers', capability: 'tools', what: 'cannot call tools' });
  }
  if (request.responseFormat?.format.case === 'jsonSchema') {
    const path = 'request.response_format.json_schema';
    found.push({ path, capability: 'jsonSchema', what: 'cannot keep to a JSON schema' });
  }
  const wish = thinkingWish(request);
  if (wish?.on === true && !wish.bestEffort) {
    found.push({ path: 'request.thinking', capability: 'reasoning', what: 'cannot reason' });
  }
  for (const { path, block } of blocksOf(request)) {
    if (block.case === 'image') {
      found.push({ path: `${path}.image`, capability: 'images', what: 'sees no images' });
    } else if (block.case === 'document') {
      found.push({
        path: `${path}.document`,
        capability: 'documents',
        what: 'takes no documents',
      });
    }
  }
  return found;
}

/** What a request sets of sampling. A set 0 is a value; only undefined is absent. */
export function samplingOf(request: ChatRequest): Map<SamplingField, number | string[]> {
  const values: Readonly<Record<SamplingField, number | string[] | undefined>> = {
    // The contract keeps seeds within ±(2^53−1), where a JSON number is exact.
    seed: request.seed === undefined ? undefined : Number(request.seed),
    min_p: request.minP,
    top_p: request.topP,
    temperature: request.temperature,
    top_k: request.topK,
    repetition_penalty: request.repetitionPenalty,
    presence_penalty: request.presencePenalty,
    frequency_penalty: request.frequencyPenalty,
    max_tokens: request.maxTokens,
    stop: request.stop.length === 0 ? undefined : [...request.stop],
  };
  const set = new Map<SamplingField, number | string[]>();
  for (const field of SAMPLING_FIELDS) {
    const value = values[field];
    if (value !== undefined) set.set(field, value);
  }
  return set;
}

/** A warning for each field that the request sets and the model's server does not read. */
export function unread(
  request: ChatRequest,
  model: Pick<ModelInfo, 'name' | 'reads'>,
): ModelWarning[] {
  return [...readableOf(request)]
    .filter(([field]) => !model.reads.has(field))
    .map(([field, path]) => ({
      reason: WarningReason.PARAMETER_NOT_SUPPORTED,
      message: `the server of the model ${model.name} does not read ${field}, so it is not sent`,
      field: path,
    }));
}

/** Each field that the request sets, with its path; of those that repeat the first. */
function readableOf(request: ChatRequest): Map<ServerField, string> {
  const set = new Map<ServerField, string>();
  for (const field of samplingOf(request).keys()) set.set(field, `request.${field}`);
  const wish = thinkingWish(request);
  if (wish?.effort !== undefined) set.set('thinking.effort', 'request.thinking.effort');
  if (wish?.budgetTokens !== undefined) {
    set.set('thinking.budget_tokens', 'request.thinking.budget_tokens');
  }
  for (const [i, { content }] of request.messages.entries()) {
    const j = content.findIndex(({ block }) => block.case === 'thinking');
    if (j === -1) continue;
    set.set('messages.content.thinking', `request.messages[${i}].content[${j}].thinking`);
    break;
  }
  return set;
}

/** For a chat that wants reasoning and is answered without. */
export function withoutThinking(modelName: string): ModelWarning {
  return {
    reason: WarningReason.THINKING_NOT_SUPPORTED,
    message: `the model ${modelName} is not known to reason, so it was not told to`,
    field: 'request.thinking',
  };
}
