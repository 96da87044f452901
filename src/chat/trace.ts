// W3C Trace Context (https://www.w3.org/TR/trace-context/): the caller's trace is taken on and goes on to
// the model server, with a span of its own for each call. Only the ids: what is recorded is in span.ts.
import { randomBytes } from 'node:crypto';

const TRACE_ID_BYTES = 16;
const SPAN_ID_BYTES = 8;
/** version, trace id, parent id, flags; of a later version there may be more. */
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
/** Of a trace that begins here: a server that traces is to go on doing so. */
const SAMPLED = '01';

/** Whose work it is, as a traceparent says it. */
export interface TraceParent {
  readonly traceId: string;
  readonly spanId: string;
  /** Two hex digits; the lowest bit: sampled. */
  readonly flags: string;
}

/** Undefined where it is not valid. */
export function readTraceparent(given: string | null): TraceParent | undefined {
  const [, version, traceId, parentId, flags, more] = TRACEPARENT.exec(given?.trim() ?? '') ?? [];
  const valid =
    traceId !== undefined &&
    parentId !== undefined &&
    flags !== undefined &&
    version !== 'ff' &&
    (version !== '00' || more === undefined) &&
    !isZero(traceId) &&
    !isZero(parentId);
  return valid ? { traceId, spanId: parentId, flags } : undefined;
}

/** The caller's own, if it is valid; else that of a new trace. */
export function traceparentOf(given: string | null): string {
  const parent = readTraceparent(given);
  // A later version is gone on with in the one that is known here.
  if (parent !== undefined) return writeTraceparent(parent);
  const traceId = randomBytes(TRACE_ID_BYTES).toString('hex');
  return writeTraceparent({ traceId, spanId: newSpanId(), flags: SAMPLED });
}

/** For a call that is made within the trace. */
export function childOf(parent: string): string {
  const [, traceId = '', , flags = ''] = parent.split('-');
  return writeTraceparent({ traceId, spanId: newSpanId(), flags });
}

export function traceIdOf(parent: string): string {
  return parent.split('-')[1] ?? '';
}

export function writeTraceparent({ traceId, spanId, flags }: TraceParent): string {
  return `00-${traceId}-${spanId}-${flags}`;
}

function newSpanId(): string {
  return randomBytes(SPAN_ID_BYTES).toString('hex');
}

function isZero(hex: string): boolean {
  return /^0+$/.test(hex);
}
