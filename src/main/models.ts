// Which models there are: by the operator's file, by one server's address, or the embedded one.
import { readFile } from 'node:fs/promises';
import type { Logger } from '../chat/ports/logger.ts';
import type { ModelClient } from '../chat/ports/model.ts';
import { parseTemplate } from '../chat/prompt/prompt-template.ts';
import type { DefaultPrompt } from '../chat/prompt/system-text.ts';
import { startEmbeddedModel } from '../model/embedded/embedded-model.ts';
import { readModelsFile } from '../model/settings/models-file.ts';
import { OperatorFileError } from '../operator/operator-file.ts';
import { createAdmission } from '../model/calls/admission.ts';
import { retryPolicyOf } from '../model/calls/openai-client.ts';
import { createRegistry } from '../model/registry.ts';
import type { RegistrySpec } from '../model/settings/registry-spec.ts';
import { oneServer } from '../model/settings/registry-spec.ts';
import type { Config } from '../ops/config.ts';
import { ConfigError } from '../ops/config.ts';
import type { SetupFindings } from './findings.ts';

export interface Models {
  /** Whatever they are when it is asked. */
  readonly client: ModelClient;
  /** What there is now; enough for another process on this machine. */
  readonly spec: () => RegistrySpec;
  /** As they are now: what a run keeps to. */
  readonly current: () => ModelClient;
  /** Reads the files again; a run goes on with what it began with. Never rejects. */
  readonly reload: () => Promise<void>;
}

type Environment = Readonly<Record<string, string | undefined>>;

export async function openModels(
  config: Config,
  findings: SetupFindings,
  logger: Logger,
  environment: Environment,
  stack: AsyncDisposableStack,
): Promise<Models> {
  let embedded: Promise<string> | undefined;
  const read = (): Promise<RegistrySpec> =>
    specOf(
      config,
      () => (embedded ??= embeddedModel(config, findings, logger, stack)),
      environment,
    );
  // Calls that are under way count, whichever file they began with.
  const admission = createAdmission(retryPolicyOf({}));
  let spec = await read();
  let registry = createRegistry(spec, {}, admission);
  stack.defer(() => registry.close());
  const files = [config.modelsFile, config.defaultPromptFile].filter((file) => file !== undefined);
  let reading = Promise.resolve();
  const reload = async (): Promise<void> => {
    if (files.length === 0) {
      logger.info(
        {},
        'there is no file of models and no file of a default prompt, so nothing was read again',
      );
      return;
    }
    try {
      spec = await read();
      const next = createRegistry(spec, {}, admission);
      registry.close();
      registry = next;
      admission.forgetHoldBacks();
      logger.info({ files }, 'the files of models and prompt were read again');
    } catch (error) {
      logger.error(
        { err: error },
        'the files of models and prompt cannot be used; what was read before stays',
      );
    }
  };
  return {
    client: {
      listModels: (signal) => registry.listModels(signal),
      generate: (call, sink, signal) => registry.generate(call, sink, signal),
    },
    spec: () => spec,
    current: () => registry,
    reload: () => {
      // One after the other, so that the newest file is the one that counts.
      reading = reading.then(reload);
      return reading;
    },
  };
}

/** Those that another process of this machine has read. */
export function givenModels(spec: RegistrySpec, stack: AsyncDisposableStack): Models {
  const client = createRegistry(spec);
  stack.defer(() => client.close());
  return { client, spec: () => spec, current: () => client, reload: () => Promise.resolve() };
}

async function specOf(
  config: Config,
  embedded: () => Promise<string>,
  environment: Environment,
): Promise<RegistrySpec> {
  const { models, defaultModel, modelsFile, modelServer } = config;
  if (modelsFile !== undefined) return specInFiles(config, environment);
  const defaultPrompt = await promptInFile(config);
  const common = { models, defaultModel, defaultPrompt };
  // An embedded model that is there already serves on: only the prompt is read again.
  if (modelServer !== undefined) return oneServer({ ...modelServer, ...common });
  return oneServer({ baseUrl: await embedded(), dialect: 'embedded', ...common });
}

/** What the operator's files say. Rejects with a ConfigError that names the file and the line. */
export async function specInFiles(
  config: Pick<Config, 'modelsFile' | 'defaultPromptFile'>,
  environment: Environment,
): Promise<RegistrySpec> {
  const { modelsFile = '', defaultPromptFile } = config;
  const spec = await specInFile(modelsFile, environment);
  if (defaultPromptFile === undefined) return spec;
  if (spec.defaultPrompt !== undefined) {
    throw new ConfigError(
      `TAILRACE_DEFAULT_PROMPT_FILE is "${defaultPromptFile}", and ${modelsFile} has a default_prompt: set the one or the other.`,
    );
  }
  return { ...spec, defaultPrompt: await promptInFile(config) };
}

/** Rejects with a ConfigError that names the file and the line. */
export async function promptInFile({
  defaultPromptFile: name,
}: Pick<Config, 'defaultPromptFile'>): Promise<DefaultPrompt | undefined> {
  if (name === undefined) return undefined;
  let text: string;
  try {
    text = await readFile(name, 'utf8');
  } catch (cause) {
    throw unreadable('TAILRACE_DEFAULT_PROMPT_FILE', name, cause);
  }
  const parsed = parseTemplate(text);
  if ('faults' in parsed) {
    throw new ConfigError(
      parsed.faults.map(({ line, message }) => `${name}:${line}: ${message}`).join('\n'),
    );
  }
  return { template: parsed.template, used: true, guidelines: new Map() };
}

/** Rejects with a ConfigError that names the file, and the line where it is the text. */
async function specInFile(name: string, environment: Environment): Promise<RegistrySpec> {
  try {
    return readModelsFile(name, await readFile(name, 'utf8'), environment);
  } catch (cause) {
    if (cause instanceof OperatorFileError) throw new ConfigError(cause.message);
    throw unreadable('TAILRACE_MODELS_FILE', name, cause);
  }
}

function unreadable(variable: string, name: string, cause: unknown): ConfigError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new ConfigError(`${variable} is "${name}", and it cannot be read: ${why}.`);
}

/** Of a configuration without a model server. Throws a ConfigError. */
export function checkEmbedded({ roles }: Pick<Config, 'roles'>): void {
  if (roles.has('worker')) return;
  throw new ConfigError(
    'The embedded model serves a process with the role worker. Set OPENAI_BASE_URL or OPENAI_API_KEY to the model server that your workers use, or TAILRACE_MODELS_FILE, so that this api can list its models.',
  );
}

/** Its address. */
async function embeddedModel(
  config: Config,
  findings: SetupFindings,
  logger: Logger,
  stack: AsyncDisposableStack,
): Promise<string> {
  checkEmbedded(config);
  if (findings.model === undefined) {
    throw new ConfigError(
      'No model server is configured and the embedded model is not set up. `tailrace serve` fetches it where it can; or set OPENAI_BASE_URL, OPENAI_API_KEY or TAILRACE_MODELS_FILE.',
    );
  }
  const embedded = await startEmbeddedModel({
    modelPath: findings.model,
    enginePath: findings.engine,
    onEvent: (event) => {
      if (event.kind === 'exited' || event.kind === 'restart_failed') {
        logger.error(event, 'the embedded model died; it is started again');
      } else {
        logger.debug(event, 'embedded model');
      }
    },
  });
  stack.use(embedded);
  return embedded.baseUrl;
}
