// Which models there are: by the operator's file, by one server's address, or the embedded one.
import { readFile } from 'node:fs/promises';
import type { Logger } from '../chat/logger.ts';
import type { ModelClient } from '../chat/model-port.ts';
import { startEmbeddedModel } from '../model/embedded/embedded-model.ts';
import { ModelsFileError, readModelsFile } from '../model/models-file.ts';
import { createRegistry } from '../model/registry.ts';
import type { RegistrySpec } from '../model/registry-spec.ts';
import { oneServer } from '../model/registry-spec.ts';
import type { Config } from '../ops/config.ts';
import { ConfigError } from '../ops/config.ts';
import type { SetupFindings } from './findings.ts';

export interface Models {
  readonly client: ModelClient;
  /** What there is now; enough for another process on this machine. */
  readonly spec: () => RegistrySpec;
  /** Reads the file again; chats that run go on with what they began with. */
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
  const read = (): Promise<RegistrySpec> => specOf(config, findings, logger, environment, stack);
  let spec = await read();
  let registry = createRegistry(spec);
  stack.defer(() => registry.close());
  const { modelsFile } = config;
  return {
    client: {
      listModels: (signal) => registry.listModels(signal),
      generate: (call, sink, signal) => registry.generate(call, sink, signal),
    },
    spec: () => spec,
    reload: async () => {
      if (modelsFile === undefined) {
        logger.info({}, 'there is no TAILRACE_MODELS_FILE, so nothing was read again');
        return;
      }
      try {
        spec = await read();
        const next = createRegistry(spec);
        registry.close();
        registry = next;
        logger.info({ file: modelsFile }, 'the file of models was read again');
      } catch (error) {
        if (!(error instanceof ConfigError)) throw error;
        logger.error({ err: error }, 'the file of models cannot be used; the old one stays');
      }
    },
  };
}

/** Those that another process of this machine has read. */
export function givenModels(spec: RegistrySpec, stack: AsyncDisposableStack): Models {
  const client = createRegistry(spec);
  stack.defer(() => client.close());
  return { client, spec: () => spec, reload: () => Promise.resolve() };
}

async function specOf(
  config: Config,
  findings: SetupFindings,
  logger: Logger,
  environment: Environment,
  stack: AsyncDisposableStack,
): Promise<RegistrySpec> {
  const { models, defaultModel, modelsFile, modelServer } = config;
  if (modelsFile !== undefined) return specInFile(modelsFile, environment);
  if (modelServer !== undefined) return oneServer({ ...modelServer, models, defaultModel });
  const baseUrl = await embeddedModel(config, findings, logger, stack);
  return oneServer({ baseUrl, dialect: 'embedded', models, defaultModel });
}

/** Rejects with a ConfigError that names the file, and the line where it is the text. */
export async function specInFile(name: string, environment: Environment): Promise<RegistrySpec> {
  try {
    return readModelsFile(name, await readFile(name, 'utf8'), environment);
  } catch (cause) {
    if (cause instanceof ModelsFileError) throw new ConfigError(cause.message);
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ConfigError(`TAILRACE_MODELS_FILE is "${name}", and it cannot be read: ${why}.`);
  }
}

/** Its address. */
async function embeddedModel(
  config: Config,
  findings: SetupFindings,
  logger: Logger,
  stack: AsyncDisposableStack,
): Promise<string> {
  if (!config.roles.has('worker')) {
    throw new ConfigError(
      'The embedded model serves a process with the role worker. Set OPENAI_BASE_URL or OPENAI_API_KEY to the model server that your workers use, or TAILRACE_MODELS_FILE, so that this api can list its models.',
    );
  }
  if (findings.model === undefined) {
    throw new ConfigError(
      'No model server is configured and the embedded model is not set up. Run "npm run setup", or set OPENAI_BASE_URL, OPENAI_API_KEY or TAILRACE_MODELS_FILE.',
    );
  }
  const embedded = await startEmbeddedModel({
    modelPath: findings.model,
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
