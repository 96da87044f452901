// The one way in: every write to COMMANDS and EVENTS is a conditional publish under a fence (law 2).
import type { MsgHdrs } from '@nats-io/transport-node';
import type { AppendOutcome } from '../chat/ports/event-log.ts';
import type { Answer, Exchange } from './exchange.ts';
import { ConnectionClosed } from './exchange.ts';

const WRONG_LAST_SEQUENCE = 10071;
/** The account's, the server's, the disk's or the stream's limit is reached. */
const STORE_FULL: ReadonlySet<number> = new Set([10002, 10023, 10047, 10077]);

interface PubAck {
  readonly seq?: number;
  readonly error?: { readonly err_code?: number; readonly description?: string };
}

/** `headers` hold the fence; see headers.ts. */
export async function publishFenced(
  exchange: Exchange,
  subject: string,
  data: Uint8Array,
  headers: MsgHdrs,
): Promise<AppendOutcome> {
  try {
    return readAck(await exchange.ask(subject, data, headers));
  } catch (cause) {
    return { type: 'doubt', cause, closed: cause instanceof ConnectionClosed };
  }
}

function readAck(answer: Answer): AppendOutcome {
  if (answer.data.length === 0) {
    return doubt(new Error(`NATS answered ${answer.status}: nobody serves the stream now`));
  }
  const ack = JSON.parse(asText(answer.data)) as PubAck;
  if (ack.error !== undefined) {
    const code = ack.error.err_code ?? 0;
    if (code === WRONG_LAST_SEQUENCE) return { type: 'refused' };
    const cause = new Error(`NATS refused the write: ${ack.error.description ?? ''} (${code})`);
    // 10164, another write of this chat in flight, and all that is not known: the same again.
    return STORE_FULL.has(code) ? { type: 'full', cause } : doubt(cause);
  }
  if (ack.seq === undefined) return doubt(new Error('NATS answered without a sequence'));
  return { type: 'stored', storeSequence: ack.seq };
}

export function asText(data: Uint8Array): string {
  return Buffer.from(data.buffer, data.byteOffset, data.length).toString();
}

function doubt(cause: unknown): AppendOutcome {
  return { type: 'doubt', cause };
}
