// The operator's file of model servers and models, YAML or JSON. An error names the line, the path and
// what would be right; secrets are not in it, only the names of the variables that hold them.
import { z } from 'zod';
import { TOKENIZERS } from '../../chat/ports/model.ts';
import { type Fault, readOperatorFile } from '../../operator/operator-file.ts';
import { HEADER_VALUE, variable } from '../../operator/settings.ts';
import type { Path } from '../../operator/yaml-file.ts';
import { DIALECTS } from '../dialects/dialects.ts';
import { EMBEDDINGS_SETTINGS, embeddingsFaults, embeddingsOf } from './models-file-embeddings.ts';
import { PROMPT_SETTINGS, promptFaults, promptOf } from './models-file-prompt.ts';
import type { ModelSpec, RegistrySpec } from './registry-spec.ts';
import { tagsOf, ThinkingTags } from './think-tags-setting.ts';

const name = z
  .string()
  .regex(/^[\x21-\x7e]{1,256}$/, 'a name of 1 to 256 visible ASCII characters without spaces');
const count = z.int('a whole number').min(1, 'a whole number of at least 1').optional();
const price = z.number('a number').min(0, 'a number of at least 0');

/** Not those that say what we send and to whom. */
const HEADER_NAME =
  /^(?!(authorization|host|connection|accept|content-.*|transfer-encoding)$)[\w!#$%&'*+.^`|~-]+$/i;

const Server = z.strictObject({
  name,
  base_url: z
    .string()
    .refine(
      (text) => ['http:', 'https:'].includes(URL.parse(text)?.protocol ?? ''),
      'an http or https address, for example http://127.0.0.1:8000/v1',
    ),
  api_key_env: variable.optional(),
  headers: z
    .record(
      z.string().regex(HEADER_NAME, 'the name of a header; the key stands in api_key_env'),
      HEADER_VALUE,
    )
    .prefault({}),
  dialect: z.enum(DIALECTS).optional(),
  discover: z.boolean('true or false').prefault(false),
  parallel_calls: count,
});

const can = z.boolean('true or false').optional();

/** The ranges of the contract (chat_request.proto). */
const Sampling = z.strictObject({
  seed: z.int().optional(),
  min_p: z.number().min(0).max(1).optional(),
  top_p: z.number().min(0).max(1).optional(),
  temperature: z.number().min(0).max(2).optional(),
  top_k: z.int().min(0).optional(),
  repetition_penalty: z.number().gt(0).optional(),
  presence_penalty: z.number().min(-2).max(2).optional(),
  frequency_penalty: z.number().min(-2).max(2).optional(),
  max_tokens: z.int().min(1).optional(),
  stop: z.array(z.string().min(1).max(256)).max(16).optional(),
});

const Model = z.strictObject({
  name,
  aliases: z.array(name).prefault([]),
  server: name,
  upstream_model: name.optional(),
  can: z
    .strictObject({
      tools: can,
      parallel_tools: can,
      json_schema: can,
      reasoning: can,
      images: can,
      documents: can,
    })
    .prefault({}),
  thinking_tags: ThinkingTags.optional(),
  tool_images: can,
  context_tokens: count,
  max_output_tokens: count,
  parallel_calls: count,
  defaults: Sampling.prefault({}),
  prices: z
    .strictObject({
      currency: z.string().regex(/^[A-Z]{3}$/, 'a currency of three capital letters, such as USD'),
      input: price,
      cached_input: price.optional(),
      output: price,
    })
    .optional(),
  fallbacks: z.array(name).prefault([]),
  tokenizer: z.enum(TOKENIZERS).optional(),
});

const ModelsFile = z.strictObject({
  servers: z.array(Server).min(1, 'at least one server'),
  models: z.array(Model).prefault([]),
  default_model: name.optional(),
  ...PROMPT_SETTINGS,
  ...EMBEDDINGS_SETTINGS,
});

/** Throws an OperatorFileError that names every fault. */
export function readModelsFile(
  fileName: string,
  text: string,
  env: Readonly<Record<string, string | undefined>>,
): RegistrySpec {
  const file = readOperatorFile(fileName, text, ModelsFile, (read) => faultsAcross(read, env));
  return specOf(file, env);
}

/** What only fails together. */
function faultsAcross(
  file: z.infer<typeof ModelsFile>,
  env: Readonly<Record<string, string | undefined>>,
): Fault[] {
  const faults: Fault[] = [];
  const servers = new Set<string>();
  for (const [i, server] of file.servers.entries()) {
    const path = ['servers', i];
    if (servers.has(server.name)) {
      faults.push({ path: [...path, 'name'], wanted: `is "${server.name}", as another server's` });
    }
    servers.add(server.name);
    for (const [at, variable] of variablesOf(server)) {
      if ((env[variable] ?? '') !== '') continue;
      const wanted = `is "${variable}", and that environment variable is not set`;
      faults.push({ path: [...path, ...at], wanted });
    }
  }
  const discovers = file.servers.some(({ discover }) => discover);
  if (file.models.length === 0 && !discovers) {
    const wanted = 'is empty, and no server has "discover: true": there would be no model';
    faults.push({ path: ['models'], wanted });
  }
  const names = new Set<string>();
  for (const [i, model] of file.models.entries()) {
    const path = ['models', i];
    for (const [at, each] of [model.name, ...model.aliases].entries()) {
      const where = at === 0 ? [...path, 'name'] : [...path, 'aliases', at - 1];
      if (names.has(each)) {
        faults.push({ path: where, wanted: `is "${each}", which another model is called too` });
      }
      names.add(each);
    }
    if (!servers.has(model.server)) {
      const wanted = `is "${model.server}"; the servers are: ${[...servers].join(', ')}`;
      faults.push({ path: [...path, 'server'], wanted });
    }
  }
  const currency = file.models.find(({ prices }) => prices !== undefined)?.prices?.currency;
  for (const [i, { prices }] of file.models.entries()) {
    if (prices === undefined || prices.currency === currency) continue;
    const wanted = `is "${prices.currency}", and another model's is "${currency}": the costs of one chat could not be summed`;
    faults.push({ path: ['models', i, 'prices', 'currency'], wanted });
  }
  const own = new Set(file.models.map((model) => model.name));
  for (const [i, model] of file.models.entries()) {
    for (const [at, fallback] of model.fallbacks.entries()) {
      const path = ['models', i, 'fallbacks', at];
      if (fallback === model.name) faults.push({ path, wanted: 'is the model itself' });
      else if (!own.has(fallback)) {
        faults.push({ path, wanted: `is "${fallback}"; the models are: ${[...own].join(', ')}` });
      }
    }
  }
  const wanted = file.default_model;
  // A server that is discovered may have it.
  if (wanted !== undefined && !own.has(wanted) && !discovers) {
    const words = `is "${wanted}"; the models are: ${[...own].join(', ')}`;
    faults.push({ path: ['default_model'], wanted: words });
  }
  return [...faults, ...promptFaults(file), ...embeddingsFaults(file, servers)];
}

/** The environment variables that a server's settings name, each with where it stands. */
function variablesOf({
  api_key_env,
  headers,
}: z.infer<typeof Server>): (readonly [Path, string])[] {
  const found: (readonly [Path, string])[] = [];
  if (api_key_env !== undefined) found.push([['api_key_env'], api_key_env]);
  for (const [header, value] of Object.entries(headers)) {
    if (typeof value !== 'string') found.push([['headers', header, 'env'], value.env]);
  }
  return found;
}

function specOf(
  file: z.infer<typeof ModelsFile>,
  env: Readonly<Record<string, string | undefined>>,
): RegistrySpec {
  return {
    servers: file.servers.map(({ name, base_url, api_key_env, headers, dialect, ...rest }) => ({
      name,
      baseUrl: base_url,
      apiKey: api_key_env === undefined ? undefined : env[api_key_env],
      headers: Object.fromEntries(
        Object.entries(headers).map(([header, value]) => [
          header,
          typeof value === 'string' ? value : (env[value.env] ?? ''),
        ]),
      ),
      dialect,
      discover: rest.discover,
      parallelCalls: rest.parallel_calls,
    })),
    models: file.models.map((model): ModelSpec => {
      const { can, prices } = model;
      return {
        name: model.name,
        aliases: model.aliases,
        server: model.server,
        upstreamModel: model.upstream_model ?? model.name,
        can: {
          tools: can.tools,
          parallelTools: can.parallel_tools,
          jsonSchema: can.json_schema,
          reasoning: can.reasoning,
          images: can.images,
          documents: can.documents,
        },
        thinkTags: tagsOf(model.thinking_tags),
        toolImages: model.tool_images,
        contextTokens: model.context_tokens,
        maxOutputTokens: model.max_output_tokens,
        defaults: model.defaults,
        prices: prices && { ...prices, cachedInput: prices.cached_input },
        parallelCalls: model.parallel_calls,
        fallbacks: model.fallbacks,
        tokenizer: model.tokenizer,
      };
    }),
    defaultModel: file.default_model,
    defaultPrompt: promptOf(file),
    embeddings: embeddingsOf(file),
  };
}
