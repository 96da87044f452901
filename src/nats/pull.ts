// Pulling from one durable consumer: what is there now, as many as asked for, in one request.
import type { Msg, Subscription } from '@nats-io/transport-node';
import { createInbox } from '@nats-io/transport-node';
import type { Delivery } from '../chat/ports/commands.ts';
import { PULL_BYTES } from '../chat/limits.ts';
import type { Exchange } from './exchange.ts';
import { commandMetaIn } from './headers.ts';
import { COMMANDS, parseCommandSubject } from './subjects.ts';

/** Right after a publish was acknowledged an immediate pull may still find nothing. */
const LINGER_NS = 50_000_000;
/** The server ends every pull itself; this is for a server that is away, or says nothing more. */
const GIVE_UP_MS = 2_000;
/** What a pull that its size has ended is told. */
const TOO_LARGE = 'Message Size Exceeds MaxBytes';

export interface Puller {
  /**
   * Hands over each command as it arrives and resolves with their number. One pull at a time. What
   * arrives after a pull was given up is handed over all the same: a delivery is never lost. Where
   * a pull took all the bytes that it may, it counts as full: there is more.
   * `linger`: something was announced, so wait a moment for it if it is not there yet.
   */
  readonly pull: (batch: number, linger: boolean) => Promise<number>;
  readonly close: () => void;
}

export function puller(
  exchange: Exchange,
  consumer: string,
  onDelivery: (delivery: Delivery) => void,
): Puller {
  const subject = `$JS.API.CONSUMER.MSG.NEXT.${COMMANDS}.${consumer}`;
  const inbox = createInbox();
  let current:
    | { got: number; readonly batch: number; readonly more: () => void; readonly done: () => void }
    | undefined;

  // Pulled messages keep the subject that they were stored under, so that a subscription of its own
  // is what tells this consumer's messages from another's.
  const subscription: Subscription = exchange.nc.subscribe(inbox, {
    callback: (error, msg) => {
      if (error !== null) {
        current?.done();
        return;
      }
      if (msg.headers !== undefined && msg.headers.code !== 0) {
        if (current !== undefined && msg.headers.description === TOO_LARGE) {
          current.got = current.batch;
        }
        current?.done();
        return;
      }
      const delivery = readDelivery(exchange, msg);
      if (delivery !== undefined) onDelivery(delivery);
      if (current === undefined) return;
      current.more();
      current.got++;
      if (current.got >= current.batch) current.done();
    },
  });

  return {
    pull: (batch, linger) =>
      new Promise((resolve) => {
        const pull = {
          got: 0,
          batch,
          more: (): void => {
            timer.refresh();
          },
          done: (): void => {
            if (current !== pull) return;
            current = undefined;
            clearTimeout(timer);
            resolve(pull.got);
          },
        };
        const timer = setTimeout(pull.done, GIVE_UP_MS);
        current = pull;
        const patience = linger ? { expires: LINGER_NS } : {};
        const asked = JSON.stringify({
          batch,
          max_bytes: PULL_BYTES,
          no_wait: true,
          ...patience,
        });
        exchange.send(subject, Buffer.from(asked), { reply: inbox });
      }),
    close: () => {
      current?.done();
      if (!exchange.nc.isClosed()) subscription.unsubscribe();
    },
  };
}

const ACK = Buffer.from('+ACK');
const IN_PROGRESS = Buffer.from('+WPI');
const TERMINATE = Buffer.from('+TERM');

/** Undefined: no command of ours. It must neither come again and again nor end the connection. */
function readDelivery(exchange: Exchange, msg: Msg): Delivery | undefined {
  try {
    return deliveryOf(exchange, msg);
  } catch {
    // Nothing of ours writes such a message: publishing to these subjects is not for others.
    if (msg.reply !== undefined) exchange.send(msg.reply, TERMINATE);
    return undefined;
  }
}

function deliveryOf(exchange: Exchange, msg: Msg): Delivery {
  const token = msg.reply ?? '';
  const { deliveries, sequence } = parseAckToken(token);
  // Lost with the connection is as good as never sent: the command comes back (law 7).
  const send = (data: Uint8Array): void => exchange.send(token, data);
  if (msg.headers === undefined) throw new Error(`The command ${msg.subject} has no headers.`);
  return {
    command: {
      ...parseCommandSubject(msg.subject),
      sequence,
      meta: commandMetaIn(msg.headers),
      data: msg.data,
    },
    deliveries,
    ack: () => send(ACK),
    nak: (delayMs) => send(Buffer.from(`-NAK {"delay":${Math.round(delayMs * 1e6)}}`)),
    working: () => send(IN_PROGRESS),
  };
}

/**
 * `$JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<time>.<pending>`, or with
 * `<domain>.<account>` after ACK (nats-architecture-and-design, ADR-15).
 */
function parseAckToken(token: string): { readonly deliveries: number; readonly sequence: number } {
  const parts = token.split('.');
  const at = parts.length > 9 ? 6 : 4;
  return { deliveries: Number(parts[at]), sequence: Number(parts[at + 1]) };
}
