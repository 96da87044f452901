// What the parent and the child of the embedded model say to each other: settings go down as one
// JSON argument, one JSON line comes up on stdout. Everything else is HTTP.
import * as z from 'zod';

/** The one model that the embedded server offers. */
export const EMBEDDED_MODEL_NAME = 'smollm2-135m-instruct';

const settingsSchema = z.strictObject({
  modelPath: z.string(),
  /** The module node-llama-cpp, where it is no neighbour of this package. */
  enginePath: z.string().optional(),
  /** 0 lets the system pick a free port. */
  port: z.int().min(0).max(65_535),
  threads: z.int().min(1),
  /** Answers generated at the same time. */
  sequences: z.int().min(1),
  /** Prompt and answer of one request together. Every token costs 23 KB for each sequence. */
  contextTokens: z.int().min(256),
  /** Requests that may wait for a free sequence; one more is refused with 429. */
  queuedRequests: z.int().min(0),
});
export type ChildSettings = z.infer<typeof settingsSchema>;

const failureReasons = ['PACKAGE_MISSING', 'MODEL_UNREADABLE', 'PORT_UNUSABLE', 'BROKEN'] as const;
export type ChildFailureReason = (typeof failureReasons)[number];

const reportSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('ready'), port: z.int() }),
  z.object({ kind: z.literal('failed'), reason: z.enum(failureReasons), message: z.string() }),
]);
export type ChildReport = z.infer<typeof reportSchema>;

export function parseChildSettings(json: string): ChildSettings {
  return settingsSchema.parse(JSON.parse(json));
}

export function parseChildReport(line: string): ChildReport {
  return reportSchema.parse(JSON.parse(line));
}
