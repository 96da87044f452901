// A server of its own for a fuzz, whose memory and store are looked at from outside.
import { execFileSync } from 'node:child_process';
import { jetstreamManager } from '@nats-io/jetstream';
import { startModelServer } from '../model-server/model-server.ts';
import { startNats } from '../support/processes/nats.ts';
import { natsUrl } from '../support/processes/tailrace.ts';
import { startTailraceProcess } from '../support/processes/tailrace-process.ts';

const MIB = 1024 * 1024;

export interface FuzzServer extends AsyncDisposable {
  readonly url: string;
  readonly log: readonly string[];
  readonly memoryMib: () => number;
  /** Start commands in the store: chats that were made. */
  readonly started: () => Promise<number>;
}

/** The api alone: nothing is run, so that what is stored is what was accepted. */
export async function startFuzzServer(): Promise<FuzzServer> {
  await using stack = new AsyncDisposableStack();
  const nats = stack.use(await startNats());
  const model = stack.use(await startModelServer());
  const api = stack.use(
    await startTailraceProcess({
      TAILRACE_NATS_URL: natsUrl(nats.access),
      TAILRACE_ROLES: 'api',
      OPENAI_BASE_URL: model.url,
    }),
  );
  const owned = stack.move();
  return {
    url: api.url,
    log: api.log,
    memoryMib: () => {
      const rss = execFileSync('ps', ['-o', 'rss=', '-p', String(api.pid)], { encoding: 'utf8' });
      return (Number(rss) * 1_024) / MIB;
    },
    started: async () => {
      const jsm = await jetstreamManager(await nats.bare());
      const { state } = await jsm.streams.info('COMMANDS', { subjects_filter: 'cmd.*.*.start.*' });
      return Object.keys(state.subjects ?? {}).length;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
