// Tailrace in the test's own process, wired as src/main wires it, on a nats-server that the test may
// look into from outside.
import { createDocumentReader } from '../../../src/documents/document-reader.ts';
import { listOf } from '../../../src/ops/address-ranges.ts';
import { createGuardedFetch } from '../../../src/tools/fetch/guarded-fetch.ts';
import { readConfig } from '../../../src/ops/config.ts';
import { startTailrace } from '../../../src/main/tailrace.ts';
import { startApi, type Api } from '../../../src/main/api.ts';
import type { NatsAdapter } from '../../../src/nats/adapter.ts';
import { UNTRACED } from '../../../src/chat/ports/span.ts';
import type { ModelClient } from '../../../src/chat/ports/model.ts';
import { NO_KEYS } from '../chats/chat-fixtures.ts';
import { handModel } from '../chats/hand-model.ts';
import { type NatsAccess, SILENT } from './nats.ts';
import { setUp } from '../needs.ts';
import { type RecordingLogger, recordingLogger } from '../chats/watch.ts';

export interface TestTailrace extends AsyncDisposable {
  readonly url: string;
  readonly logger: RecordingLogger;
}

export function natsUrl({ url, user, password }: NatsAccess): string {
  return url.replace('://', `://${user}:${password}@`);
}

export async function startTestTailrace(
  nats: NatsAccess,
  env: Readonly<Record<string, string>>,
): Promise<TestTailrace> {
  const logger = recordingLogger();
  const all = { TAILRACE_LISTEN: '127.0.0.1:0', TAILRACE_NATS_URL: natsUrl(nats), ...env };
  const tailrace = await startTailrace(readConfig(all), setUp(), logger, process.env);
  return {
    url: tailrace.url ?? '',
    logger,
    [Symbol.asyncDispose]: () => tailrace[Symbol.asyncDispose](),
  };
}

/** The api role alone, over ports that the test may have meddled with. */
export function startTestApi(
  nats: NatsAdapter,
  options: { readonly heartbeatMs?: number; readonly model?: ModelClient } = {},
): Promise<Api> {
  const { heartbeatMs = 15_000, model = handModel() } = options;
  const config = readConfig({
    TAILRACE_LISTEN: '127.0.0.1:0',
    TAILRACE_HEARTBEAT_MS: String(heartbeatMs),
    // The data folder is not its own: with this each api keeps its list in memory.
    TAILRACE_NATS_URL: 'nats://127.0.0.1:1',
  });
  // Nothing is read or fetched through it: it starts no process.
  const outside = {
    reader: createDocumentReader(SILENT),
    fetch: createGuardedFetch(listOf(config.fetchAllow)),
  };
  return startApi({
    config,
    nats,
    model,
    mcpServers: () => [],
    sealer: NO_KEYS,
    outside,
    pageFolder: undefined,
    tracer: UNTRACED,
    logger: SILENT,
  });
}
