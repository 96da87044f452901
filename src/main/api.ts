// The api role: the hub of observers, the rpcs and the port.
import { join } from 'node:path';
import type { Logger } from '../chat/ports/logger.ts';
import type { ModelClient } from '../chat/ports/model.ts';
import { SHUTDOWN_GRACE_MS } from '../chat/limits.ts';
import type { Sealer } from '../chat/ports/sealing.ts';
import type { Tracer } from '../chat/ports/span.ts';
import { MEMORY, openList } from '../list/sqlite-list.ts';
import { createTokenCounter } from '../model/tokens/token-counter.ts';
import type { NatsAdapter } from '../nats/adapter.ts';
import { type Config, ConfigError } from '../ops/config.ts';
import type { Tenants } from '../rpc/edge/auth.ts';
import { ONE_TENANT, tenantsByToken } from '../rpc/edge/auth.ts';
import { chatStreamHandlers } from '../rpc/chat-stream-service.ts';
import { createHttpHandler, type HttpHandlerOptions } from '../rpc/http-handler.ts';
import { listen } from '../rpc/edge/listener.ts';
import { createObserveHub } from '../rpc/observe/observe-hub.ts';
import { type Page, readPage } from '../rpc/edge/page.ts';
import { openTokensFile } from '../rpc/edge/tokens-file.ts';
import { databaseChecker } from '../tools/databases/database-checks.ts';
import { createDocumentFetcher } from '../tools/fetch/document-fetcher.ts';
import { namesFor, type OwnMcpServer } from '../tools/mcp/own-servers.ts';
import type { WebFetchParts } from '../tools/fetch/web-fetch.ts';
import { startSweep } from '../worker/sweep.ts';
import { warmUp } from './warm-up.ts';

export interface Api extends AsyncDisposable {
  readonly url: string;
}

export async function startApi(parts: {
  readonly config: Config;
  readonly nats: NatsAdapter;
  readonly model: ModelClient;
  /** The operator's own. */
  readonly mcpServers: () => readonly OwnMcpServer[];
  readonly sealer: Sealer;
  readonly outside: WebFetchParts;
  /** Undefined: no page. */
  readonly pageFolder: string | undefined;
  readonly tracer: Tracer;
  readonly logger: Logger;
}): Promise<Api> {
  const { config, nats, model, mcpServers, sealer, outside, pageFolder, tracer, logger } = parts;
  await using stack = new AsyncDisposableStack();
  const tenants = await openTenants(config, logger, stack);
  // The folder is this process's alone only with the embedded server, which locks it.
  const file = config.nats === undefined ? join(config.dataDir, 'list.sqlite') : MEMORY;
  const list = stack.use(await openList(file, nats.changes, logger));
  const sweep = startSweep({ ...nats, list, logger });
  stack.defer(() => sweep.stop());
  const hub = createObserveHub({
    ...nats,
    list,
    onControl: nats.control.onControl,
    logger,
    heartbeatMs: config.heartbeatMs,
  });
  stack.defer(() => hub.close());
  const tokens = stack.use(createTokenCounter(logger));
  const stopping = new AbortController();
  let draining = false;
  const changed = new Set<() => void>();
  const tellChange = (): void => {
    for (const listener of changed) listener();
  };
  stack.defer(nats.onConnectedChange(tellChange));
  const edge: HttpHandlerOptions = {
    handlers: chatStreamHandlers({
      ...nats,
      list,
      hub,
      model,
      ownMcpServers: (tenant) => namesFor(mcpServers(), tenant),
      logger,
      documents: { reader: outside.reader, fetcher: createDocumentFetcher(outside.fetch) },
      checkDatabase: databaseChecker(config.sqliteFolders),
      tokens,
      sealer,
      maxRequestBytes: nats.maxRequestBytes,
    }),
    observe: hub.observe,
    tenants,
    tracer,
    serving: {
      current: () => nats.connected() && !draining,
      subscribe: (listener) => {
        changed.add(listener);
        return () => changed.delete(listener);
      },
    },
    corsOrigins: config.corsOrigins,
    onRefusedOrigin: (origin) =>
      logger.warn(
        { origin },
        'a page of this origin may not call: it is not in TAILRACE_CORS_ORIGINS',
      ),
    page: pageFolder === undefined ? undefined : await openPage(pageFolder, logger),
    logError: (error, rpc) => logger.error({ rpc, err: error }, 'a call failed'),
    shutdownSignal: stopping.signal,
  };
  const handler = createHttpHandler(edge);
  const { host, port } = config.listen;
  const logError = (error: unknown): void => logger.error({ err: error }, 'the port failed');
  await warmUp(edge, logError);
  const listener = await listen({ host, port, handler, logError }).catch((cause: unknown) => {
    throw cannotListen(config, cause);
  });
  stack.defer(async () => {
    // Watchers of health hear of it before their calls are ended; observers are told to come again,
    // and what runs may end.
    draining = true;
    tellChange();
    await new Promise((resolve) => setImmediate(resolve));
    const closed = listener.close(SHUTDOWN_GRACE_MS);
    stopping.abort();
    await closed;
  });
  const owned = stack.move();
  return { url: listener.url, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** The rpcs are what matters: without its page the server serves all the same. */
async function openPage(folder: string, logger: Logger): Promise<Page | undefined> {
  try {
    return await readPage(folder);
  } catch (err) {
    logger.warn({ folder, err }, 'there is no page at /: npm run setup makes it');
    return undefined;
  }
}

async function openTenants(
  config: Config,
  logger: Logger,
  stack: AsyncDisposableStack,
): Promise<Tenants> {
  if (config.tokensFile === undefined) return ONE_TENANT;
  const name = config.tokensFile;
  const file = await openTokensFile(name, (error) => {
    logger.error({ err: error }, 'the tokens file cannot be used');
  }).catch((cause: unknown) => {
    throw new ConfigError(
      `TAILRACE_TOKENS_FILE is "${name}", and it cannot be used: ${textOf(cause)}. It must be a file with a line "<tenant> <sha256-hex of the token>" for each token; tailrace token <tenant> makes one.`,
    );
  });
  stack.use(file);
  return tenantsByToken(() => file.rows());
}

const LISTEN_REMEDY: Readonly<Record<string, string>> = {
  EADDRINUSE:
    'another program listens there already. Stop it, or give another port; 0 picks a free one',
  EADDRNOTAVAIL: 'this machine has no such address. 127.0.0.1 is always there',
  EACCES: 'this user may not listen there. Ports from 1024 on are open to everyone',
  ENOTFOUND: 'there is no such host. 127.0.0.1 is always there',
};

function cannotListen(config: Config, cause: unknown): ConfigError {
  const { host, port } = config.listen;
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  const why = LISTEN_REMEDY[code] ?? textOf(cause);
  return new ConfigError(`TAILRACE_LISTEN is "${host}:${port}", and ${why}.`);
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
