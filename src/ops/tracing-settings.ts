// OpenTelemetry's own variables, as far as they decide whether and how spans are sent. Headers, timeout,
// compression, certificates, service name and resource attributes the SDK reads itself.
import { z } from 'zod';
import { SPAN_BATCH, SPAN_QUEUE, SPAN_SEND_EVERY_MS } from '../chat/limits.ts';
import { ConfigError } from './config.ts';

const SAMPLERS = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const;
const PROTOCOLS = ['http/protobuf', 'http/json'] as const;
const MOST_QUEUED = 100_000;

export interface TracingSettings {
  /** Where spans are posted to. */
  readonly url: string;
  readonly protocol: (typeof PROTOCOLS)[number];
  readonly sampler: (typeof SAMPLERS)[number];
  /** Of new traces, with the two samplers by ratio. */
  readonly ratio: number;
  readonly queue: number;
  readonly batch: number;
  readonly sendEveryMs: number;
}

const whole = (least: number, most: number) =>
  z.string().transform((text, context) => {
    const number = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
    if (number >= least && number <= most) return number;
    context.addIssue(`a whole number from ${least} to ${most}`);
    return z.NEVER;
  });

const ratio = z.string().transform((text, context) => {
  const number = /^(?:\d+\.?\d*|\.\d+)$/.test(text) ? Number(text) : Number.NaN;
  if (number <= 1) return number;
  context.addIssue('a number from 0 to 1, the share of new traces that are recorded');
  return z.NEVER;
});

const endpoint = z
  .string()
  .refine(
    (text) => ['http:', 'https:'].includes(URL.parse(text)?.protocol ?? ''),
    'an http or https address, for example http://127.0.0.1:4318',
  );

const protocol = z.enum(PROTOCOLS, 'http/protobuf or http/json: OTLP over gRPC is not spoken here');
const sampler = z.enum(SAMPLERS, `one of ${SAMPLERS.join(', ')}`);

const Environment = z.object({
  OTEL_EXPORTER_OTLP_ENDPOINT: endpoint.optional(),
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: endpoint.optional(),
  OTEL_EXPORTER_OTLP_PROTOCOL: protocol.optional(),
  OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: protocol.optional(),
  OTEL_TRACES_EXPORTER: z.literal('otlp', 'otlp or none').prefault('otlp'),
  OTEL_TRACES_SAMPLER: sampler.prefault('parentbased_always_on'),
  OTEL_TRACES_SAMPLER_ARG: ratio.optional(),
  OTEL_BSP_MAX_QUEUE_SIZE: whole(1, MOST_QUEUED).prefault(String(SPAN_QUEUE)),
  OTEL_BSP_MAX_EXPORT_BATCH_SIZE: whole(1, MOST_QUEUED).prefault(String(SPAN_BATCH)),
  OTEL_BSP_SCHEDULE_DELAY: whole(1, 600_000).prefault(String(SPAN_SEND_EVERY_MS)),
});

/** Addresses may hold a password. */
const NOT_SHOWN = /_ENDPOINT$/;

/** Undefined: nothing is recorded. Throws a ConfigError that names every wrong variable. */
export function readTracing(
  env: Readonly<Record<string, string | undefined>>,
): TracingSettings | undefined {
  const given = Object.fromEntries(
    Object.keys(Environment.shape)
      .map((name) => [name, env[name]?.trim()] as const)
      .filter(([, value]) => value !== undefined && value !== ''),
  );
  const common = given['OTEL_EXPORTER_OTLP_ENDPOINT'];
  const own = given['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'];
  const off = env['OTEL_SDK_DISABLED']?.trim().toLowerCase() === 'true';
  // What others are set up with is no business of a process that sends nothing.
  if (off || given['OTEL_TRACES_EXPORTER'] === 'none' || (common ?? own) === undefined) {
    return undefined;
  }
  // What counts for traces takes the place of the common one, whatever that is.
  if (own !== undefined) delete given['OTEL_EXPORTER_OTLP_ENDPOINT'];
  if (given['OTEL_EXPORTER_OTLP_TRACES_PROTOCOL'] !== undefined) {
    delete given['OTEL_EXPORTER_OTLP_PROTOCOL'];
  }
  const parsed = Environment.safeParse(given);
  if (!parsed.success) {
    const faults = parsed.error.issues.map(({ path, message }) => {
      const name = String(path[0]);
      const value = NOT_SHOWN.test(name) ? 'a value that is not shown' : `"${given[name] ?? ''}"`;
      return `${name} is ${value}; it must be ${message}`;
    });
    throw new ConfigError(faults.join('\n'));
  }
  const e = parsed.data;
  const queue = e.OTEL_BSP_MAX_QUEUE_SIZE;
  return {
    url: e.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ?? tracesAt(e.OTEL_EXPORTER_OTLP_ENDPOINT ?? ''),
    protocol:
      e.OTEL_EXPORTER_OTLP_TRACES_PROTOCOL ?? e.OTEL_EXPORTER_OTLP_PROTOCOL ?? 'http/protobuf',
    sampler: e.OTEL_TRACES_SAMPLER,
    ratio: e.OTEL_TRACES_SAMPLER_ARG ?? 1,
    queue,
    batch: Math.min(e.OTEL_BSP_MAX_EXPORT_BATCH_SIZE, queue),
    sendEveryMs: e.OTEL_BSP_SCHEDULE_DELAY,
  };
}

/** The common address is that of all signals. */
function tracesAt(common: string): string {
  return `${common}${common.endsWith('/') ? '' : '/'}v1/traces`;
}
