// A real nats-server for a test, on a free port and a store of its own; gone with `await using`.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NatsConnection } from '@nats-io/transport-node';
import { connect } from '@nats-io/transport-node';
import { EMBEDDED_NATS_SYNC_MS } from '../../../src/chat/limits.ts';
import type { Logger } from '../../../src/chat/ports/logger.ts';
import type { NatsAdapter } from '../../../src/nats/adapter.ts';
import { openNats } from '../../../src/nats/adapter.ts';
import type { EmbeddedNats } from '../../../src/nats/embedded/embedded-server.ts';
import { startEmbeddedNats } from '../../../src/nats/embedded/embedded-server.ts';
import type { StoreLimits } from '../../../src/nats/store-gauge.ts';
import { removeWithUs, watchFolders } from './left-behind.ts';
import { setUp } from '../needs.ts';
import { HANGS_MS } from '../until.ts';

export const SILENT: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

export interface TestNats extends AsyncDisposable {
  readonly server: EmbeddedNats;
  readonly dataDir: string;
  readonly access: NatsAccess;
  /** Another connected process, as far as NATS can tell. Closed by the caller. */
  readonly open: (name?: string, url?: string) => Promise<NatsAdapter>;
  /** A bare connection, to look at the wire from outside. Closed with the server. */
  readonly bare: () => Promise<NatsConnection>;
}

export interface NatsAccess {
  readonly url: string;
  readonly user: string;
  readonly password: string;
}

export function natsServerProgram(): string {
  const program = setUp().natsServer;
  if (program === undefined) throw new Error('There is no nats-server: run npm run setup.');
  return program;
}

export function temporaryFolder(): {
  readonly path: string;
  readonly [Symbol.dispose]: () => void;
} {
  const path = mkdtempSync(join(tmpdir(), 'tailrace-test-'));
  const removed = removeWithUs(path);
  return {
    path,
    [Symbol.dispose]: () => {
      rmSync(path, { recursive: true, force: true, maxRetries: 3 });
      removed();
    },
  };
}

export function embeddedNats(dataDir: string, logger: Logger = SILENT): Promise<EmbeddedNats> {
  watchFolders();
  return startEmbeddedNats({
    program: natsServerProgram(),
    dataDir,
    sync: EMBEDDED_NATS_SYNC_MS,
    logger,
    environment: process.env,
  });
}

export function openAdapter(
  access: NatsAccess,
  name: string,
  url = access.url,
  options: { readonly store?: Partial<StoreLimits>; readonly logger?: Logger } = {},
): Promise<NatsAdapter> {
  const { user, password } = access;
  const store = { maxBytes: undefined, diskFreeBytes: undefined, ...options.store };
  const { logger = SILENT } = options;
  return openNats({ servers: [url], user, password, name, replicas: 1, store, logger });
}

/** Where a test does not say how long it waits for an answer, as long as for all else; by itself it is a second. */
export function patient(nc: NatsConnection): NatsConnection {
  const ask = nc.request.bind(nc);
  nc.request = (subject, payload, options = { timeout: HANGS_MS }) =>
    ask(subject, payload, options);
  return nc;
}

export async function startNats(): Promise<TestNats> {
  const folder = temporaryFolder();
  const server = await embeddedNats(folder.path);
  const { url, user, password } = server;
  const access = { url, user, password };
  const bare: NatsConnection[] = [];
  return {
    server,
    dataDir: folder.path,
    access,
    open: (name = 'test', at = url) => openAdapter(access, name, at),
    bare: async () => {
      const nc = patient(await connect({ servers: [url], user, pass: password }));
      bare.push(nc);
      return nc;
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(bare.map((nc) => nc.close()));
      await server[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}
