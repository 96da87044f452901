// What the operator says of model servers and models, whatever it was read from.
import type {
  ModelCapabilities,
  ModelPrices,
  SamplingField,
  TokenizerName,
} from '../../chat/ports/model.ts';
import type { DefaultPrompt } from '../../chat/prompt/system-text.ts';
import type { DialectName } from '../dialects/dialects.ts';
import type { ThinkTags } from '../dialects/think-tags.ts';

export interface ServerSpec {
  readonly name: string;
  /** With its path, for example http://127.0.0.1:8000/v1. */
  readonly baseUrl: string;
  /** Undefined: no Authorization is sent. */
  readonly apiKey: string | undefined;
  /** Sent with every call, as gateways want them. */
  readonly headers: Readonly<Record<string, string>>;
  /** Undefined: by its address, or what its list of models says of itself. */
  readonly dialect: DialectName | undefined;
  /** Offers every model that it lists, under its own name. */
  readonly discover: boolean;
  /** The most calls at once, of all its models together; undefined: no bound. */
  readonly parallelCalls: number | undefined;
}

export interface ModelSpec {
  readonly name: string;
  readonly aliases: readonly string[];
  /** The server's name. */
  readonly server: string;
  /** The server's own name for it. */
  readonly upstreamModel: string;
  readonly can: Partial<ModelCapabilities>;
  /** How it marks reasoning within its text; false: not at all; undefined: as its server's dialect has it. */
  readonly thinkTags: ThinkTags | false | undefined;
  /** Its server takes a user's message with the images of tools' results behind them; undefined: if it sees images. */
  readonly toolImages: boolean | undefined;
  readonly contextTokens: number | undefined;
  readonly maxOutputTokens: number | undefined;
  /** For what a request does not set. */
  readonly defaults: SamplingDefaults;
  readonly prices: ModelPrices | undefined;
  /** The most calls at once; undefined: no bound but its server's. */
  readonly parallelCalls: number | undefined;
  readonly fallbacks: readonly string[];
  /** Undefined: by its name, where that is well known. */
  readonly tokenizer: TokenizerName | undefined;
}

export type SamplingDefaults = {
  readonly [field in SamplingField]?: number | readonly string[] | undefined;
};

/** The endpoint that turns texts into vectors, for search by meaning. */
export interface EmbeddingsSpec {
  /** The server's name. */
  readonly server: string;
  /** The server's own name for the model. */
  readonly model: string;
  /** Asked for and expected; undefined: what the model has. */
  readonly dimensions: number | undefined;
  /** Texts in one call. */
  readonly batchSize: number;
  /** One call with its tries. */
  readonly timeoutMs: number;
  /** What the model wants before each text of its kind; may be empty. */
  readonly queryPrefix: string;
  readonly passagePrefix: string;
}

export interface RegistrySpec {
  readonly servers: readonly ServerSpec[];
  readonly models: readonly ModelSpec[];
  /** Undefined: the first there is. */
  readonly defaultModel: string | undefined;
  readonly defaultPrompt?: DefaultPrompt | undefined;
  /** Undefined: there is none. */
  readonly embeddings?: EmbeddingsSpec | undefined;
}

/** One server, without a file: the given models, or all that it lists. */
export function oneServer(given: {
  readonly baseUrl: string;
  readonly apiKey?: string | undefined;
  readonly dialect?: DialectName | undefined;
  readonly models?: readonly string[] | undefined;
  readonly defaultModel?: string | undefined;
  readonly defaultPrompt?: DefaultPrompt | undefined;
}): RegistrySpec {
  const { baseUrl, apiKey, dialect, models = [], defaultModel, defaultPrompt } = given;
  const server = 'default';
  return {
    servers: [
      {
        name: server,
        baseUrl,
        apiKey,
        headers: {},
        dialect,
        discover: models.length === 0,
        parallelCalls: undefined,
      },
    ],
    models: models.map((name) => bareModel(name, server)),
    defaultModel,
    defaultPrompt,
  };
}

/** A model of which no more is known than its name. */
export function bareModel(name: string, server: string): ModelSpec {
  return {
    name,
    aliases: [],
    server,
    upstreamModel: name,
    can: {},
    thinkTags: undefined,
    toolImages: undefined,
    contextTokens: undefined,
    maxOutputTokens: undefined,
    defaults: {},
    prices: undefined,
    parallelCalls: undefined,
    fallbacks: [],
    tokenizer: undefined,
  };
}
