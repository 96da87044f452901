// src/main: the only place that knows everything. Here the parts are made, handed to each other and
// ended in the right order; nothing is decided here.
import type { Config } from '../ops/config.ts';
import { ConfigError } from '../ops/config.ts';
import type { Logger } from '../chat/logger.ts';
import type { ModelClient } from '../chat/model-port.ts';
import { RUN_TIMEOUT_MS } from '../chat/limits.ts';
import { startEmbeddedModel } from '../model/embedded/embedded-model.ts';
import { createModelClient } from '../model/openai-client.ts';
import type { NatsAdapter } from '../nats/adapter.ts';
import { openNats } from '../nats/adapter.ts';
import { startEmbeddedNats } from '../nats/embedded-server.ts';
import { startControlLoop } from '../worker/control-loop.ts';
import { startWorker } from '../worker/worker.ts';
import { startApi } from './api.ts';
import type { SetupFindings } from './findings.ts';

export interface Tailrace extends AsyncDisposable {
  /** As a URL; undefined without the api role. */
  readonly url: string | undefined;
}

const STILL_CONNECTING_MS = 5_000;

export async function startTailrace(
  config: Config,
  findings: SetupFindings,
  logger: Logger,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<Tailrace> {
  // Ended in reverse: first the port, then the worker, then what they stand on.
  await using stack = new AsyncDisposableStack();
  const [nats, model] = await Promise.all([
    openOwnNats(config, findings, logger, environment, stack),
    openModel(config, findings, logger, stack),
  ]);
  stack.use(nats);
  const control = startControlLoop({ ...nats, queue: nats.control, logger });
  stack.defer(() => control.stop());
  if (config.roles.has('worker')) {
    const worker = startWorker({
      log: nats.log,
      queue: nats.work,
      slots: config.workerSlots,
      model,
      logger,
      runTimeoutMs: RUN_TIMEOUT_MS,
    });
    stack.defer(() => worker.stop());
  }
  const api = config.roles.has('api')
    ? stack.use(await startApi({ config, nats, model, logger }))
    : undefined;
  const owned = stack.move();
  return { url: api?.url, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

async function openOwnNats(
  config: Config,
  findings: SetupFindings,
  logger: Logger,
  environment: Readonly<Record<string, string | undefined>>,
  stack: AsyncDisposableStack,
): Promise<NatsAdapter> {
  const common = { name: 'tailrace', replicas: config.natsReplicas, logger };
  const maxBytes = config.storeMaxBytes;
  if (config.nats !== undefined) {
    const { servers, user, password } = config.nats;
    logger.info({ servers }, 'connecting to NATS');
    // It may come up after this process; what is waited for is said as long as it lasts.
    const waiting = setInterval(() => {
      logger.warn(
        { servers },
        'NATS does not answer, refuses the user and password of TAILRACE_NATS_URL, or has no JetStream leader yet; trying on',
      );
    }, STILL_CONNECTING_MS);
    try {
      return await openNats({
        ...common,
        servers,
        store: { maxBytes, diskFreeBytes: undefined },
        ...(user === undefined ? {} : { user }),
        ...(password === undefined ? {} : { password }),
      });
    } finally {
      clearInterval(waiting);
    }
  }
  const program = config.natsServerProgram ?? findings.natsServer;
  if (program === undefined) {
    throw new ConfigError(
      'There is no nats-server program. Run "npm run setup", which gets one; or set TAILRACE_NATS_SERVER to one, or TAILRACE_NATS_URL to a running server.',
    );
  }
  const dataDir = config.dataDir;
  const sync = config.natsSync;
  const embedded = await startEmbeddedNats({ program, dataDir, sync, logger, environment });
  stack.use(embedded);
  const { url, user, password, diskFreeBytes } = embedded;
  const store = { maxBytes, diskFreeBytes };
  return openNats({ ...common, servers: [url], user, password, store });
}

async function openModel(
  config: Config,
  findings: SetupFindings,
  logger: Logger,
  stack: AsyncDisposableStack,
): Promise<ModelClient> {
  const { models, defaultModel } = config;
  if (config.modelServer !== undefined) {
    const { baseUrl, apiKey } = config.modelServer;
    const client = createModelClient({ baseUrl, apiKey, models, defaultModel });
    stack.defer(() => client.close());
    return client;
  }
  if (!config.roles.has('worker')) {
    throw new ConfigError(
      'The embedded model serves a process with the role worker. Set OPENAI_BASE_URL or OPENAI_API_KEY to the model server that your workers use, so that this api can list its models.',
    );
  }
  if (findings.model === undefined) {
    throw new ConfigError(
      'No model server is configured and the embedded model is not set up. Run "npm run setup", or set OPENAI_BASE_URL or OPENAI_API_KEY.',
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
  const client = createModelClient({ baseUrl: embedded.baseUrl, models, defaultModel });
  stack.defer(() => client.close());
  return client;
}
