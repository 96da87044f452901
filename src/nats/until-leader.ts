// Patience at a start: a cluster that has just come up, or that has lost a server, has no leader for
// some seconds, and JetStream refuses, or says nothing at all. What is asked for then is asked again.
import { JetStreamApiError, JetStreamError } from '@nats-io/jetstream';
import { errors } from '@nats-io/transport-node';
import { JETSTREAM_START_MS } from '../chat/limits.ts';

/** No suitable peers, not available, not the leader, stream offline, consumer offline. */
const PASSING: ReadonlySet<number> = new Set([10005, 10008, 10009, 10118, 10119]);
const AGAIN_MS = 250;

/** `ask` must be safe to repeat. */
export async function untilLeader<T>(
  ask: () => Promise<T>,
  withinMs: number = JETSTREAM_START_MS,
): Promise<T> {
  const deadlineMs = performance.now() + withinMs;
  for (;;) {
    try {
      return await ask();
    } catch (cause) {
      if (!isPassing(cause)) throw cause;
      if (performance.now() + AGAIN_MS > deadlineMs) throw noLeader(withinMs, cause);
    }
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}

export function isPassing(error: unknown): boolean {
  if (error instanceof JetStreamApiError) return isPassingCode(error.code);
  if (error instanceof errors.TimeoutError) return true;
  // Nobody serves JetStream's subjects now. The client does not export the class.
  return error instanceof Error && error.name === 'JetStreamNotEnabled';
}

export function isPassingCode(code: number): boolean {
  return PASSING.has(code);
}

function noLeader(waitedMs: number, cause: unknown): JetStreamError {
  const said = cause instanceof Error ? cause.message : String(cause);
  return new JetStreamError(
    `NATS answers, but its JetStream has had no leader, or not enough servers for the replicas that are asked for, for ${waitedMs / 1_000} s ("${said}"). More than half of the cluster's servers must be up and have JetStream enabled.`,
    { cause },
  );
}
