// The port to tracing: spans as the house sees them. Where none are recorded the trace's ids travel all the
// same. Never in a field: what people wrote, what a tool was called with, a secret, an error's text.
import type { ChatKey } from '../chat-key.ts';
import type { CommandMeta } from './commands.ts';
import { childOf, traceparentOf } from '../trace.ts';

export type SpanKind = 'server' | 'consumer' | 'client' | 'internal';

/** By OpenTelemetry's names where it has one. An undefined value is left out. */
export type SpanFields = Readonly<Record<string, string | number | string[] | undefined>>;

export interface Span {
  /** For what is called within it (W3C). */
  readonly traceparent: string;
  /** One within it, with the fields that this one began with. */
  readonly child: (name: string, kind: SpanKind, fields: SpanFields) => Span;
  readonly set: (fields: SpanFields) => void;
  /** `fault`: the kind of what went wrong, a word out of few; undefined: nothing did. */
  readonly end: (fault?: string) => void;
}

export interface Tracer {
  /** `parent`: a traceparent as it came with the work; one that is not valid begins a trace. */
  readonly begin: (
    parent: string | undefined,
    name: string,
    kind: SpanKind,
    fields: SpanFields,
  ) => Span;
}

/** Records nothing. */
export const UNTRACED: Tracer = {
  begin: (parent) => untracedSpan(traceparentOf(parent ?? null)),
};

export function untracedSpan(traceparent: string): Span {
  return {
    traceparent,
    child: () => untracedSpan(childOf(traceparent)),
    set: () => undefined,
    end: () => undefined,
  };
}

/** What every span about a chat carries, so that it is found by whatever of it is known. */
export function chatFields({
  chat,
  meta,
}: {
  readonly chat: ChatKey;
  readonly meta: Pick<CommandMeta, 'correlationId'>;
}): SpanFields {
  return {
    'tailrace.tenant': chat.tenant,
    'tailrace.stream_id': chat.streamId,
    'tailrace.correlation_id': meta.correlationId === '' ? undefined : meta.correlationId,
  };
}
