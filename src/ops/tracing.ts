// Tracing as the rest of the house gets it. Without a collector to send to, nothing of the SDK is loaded.
import type { Logger } from '../chat/ports/logger.ts';
import { UNTRACED } from '../chat/ports/span.ts';
import type { Tracing } from './otlp-tracing.ts';
import type { TracingSettings } from './tracing-settings.ts';

export async function openTracing(
  settings: TracingSettings | undefined,
  logger: Logger,
): Promise<Tracing> {
  if (settings === undefined) {
    return { tracer: UNTRACED, [Symbol.asyncDispose]: () => Promise.resolve() };
  }
  const { openOtlpTracing } = await import('./otlp-tracing.ts');
  return openOtlpTracing(settings, logger);
}
