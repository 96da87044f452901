// src/model: model servers, behind the port in src/chat/ports/model.ts. Here: which models there are,
// which server has each, and what of a request is sent there. May not live here: anything of NATS, rpcs,
// or a chat's life.
import { FailureReason } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { MODEL_LIST_FRESH_MS, MODEL_LIST_RETRY_MS } from '../chat/limits.ts';
import { fitViolations } from '../chat/request/model-fit.ts';
import type {
  ModelCall,
  ModelClient,
  ModelInfo,
  ModelOutcome,
  ModelSink,
  ModelWarning,
} from '../chat/ports/model.ts';
import { ModelFailure } from '../chat/ports/model.ts';
import type { Admission } from './calls/admission.ts';
import { createAdmission } from './calls/admission.ts';
import { chatBody } from './body/chat-body.ts';
import { costOf } from './cost.ts';
import { unreadable } from './answer/failure.ts';
import type { Candidate } from './fallback.ts';
import { answerByFirst } from './fallback.ts';
import type { FirstTokenClock } from './calls/first-token.ts';
import { createFirstTokenClock } from './calls/first-token.ts';
import type { KnownServer } from './known/known-model.ts';
import { infoOf, saysMore, sendingOf } from './known/known-model.ts';
import { createModelList } from './known/model-list.ts';
import type { ListedModel } from './known/listed-model.ts';
import type { ModelCallPolicy, ServerClient } from './calls/openai-client.ts';
import { createServerClient, retryPolicyOf } from './calls/openai-client.ts';
import type { ModelSpec, RegistrySpec } from './settings/registry-spec.ts';
import { bareModel } from './settings/registry-spec.ts';
import { budgetStop } from './body/token-budget.ts';

export interface RegistryPolicy extends ModelCallPolicy {
  readonly listFreshMs?: number;
  readonly listRetryMs?: number;
}

export interface ModelRegistry extends ModelClient {
  /** Ends all connections to model servers that carry no call. */
  readonly close: () => void;
}

interface Server extends KnownServer {
  readonly client: ServerClient;
  /** Its list was waited for once: whether it came or not, no call waits for it again. */
  met: boolean;
}

/** `admission`: of another registry that this one takes the place of; its calls still count. */
export function createRegistry(
  spec: RegistrySpec,
  policy: RegistryPolicy = {},
  admission: Admission = createAdmission(retryPolicyOf(policy)),
): ModelRegistry {
  const servers = spec.servers.map((server): Server => {
    const client = createServerClient(server, policy, admission);
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
    const { limits } = call;
    const clock = createFirstTokenClock(
      Math.min(limits.firstTokenTimeoutMs, policy.firstTokenTimeoutMs ?? Infinity),
    );
    const place = admission.place();
    const candidates = namesFor(call).map((name) => candidate(name, call, place, clock, signal));
    return await answerByFirst(call.model, candidates, sink, signal);
  }

  /** The model that is asked for, or who answered the turn before; then those that may take its place. */
  function namesFor({ model, answeredBy, request }: ModelCall): readonly string[] {
    const fallbacks = configured.get(model)?.fallbacks ?? [];
    if (fallbacks.length === 0) return [model];
    const infos = infosOf();
    const able = fallbacks.filter((name) => {
      const info = infos.find((each) => each.name === name);
      return info !== undefined && fitViolations(request, info, infos).length === 0;
    });
    const names = [model, ...able];
    if (answeredBy === undefined || !names.includes(answeredBy)) return names;
    return [answeredBy, ...names.filter((name) => name !== answeredBy)];
  }

  function candidate(
    name: string,
    call: ModelCall,
    place: number,
    clock: FirstTokenClock,
    signal: AbortSignal,
  ): Candidate {
    const model = configured.get(name) ?? discovered(name);
    const server = servers.find((each) => each.spec.name === model?.server);
    if (model === undefined || server === undefined) throw notConfigured(name);
    let warnings: readonly ModelWarning[] = [];
    return {
      name,
      warnings: () => warnings,
      ask: async (sink, others) => {
        if (saysMore(server)) await meet(server, signal);
        const sending = sendingOf(call, model, server, spec.defaultPrompt);
        if (call.turn === 1) warnings = sending.warnings;
        const { target, thinkTags } = sending;
        const body = chatBody(call, target);
        let outputTokens: number | undefined;
        const { stopReason } = await server.client.generate(
          {
            body,
            mayCall: call.request.tools.length + call.request.mcpServers.length > 0,
            thinkTags,
            correlationId: call.correlationId,
            span: call.span,
            provider: target.dialect.name,
            place,
            lanes: { model, server: server.spec },
            clock,
            others,
            idleTimeoutMs: Math.min(call.limits.idleTimeoutMs, policy.idleTimeoutMs ?? Infinity),
          },
          {
            ...sink,
            usage: (usage) => {
              outputTokens = usage.outputTokens;
              const cost = costOf(usage, model.prices);
              sink.usage(cost === undefined ? usage : { ...usage, cost });
            },
          },
          signal,
        );
        return { stopReason: budgetStop(call, target.defaults, stopReason, outputTokens) };
      },
    };
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

/** A process with the role worker alone is never asked for the list, and it decides what is sent. */
async function meet(server: Server, signal: AbortSignal): Promise<void> {
  const listed = server.list.list(signal).then(ignore, ignore);
  if (server.met) return;
  await listed;
  server.met = true;
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
