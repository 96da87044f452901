// Spans by OpenTelemetry's SDK, sent to a collector by OTLP over HTTP. Nothing waits for the collector: what
// it does not take is dropped. Nothing is made global but where the SDK's own words go.
import type { Attributes, Span as OtelSpan, Tracer as OtelTracer } from '@opentelemetry/api';
import {
  diag,
  DiagLogLevel,
  ROOT_CONTEXT,
  SpanKind as OtelKind,
  SpanStatusCode,
  trace,
} from '@opentelemetry/api';
import { ExportResultCode } from '@opentelemetry/core';
import {
  defaultResource,
  detectResources,
  resourceAttributesEnvDetector,
  resourceFromAttributes,
  serviceNameEnvDetector,
} from '@opentelemetry/resources';
import type { Sampler, SpanExporter } from '@opentelemetry/sdk-trace';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace';
import { SPAN_FIELD_CHARS, SPAN_FLUSH_MS } from '../chat/limits.ts';
import type { Logger } from '../chat/ports/logger.ts';
import type { Span, SpanFields, SpanKind, Tracer } from '../chat/ports/span.ts';
import { readTraceparent, writeTraceparent } from '../chat/trace.ts';
import type { TracingSettings } from './tracing-settings.ts';

/** Disposing it sends what is left, within a bound. */
export interface Tracing extends AsyncDisposable {
  readonly tracer: Tracer;
}

export async function openOtlpTracing(settings: TracingSettings, logger: Logger): Promise<Tracing> {
  sayThrough(logger);
  const { queue, batch, sendEveryMs } = settings;
  const processor = new BatchSpanProcessor({
    exporter: tellingExporter(await exporterOf(settings), logger),
    maxQueueSize: queue,
    maxExportBatchSize: batch,
    scheduledDelayMillis: sendEveryMs,
  });
  const detected = detectResources({
    detectors: [resourceAttributesEnvDetector, serviceNameEnvDetector],
  });
  const own = resourceFromAttributes({ 'service.name': 'tailrace', 'process.pid': process.pid });
  const provider = new TracerProvider({
    resource: defaultResource().merge(own).merge(detected),
    sampler: samplerOf(settings),
    spanLimits: { attributeValueLengthLimit: SPAN_FIELD_CHARS },
    spanProcessors: [processor],
  });
  const tracer = provider.getTracer('tailrace');
  return {
    tracer: {
      begin: (parent, name, kind, fields) => begin(tracer, parent, name, kind, fields),
    },
    [Symbol.asyncDispose]: () => endWithin(provider.shutdown()),
  };
}

/** OTLP as protobuf is what every collector takes; as JSON it can be read by eye. */
async function exporterOf({ url, protocol }: TracingSettings): Promise<SpanExporter> {
  const { OTLPTraceExporter } =
    protocol === 'http/json'
      ? await import('@opentelemetry/exporter-trace-otlp-http')
      : await import('@opentelemetry/exporter-trace-otlp-proto');
  return new OTLPTraceExporter({ url });
}

function samplerOf({ sampler, ratio }: TracingSettings): Sampler {
  switch (sampler) {
    case 'always_on':
      return new AlwaysOnSampler();
    case 'always_off':
      return new AlwaysOffSampler();
    case 'traceidratio':
      return new TraceIdRatioBasedSampler(ratio);
    case 'parentbased_always_on':
      return new ParentBasedSampler({ root: new AlwaysOnSampler() });
    case 'parentbased_always_off':
      return new ParentBasedSampler({ root: new AlwaysOffSampler() });
    case 'parentbased_traceidratio':
      return new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(ratio) });
  }
}

const KINDS: Readonly<Record<SpanKind, OtelKind>> = {
  server: OtelKind.SERVER,
  consumer: OtelKind.CONSUMER,
  client: OtelKind.CLIENT,
  internal: OtelKind.INTERNAL,
};
const FLAGS_RADIX = 16;
const FLAGS_DIGITS = 2;

function begin(
  tracer: OtelTracer,
  parent: string | undefined,
  name: string,
  kind: SpanKind,
  fields: SpanFields,
): Span {
  const remote = readTraceparent(parent ?? null);
  const context =
    remote === undefined
      ? ROOT_CONTEXT
      : trace.setSpanContext(ROOT_CONTEXT, {
          traceId: remote.traceId,
          spanId: remote.spanId,
          traceFlags: Number.parseInt(remote.flags, FLAGS_RADIX),
          isRemote: true,
        });
  const span = tracer.startSpan(
    name,
    { kind: KINDS[kind], attributes: attributesOf(fields) },
    context,
  );
  const { traceId, spanId, traceFlags } = span.spanContext();
  const flags = traceFlags.toString(FLAGS_RADIX).padStart(FLAGS_DIGITS, '0');
  const traceparent = writeTraceparent({ traceId, spanId, flags });
  return {
    traceparent,
    child: (childName, childKind, more) =>
      begin(tracer, traceparent, childName, childKind, { ...fields, ...more }),
    set: (more) => void span.setAttributes(attributesOf(more)),
    end: (fault) => end(span, fault),
  };
}

function end(span: OtelSpan, fault: string | undefined): void {
  if (fault !== undefined) {
    span.setAttribute('error.type', fault);
    span.setStatus({ code: SpanStatusCode.ERROR });
  }
  span.end();
}

function attributesOf(fields: SpanFields): Attributes {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));
}

/** Says when the collector begins to fail and when it takes spans again, not each time that it fails. */
function tellingExporter(exporter: SpanExporter, logger: Logger): SpanExporter {
  let failing = false;
  return {
    export: (spans, done) => {
      exporter.export(spans, (result) => {
        const failed = result.code !== ExportResultCode.SUCCESS;
        if (failed && !failing) {
          logger.warn(
            { err: result.error },
            'the collector of traces does not take spans; they are dropped for as long as that lasts',
          );
        } else if (!failed && failing) {
          logger.info({}, 'the collector of traces takes spans again');
        }
        failing = failed;
        // Said once is enough: to whoever asked for the export they are gone either way.
        done({ code: ExportResultCode.SUCCESS });
      });
    },
    shutdown: () => exporter.shutdown(),
    forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve(),
  };
}

/** What the SDK has to say of itself, as a line of the log: it would go to the console. */
function sayThrough(logger: Logger): void {
  const say =
    (to: 'warn' | 'debug') =>
    (message: string): void =>
      logger[to]({ said: message.slice(0, SPAN_FIELD_CHARS) }, 'tracing');
  const nothing = (): void => undefined;
  diag.setLogger(
    { error: say('warn'), warn: say('warn'), info: nothing, debug: nothing, verbose: nothing },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
}

/** A collector that hangs, or is away, holds no stop up for longer. */
async function endWithin(shutdown: Promise<void>): Promise<void> {
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(late.resolve, SPAN_FLUSH_MS);
  try {
    await Promise.race([shutdown.catch(() => undefined), late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
