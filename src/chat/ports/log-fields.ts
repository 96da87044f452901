// What every log line about a chat carries, so that it is found by whatever of it is known.
import type { ChatKey } from '../chat-key.ts';
import type { CommandMeta } from './commands.ts';
import { traceIdOf } from '../trace.ts';

export function fieldsOf({
  chat,
  meta,
}: {
  readonly chat: ChatKey;
  readonly meta: Pick<CommandMeta, 'correlationId' | 'traceparent'>;
}): Record<string, unknown> {
  return {
    tenant: chat.tenant,
    stream_id: chat.streamId,
    correlation_id: meta.correlationId,
    trace_id: traceIdOf(meta.traceparent),
  };
}
