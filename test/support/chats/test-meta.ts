// What a command of a test says of its chat.
import type { CommandMeta } from '../../../src/chat/ports/commands.ts';
import { RUN_TIMEOUT_MS } from '../../../src/chat/limits.ts';

const NOW_MS = 1_800_000_000_000;

export function testMeta(given: Partial<CommandMeta> = {}): CommandMeta {
  return {
    appendId: 'a',
    createdAtMs: NOW_MS,
    expiresAtMs: NOW_MS * 2,
    correlationId: '',
    traceparent: '',
    model: 'test-model',
    runTimeoutMs: RUN_TIMEOUT_MS,
    requestHash: '',
    metadata: {},
    reason: '',
    results: 0,
    ...given,
  };
}
