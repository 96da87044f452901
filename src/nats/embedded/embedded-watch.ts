// Looks after the embedded server's store. nats-server takes one failed write for final: it answers no
// write any more, also when its disk has room again, until it is started anew. Nothing that it
// acknowledged is lost by that.
import type { NatsConnection } from '@nats-io/transport-node';
import { connect } from '@nats-io/transport-node';
import { statfs } from 'node:fs/promises';
import { z } from 'zod';
import { NATS_REQUEST_MS, STORE_LOOK_EVERY_MS } from '../../chat/limits.ts';
import type { Logger } from '../../chat/ports/logger.ts';
import { reserveBytes } from '../../chat/log/store-room.ts';

export interface StoreWatch {
  readonly stop: () => Promise<void>;
}

const Health = z.object({ data: z.object({ status: z.string(), error: z.string().optional() }) });

export async function watchStore(options: {
  readonly url: string;
  /** Of the server's system account. */
  readonly user: string;
  readonly password: string;
  readonly dataDir: string;
  readonly logger: Logger;
  /** Ends the server, which is then started again. */
  readonly restart: () => void;
}): Promise<StoreWatch> {
  const { url, user, password, dataDir, logger, restart } = options;
  const nc = await connect({
    servers: [url],
    user,
    pass: password,
    name: 'tailrace store watch',
    maxReconnectAttempts: -1,
    reconnectTimeWait: 250,
    ignoreAuthErrorAbort: true,
  });
  let told = false;
  let stopped = false;
  let timer: NodeJS.Timeout;

  const look = async (): Promise<void> => {
    const broken = await writeError(nc);
    if (broken === undefined || stopped) return;
    const { freeBytes, allBytes } = await diskOf(dataDir);
    if (!told) {
      logger.error(
        { said: broken, disk_free_bytes: freeBytes },
        'nats-server cannot write its store; what it acknowledged is kept. It is started again when the disk has room',
      );
      told = true;
    }
    if (freeBytes < reserveBytes(allBytes) / 2) return;
    logger.warn({ disk_free_bytes: freeBytes }, 'the disk has room: nats-server is started again');
    told = false;
    restart();
  };
  const again = (): void => {
    if (stopped) return;
    timer = setTimeout(() => {
      // It does not answer while it is started again, which its supervisor tells of.
      void look()
        .catch(() => undefined)
        .finally(again);
    }, STORE_LOOK_EVERY_MS);
  };
  again();
  return {
    stop: async () => {
      stopped = true;
      clearTimeout(timer);
      await nc.close();
    },
  };
}

/** What the server says of a store that it cannot write; undefined: all is well. */
async function writeError(nc: NatsConnection): Promise<string | undefined> {
  const id = nc.info?.server_id ?? '';
  const answer = await nc.request(`$SYS.REQ.SERVER.${id}.HEALTHZ`, '', {
    timeout: NATS_REQUEST_MS,
  });
  const { error } = Health.parse(answer.json()).data;
  return error?.includes('write error') === true ? error : undefined;
}

export async function diskOf(
  folder: string,
): Promise<{ readonly freeBytes: number; readonly allBytes: number }> {
  const { bavail, blocks, bsize } = await statfs(folder);
  return { freeBytes: bavail * bsize, allBytes: blocks * bsize };
}
