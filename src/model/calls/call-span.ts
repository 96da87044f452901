// The span of one call of a model server, by the names of OpenTelemetry's conventions for generative AI. A
// call that is tried again is another span. What does not belong here: anything that was said.
import { FailureReasonSchema, StopReasonSchema } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import type { ModelOutcome, ModelSink } from '../../chat/ports/model.ts';
import { ModelFailure } from '../../chat/ports/model.ts';
import type { Span, SpanFields } from '../../chat/ports/span.ts';

export interface CallSpan {
  readonly traceparent: string;
  /** Takes down the usage that goes through. */
  readonly watching: (sink: ModelSink) => ModelSink;
  readonly firstToken: () => void;
  readonly answered: (outcome: ModelOutcome) => void;
  readonly failed: (error: unknown) => void;
}

export function beginCallSpan(
  call: {
    readonly span: Span;
    readonly provider: string;
    readonly body: { readonly model: string };
  },
  baseUrl: string,
): CallSpan {
  const { model } = call.body;
  const span = call.span.child(`chat ${model}`, 'client', {
    'gen_ai.operation.name': 'chat',
    'gen_ai.provider.name': call.provider,
    'gen_ai.request.model': model,
    ...addressOf(baseUrl),
  });
  const beganMs = performance.now();
  return {
    traceparent: span.traceparent,
    watching: (sink) => ({
      ...sink,
      usage: (usage) => {
        span.set({
          'gen_ai.usage.input_tokens': usage.inputTokens,
          'gen_ai.usage.output_tokens': usage.outputTokens,
          'gen_ai.usage.reasoning.output_tokens': usage.reasoningTokens,
          'gen_ai.usage.cache_read.input_tokens': usage.cachedInputTokens,
        });
        sink.usage(usage);
      },
    }),
    firstToken: () => {
      const seconds = (performance.now() - beganMs) / 1_000;
      span.set({ 'gen_ai.response.time_to_first_chunk': seconds });
    },
    answered: ({ stopReason }) => {
      const reason = StopReasonSchema.value[stopReason]?.localName;
      span.set({ 'gen_ai.response.finish_reasons': reason === undefined ? undefined : [reason] });
      span.end();
    },
    failed: (error) => span.end(faultOf(error)),
  };
}

/** Where a call goes to, for its span. */
export function addressOf(baseUrl: string): SpanFields {
  const url = URL.parse(baseUrl);
  return {
    'server.address': url?.hostname,
    'server.port': url === null ? undefined : Number(url.port === '' ? portOf(url) : url.port),
  };
}

function portOf({ protocol }: URL): number {
  return protocol === 'https:' ? 443 : 80;
}

function faultOf(error: unknown): string {
  if (!(error instanceof ModelFailure)) return 'ABORTED';
  return FailureReasonSchema.value[error.reason]?.localName ?? 'UNKNOWN';
}
