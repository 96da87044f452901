// Reads at the leader (STREAM.MSG.GET): what a decision, an error or a unary answer rests on. Direct
// get may be answered by a follower that is behind, and is for replay only (law 6).
import type { MsgHdrs } from '@nats-io/transport-node';
import { headers } from '@nats-io/transport-node';
import { askLeader, logUnavailable } from './ask-leader.ts';
import type { Exchange } from './exchange.ts';

export interface StoredMessage {
  readonly subject: string;
  readonly sequence: number;
  readonly storedAtMs: number;
  readonly headers: MsgHdrs;
  readonly data: Uint8Array;
}

interface MsgGetAnswer {
  readonly message?: {
    readonly subject: string;
    readonly seq: number;
    readonly time: string;
    readonly hdrs?: string;
    readonly data?: string;
  };
  readonly error?: {
    readonly err_code?: number;
    readonly description?: string;
  };
}

const NO_MESSAGE_FOUND = 10037;

/**
 * The newest message under a subject filter, or undefined. Rejects with ChatError LOG_UNAVAILABLE.
 * The server walks every subject that the filter matches, unless it is `>`.
 */
export function lastAtLeader(
  exchange: Exchange,
  stream: string,
  filter: string,
): Promise<StoredMessage | undefined> {
  return getAtLeader(exchange, stream, { last_by_subj: filter });
}

/**
 * The first message from a sequence on under a subject filter, or undefined. Rejects with ChatError
 * LOG_UNAVAILABLE. The server walks what is stored from there on.
 */
export function nextAtLeader(
  exchange: Exchange,
  stream: string,
  filter: string,
  from: number,
): Promise<StoredMessage | undefined> {
  return getAtLeader(exchange, stream, { seq: from, next_by_subj: filter });
}

async function getAtLeader(
  exchange: Exchange,
  stream: string,
  question: Readonly<Record<string, string | number>>,
): Promise<StoredMessage | undefined> {
  const verb = `STREAM.MSG.GET.${stream}`;
  const answer = await askLeader<MsgGetAnswer>(exchange, verb, question);
  if (answer.error?.err_code === NO_MESSAGE_FOUND) return undefined;
  const found = answer.message;
  if (found === undefined) {
    throw logUnavailable(new Error(`NATS answered ${answer.error?.description ?? 'nothing'}`));
  }
  return {
    subject: found.subject,
    sequence: found.seq,
    storedAtMs: Date.parse(found.time),
    headers: decodeHeaders(found.hdrs),
    data: Buffer.from(found.data ?? '', 'base64'),
  };
}

function decodeHeaders(base64: string | undefined): MsgHdrs {
  const made = headers();
  if (base64 === undefined) return made;
  const lines = Buffer.from(base64, 'base64').toString().split('\r\n');
  for (const line of lines.slice(1)) {
    const colon = line.indexOf(':');
    if (colon > 0) made.append(line.slice(0, colon), line.slice(colon + 1).trim());
  }
  return made;
}
