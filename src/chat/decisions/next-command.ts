// A command that follows a start carries the life of its chat, so that whoever never saw the start can
// act on it.
import { randomUUID } from 'node:crypto';
import type { Command, Verb } from '../ports/commands.ts';

export function controlCommand(
  start: Command,
  verb: 'cancel' | 'delete',
  reason: string,
): Omit<Command, 'sequence'> {
  return nextCommand(start, verb, reason, 0);
}

/** Takes the chat on from the results record that it names. */
export function continueCommand(start: Command, results: number): Omit<Command, 'sequence'> {
  return nextCommand(start, 'continue', '', results);
}

function nextCommand(
  start: Command,
  verb: Verb,
  reason: string,
  results: number,
): Omit<Command, 'sequence'> {
  const { expiresAtMs, correlationId, traceparent, model, runTimeoutMs } = start.meta;
  return {
    chat: start.chat,
    verb,
    priority: start.priority,
    meta: {
      appendId: randomUUID(),
      createdAtMs: Date.now(),
      expiresAtMs,
      correlationId,
      traceparent,
      model,
      runTimeoutMs,
      requestHash: '',
      metadata: {},
      reason,
      results,
    },
    data: new Uint8Array(0),
  };
}
