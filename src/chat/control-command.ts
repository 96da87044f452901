// A control command carries the life of its chat, so that a loop which never saw the start can act.
import { randomUUID } from 'node:crypto';
import type { Command } from './commands.ts';

export function controlCommand(
  start: Command,
  verb: 'cancel' | 'delete',
  reason: string,
): Omit<Command, 'sequence'> {
  const { expiresAtMs, correlationId, model } = start.meta;
  return {
    chat: start.chat,
    verb,
    priority: start.priority,
    meta: {
      appendId: randomUUID(),
      createdAtMs: Date.now(),
      expiresAtMs,
      correlationId,
      model,
      requestHash: '',
      metadata: {},
      reason,
    },
    data: new Uint8Array(0),
  };
}
