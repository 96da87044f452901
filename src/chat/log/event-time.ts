// Times of events, to the microsecond: latency per hop is measured by them.
import { create } from '@bufbuild/protobuf';
import type { Timestamp } from '@bufbuild/protobuf/wkt';
import { TimestampSchema } from '@bufbuild/protobuf/wkt';

/** Milliseconds since the epoch with their fraction, from the monotonic clock. */
export function preciseNowMs(): number {
  return performance.timeOrigin + performance.now();
}

export function timestampFromMillis(ms: number): Timestamp {
  const seconds = Math.floor(ms / 1_000);
  const nanos = Math.round((ms - seconds * 1_000) * 1_000) * 1_000;
  return create(TimestampSchema, { seconds: BigInt(seconds), nanos: Math.min(nanos, 999_999_000) });
}
