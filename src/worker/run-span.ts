// The span of one attempt, from its claim to what it came to.
import { FailureReasonSchema } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import type { Command } from '../chat/ports/commands.ts';
import type { Span, Tracer } from '../chat/ports/span.ts';
import { chatFields } from '../chat/ports/span.ts';
import type { RunResult } from './run.ts';

export async function inRunSpan(
  tracer: Tracer,
  command: Command,
  attempt: number,
  run: (span: Span) => Promise<RunResult>,
): Promise<RunResult> {
  const { traceparent, model } = command.meta;
  const fields = { ...chatFields(command), 'tailrace.attempt': attempt };
  const span = tracer.begin(traceparent, 'chat run', 'consumer', fields);
  span.set({ 'gen_ai.request.model': model });
  try {
    const result = await run(span);
    span.set({ 'tailrace.outcome': result.type === 'ended' ? result.end.kind : result.type });
    span.end(faultOf(result));
    return result;
  } catch (error) {
    span.end('INTERNAL');
    throw error;
  }
}

function faultOf(result: RunResult): string | undefined {
  if (result.type === 'lost') return 'LOST';
  if (result.type !== 'ended' || !('retryable' in result.end)) return undefined;
  return FailureReasonSchema.value[result.end.reason]?.localName;
}
