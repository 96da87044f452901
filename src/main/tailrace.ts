// src/main: the only place that knows everything. Here the parts are made, handed to each other and
// ended in the right order; nothing is decided here.
import type { Config } from '../ops/config.ts';
import { ConfigError } from '../ops/config.ts';
import { sealKeysIn } from '../ops/seal-keys-file.ts';
import { createSealing } from '../ops/sealing.ts';
import { readTracing } from '../ops/tracing-settings.ts';
import { openTracing } from '../ops/tracing.ts';
import type { WorkQueue } from '../chat/ports/commands.ts';
import type { Logger } from '../chat/ports/logger.ts';
import type { NatsAdapter } from '../nats/adapter.ts';
import { openNats } from '../nats/adapter.ts';
import { startEmbeddedNats } from '../nats/embedded/embedded-server.ts';
import { startControlLoop } from '../worker/control-loop.ts';
import { startWorker } from '../worker/worker.ts';
import { createAddressGuard } from '../tools/fetch/address-guard.ts';
import { createDatabaseEngine } from '../tools/databases/database-engine.ts';
import { toolOpener } from '../tools/open-tools.ts';
import { createDocumentReader } from '../documents/document-reader.ts';
import { listOf } from '../ops/address-ranges.ts';
import { createGuardedFetch } from '../tools/fetch/guarded-fetch.ts';
import { serverTools } from '../tools/server-tools.ts';
import { apartProcesses } from './apart/apart-processes.ts';
import type { Given } from './apart/apart-protocol.ts';
import { startApi } from './api.ts';
import { embedders } from './embedders.ts';
import type { SetupFindings } from './findings.ts';
import { givenMcpServers, openMcpServers } from './mcp-servers.ts';
import { givenModels, openModels } from './models.ts';

export interface Tailrace extends AsyncDisposable {
  /** As a URL; undefined without the api role. */
  readonly url: string | undefined;
  /** Reads the files of models, prompt and MCP servers again; what is wrong is logged, and the old ones stay. */
  readonly reload: () => Promise<void>;
}

const STILL_CONNECTING_MS = 5_000;

/** A process that runs chats apart: the worker that started it says what with. */
export interface Only {
  readonly queue: (work: WorkQueue) => WorkQueue;
  readonly given: Given;
}

export async function startTailrace(
  config: Config,
  findings: SetupFindings,
  logger: Logger,
  environment: Readonly<Record<string, string | undefined>>,
  only?: Only,
): Promise<Tailrace> {
  // Ended in reverse: first the port, then the worker, then what they stand on; their spans last.
  await using stack = new AsyncDisposableStack();
  const { tracer } = stack.use(await openTracing(readTracing(environment), logger));
  const mcpServers =
    only === undefined
      ? await openMcpServers(config, environment, logger)
      : givenMcpServers(only.given.mcpServers);
  const opening = openOwnNats(config, findings, logger, environment, stack);
  const modelling =
    only === undefined
      ? openModels(config, findings, logger, environment, stack)
      : givenModels(only.given.models, stack);
  const [{ nats, access }, models] = await Promise.all([opening, modelling]).catch(
    async (error: unknown) => {
      // A server of our own that is still starting must be there to be ended.
      if (config.nats === undefined) await Promise.allSettled([opening]);
      throw error;
    },
  );
  stack.use(nats);
  const sealKeys =
    config.nats === undefined
      ? await sealKeysIn(config.dataDir, config.sealKeys, logger)
      : config.sealKeys;
  const sealing = createSealing(sealKeys);
  const allowed = listOf(config.fetchAllow);
  const outside = {
    reader: stack.use(createDocumentReader(logger)),
    fetch: createGuardedFetch(allowed),
  };
  const control = startControlLoop({ ...nats, queue: nats.control, logger });
  stack.defer(() => control.stop());
  if (config.roles.has('worker')) {
    const own = { ...config, roles: WORKER_ALONE, workerSlots: 1, nats: access, sealKeys };
    const { embedder, close } = embedders(models.spec, tracer);
    stack.defer(close);
    const guard = createAddressGuard(allowed);
    const databases = stack.use(createDatabaseEngine({ guard, folders: config.sqliteFolders }));
    const mcp = () => ({ guard, own: mcpServers.current(), logger });
    const given = () => ({ models: models.spec(), mcpServers: mcpServers.current() });
    const worker = startWorker({
      log: nats.log,
      queue: only === undefined ? nats.work : only.queue(nats.work),
      slots: config.workerSlots,
      opener: sealing,
      apart: only === undefined ? apartProcesses(own, given, logger) : undefined,
      models: models.current,
      openTools: toolOpener(serverTools({ ...outside, embedder, databases }), mcp),
      tracer,
      logger,
    });
    stack.defer(() => worker.stop());
  }
  const api = config.roles.has('api')
    ? stack.use(
        await startApi({
          config,
          nats,
          model: models.client,
          mcpServers: mcpServers.current,
          sealer: sealing,
          outside,
          pageFolder: config.page ? findings.page : undefined,
          tracer,
          logger,
        }),
      )
    : undefined;
  const owned = stack.move();
  return {
    url: api?.url,
    reload: async () => {
      await Promise.all([models.reload(), mcpServers.reload()]);
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

const WORKER_ALONE: Config['roles'] = new Set(['worker']);

async function openOwnNats(
  config: Config,
  findings: SetupFindings,
  logger: Logger,
  environment: Readonly<Record<string, string | undefined>>,
  stack: AsyncDisposableStack,
): Promise<{ readonly nats: NatsAdapter; readonly access: NonNullable<Config['nats']> }> {
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
      const nats = await openNats({
        ...common,
        servers,
        store: { maxBytes, diskFreeBytes: undefined },
        ...(user === undefined ? {} : { user }),
        ...(password === undefined ? {} : { password }),
      });
      return { nats, access: config.nats };
    } finally {
      clearInterval(waiting);
    }
  }
  const program = config.natsServerProgram ?? findings.natsServer;
  if (program === undefined) {
    throw new ConfigError(
      'There is no nats-server program. `tailrace serve` fetches one where it can; or set TAILRACE_NATS_SERVER to one, or TAILRACE_NATS_URL to a running server.',
    );
  }
  const dataDir = config.dataDir;
  const sync = config.natsSync;
  // Whoever has the store is not to have its keys: neither has who looks into nats-server.
  const { TAILRACE_SEAL_KEYS: _, ...others } = environment;
  const embedded = await startEmbeddedNats({ program, dataDir, sync, logger, environment: others });
  stack.use(embedded);
  const { url, user, password, diskFreeBytes } = embedded;
  const access = { servers: [url], user, password };
  const store = { maxBytes, diskFreeBytes };
  return { nats: await openNats({ ...common, ...access, store }), access };
}
