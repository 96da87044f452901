// The model itself: llama.cpp in this process, a few sequences side by side. Only this file knows
// node-llama-cpp, and it is loaded lazily: the package is optional and absent on some machines.
import { pathToFileURL } from 'node:url';
import type * as LlamaModule from 'node-llama-cpp';
import type {
  GbnfJsonBasicSchema,
  Llama,
  LlamaContextSequence,
  LlamaGrammar,
  LlamaModel,
  SequenceEvaluateOptions,
  Token,
} from 'node-llama-cpp';
import { createStopFilter, createTokenText } from './answer-text.ts';
import { type ChildFailureReason, type ChildSettings } from './child-protocol.ts';
import { type CompletionRequest, type Sampling } from './completion-request.ts';
import { createPromptEncoder } from './chat-prompt.ts';
import { type GrammarSource } from './json-schema.ts';
import { Refusal } from './refusal.ts';
import { createWaitingRoom } from './waiting-room.ts';

export interface CompletionEnd {
  readonly finishReason: 'stop' | 'length';
  /** The stop sequence that ended the answer. */
  readonly stopSequence: string | undefined;
  readonly promptTokens: number;
  /** Prompt tokens that were still in memory from an earlier request. */
  readonly cachedTokens: number;
  readonly completionTokens: number;
}

export interface Completion {
  readonly promptTokens: number;
  /** Text comes in whole characters. Rejects with the signal's reason after an abort. */
  readonly run: (onText: (text: string) => void, signal: AbortSignal) => Promise<CompletionEnd>;
}

export interface Engine {
  /** Checks everything that can be checked without the model's time; throws a Refusal. */
  readonly prepare: (request: CompletionRequest) => Promise<Completion>;
  readonly load: () => { readonly busy: number; readonly queued: number };
}

export class EngineFailure extends Error {
  readonly reason: ChildFailureReason;

  constructor(reason: ChildFailureReason, cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.name = 'EngineFailure';
    this.reason = reason;
  }
}

/**
 * Prompts are evaluated in slices, since a slice that has begun can neither be aborted nor make way
 * for another chat's next token. 32 tokens take 130–250 ms, and larger slices are hardly faster for
 * each token.
 */
const SLICE_TOKENS = 32;
const BATCH_TOKENS = 4 * SLICE_TOKENS;
/** Seeds are folded into 32 bits, and llama.cpp takes the last of them for "random". */
const SEEDS = 0xffff_ffff;
/** The grammars allow any number of newlines after the JSON, and never so many within it. */
const JSON_END = '\n'.repeat(4);

function importEngine(path: string | undefined): Promise<typeof LlamaModule> {
  if (path === undefined) return import('node-llama-cpp');
  // The same module from another folder.
  return import(pathToFileURL(path).href) as Promise<typeof LlamaModule>;
}

export async function loadEngine(settings: ChildSettings): Promise<Engine> {
  const llama = await importEngine(settings.enginePath)
    .then(async ({ getLlama, LlamaLogLevel }) => {
      return await getLlama({
        gpu: false,
        build: 'never',
        skipDownload: true,
        maxThreads: settings.threads,
        logLevel: LlamaLogLevel.error,
        // stdout belongs to the report to the parent.
        logger: (level, text) => process.stderr.write(`llama.cpp ${level}: ${text.trimEnd()}\n`),
      });
    })
    .catch((error: unknown) => {
      throw new EngineFailure('PACKAGE_MISSING', error);
    });
  const model = await llama
    .loadModel({ modelPath: settings.modelPath, gpuLayers: 0 })
    .catch((error: unknown) => {
      throw new EngineFailure('MODEL_UNREADABLE', error);
    });
  const context = await model.createContext({
    sequences: settings.sequences,
    contextSize: settings.contextTokens,
    batchSize: BATCH_TOKENS,
    threads: settings.threads,
    flashAttention: true,
  });
  const free = Array.from({ length: settings.sequences }, () => context.getSequence());
  return createEngine(settings, llama, model, free);
}

function createEngine(
  settings: ChildSettings,
  llama: Llama,
  model: LlamaModel,
  free: LlamaContextSequence[],
): Engine {
  const encode = createPromptEncoder(model);
  const room = createWaitingRoom(settings.sequences, settings.queuedRequests, () => {
    return new Refusal(
      429,
      'queue_full',
      `All ${settings.sequences} places are busy and ${settings.queuedRequests} requests wait.`,
      { retryAfterSeconds: 1 },
    );
  });

  /** The sequence that already holds most of this prompt; among equals the one that holds least. */
  function takeSequence(prompt: Token[]): { sequence: LlamaContextSequence; held: number } {
    let best: { sequence: LlamaContextSequence; held: number } | undefined;
    for (const sequence of free) {
      const { firstDifferentIndex } = sequence.compareContextTokens(prompt);
      // The last token is always evaluated: the answer's first token comes out of it.
      const held = Math.min(firstDifferentIndex, prompt.length - 1);
      const better =
        best === undefined ||
        held > best.held ||
        (held === best.held && sequence.nextTokenIndex < best.sequence.nextTokenIndex);
      if (better) best = { sequence, held };
    }
    if (best === undefined) throw new Error('a place was given without a sequence for it');
    free.splice(free.indexOf(best.sequence), 1);
    return best;
  }

  async function generate(
    request: CompletionRequest,
    prompt: Token[],
    grammar: LlamaGrammar | undefined,
    onText: (text: string) => void,
    signal: AbortSignal,
  ): Promise<CompletionEnd> {
    const { sequence, held } = takeSequence(prompt);
    try {
      // What is left in memory was computed in other portions, which rounds differently: who asks
      // for the same answer again gets a prompt that is computed again.
      const repeatable = request.sampling.seed !== undefined || request.sampling.temperature === 0;
      const cachedTokens = repeatable ? 0 : held;
      await sequence.eraseContextTokenRanges([
        { start: cachedTokens, end: sequence.nextTokenIndex },
      ]);
      let evaluated = cachedTokens;
      while (prompt.length - evaluated > SLICE_TOKENS) {
        signal.throwIfAborted();
        const slice = prompt.slice(evaluated, evaluated + SLICE_TOKENS);
        await sequence.evaluateWithoutGeneratingNewTokens(slice);
        evaluated += slice.length;
      }
      signal.throwIfAborted();

      const answer: Token[] = [];
      const tokenText = createTokenText<Token>((tokens) => model.detokenize(tokens));
      const ends = grammar === undefined ? request.ends : [...request.ends, JSON_END];
      const stopFilter = createStopFilter([...request.stop, ...ends]);
      // Never beyond the context: the library would silently drop the beginning of the chat.
      const maxTokens = Math.min(request.maxTokens, settings.contextTokens - prompt.length);
      let finishReason: 'stop' | 'length' = 'stop';
      let stopSequence: string | undefined;
      const tokens = sequence.evaluate(prompt.slice(evaluated), {
        ...samplingOptions(request.sampling, answer, settings.contextTokens),
        ...(grammar === undefined ? {} : { grammarEvaluationState: await startOf(grammar) }),
      });
      for await (const token of tokens) {
        signal.throwIfAborted();
        answer.push(token);
        const shown = stopFilter.push(tokenText.push(token));
        if (shown.text !== '') onText(shown.text);
        if (shown.stop !== undefined) {
          stopSequence = ends.includes(shown.stop) ? undefined : shown.stop;
          break;
        }
        if (answer.length >= maxTokens) {
          finishReason = 'length';
          break;
        }
      }
      signal.throwIfAborted();
      const rest = stopFilter.end();
      if (rest !== '') onText(rest);
      return {
        finishReason,
        stopSequence,
        promptTokens: prompt.length,
        cachedTokens,
        completionTokens: answer.length,
      };
    } finally {
      free.push(sequence);
    }
  }

  async function startOf(grammar: LlamaGrammar) {
    const { LlamaGrammarEvaluationState } = await import('node-llama-cpp');
    return new LlamaGrammarEvaluationState({ model, grammar });
  }

  return {
    async prepare(request) {
      const prompt = await encode(request.messages);
      if (prompt.length >= settings.contextTokens) {
        throw new Refusal(
          400,
          'context_length_exceeded',
          `This model's context is ${settings.contextTokens} tokens, the answer included; ` +
            `the messages alone are ${prompt.length} tokens.`,
          { param: 'messages' },
        );
      }
      const grammar = await createGrammar(llama, request.grammar);
      return {
        promptTokens: prompt.length,
        async run(onText, signal) {
          const leave = await room.enter(signal);
          try {
            return await generate(request, prompt, grammar, onText, signal);
          } finally {
            leave();
          }
        },
      };
    },
    load: () => ({ busy: room.busy(), queued: room.waiting() }),
  };
}

async function createGrammar(
  llama: Llama,
  source: GrammarSource | undefined,
): Promise<LlamaGrammar | undefined> {
  if (source === undefined) return undefined;
  try {
    if (source.kind === 'any-json') return await llama.getGrammarFor('json');
    // json-schema.ts has checked it; the library's own union of types defeats the compiler.
    return await llama.createGrammarForJsonSchema(source.schema as GbnfJsonBasicSchema);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Refusal(400, 'invalid_json_schema', `No grammar for this schema: ${why}`, {
      param: 'response_format',
    });
  }
}

function samplingOptions(
  sampling: Sampling,
  answer: readonly Token[],
  contextTokens: number,
): SequenceEvaluateOptions {
  const { seed } = sampling;
  return {
    temperature: sampling.temperature,
    topP: sampling.topP,
    topK: sampling.topK,
    minP: sampling.minP,
    // Without one the library would start anew from the clock, every second.
    seed: seed === undefined ? Math.floor(Math.random() * SEEDS) : ((seed % SEEDS) + SEEDS) % SEEDS,
    repeatPenalty: {
      punishTokens: () => [...answer],
      maxPunishTokens: contextTokens,
      penalty: sampling.repetitionPenalty,
      presencePenalty: sampling.presencePenalty,
      frequencyPenalty: sampling.frequencyPenalty,
    },
  };
}
