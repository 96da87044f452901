// What a refused call told its caller: the code and the google.rpc details, as one plain object.
import assert from 'node:assert/strict';
import { Code, ConnectError } from '@connectrpc/connect';
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from '../../gen/google/rpc/error_details_pb.ts';

export interface Refusal {
  readonly code: string;
  readonly message: string;
  readonly domain: string | undefined;
  readonly reason: string | undefined;
  readonly metadata: Readonly<Record<string, string>>;
  /** Every violated path, sorted. */
  readonly fields: readonly string[];
  readonly retryMs: number | undefined;
}

export function refusalOf(error: unknown): Refusal {
  assert.ok(error instanceof ConnectError, `not an error of a call: ${String(error)}`);
  const [info] = error.findDetails(ErrorInfoSchema);
  const [bad] = error.findDetails(BadRequestSchema);
  const [retry] = error.findDetails(RetryInfoSchema);
  const delay = retry?.retryDelay;
  return {
    code: Code[error.code],
    message: error.rawMessage,
    domain: info?.domain,
    reason: info?.reason,
    metadata: info?.metadata ?? {},
    fields: (bad?.fieldViolations ?? []).map(({ field }) => field).toSorted(),
    retryMs: delay === undefined ? undefined : Number(delay.seconds) * 1_000 + delay.nanos / 1e6,
  };
}

/** Fails if the call is answered. */
export async function refused(call: Promise<unknown>): Promise<Refusal> {
  let answer: unknown;
  try {
    answer = await call;
  } catch (error) {
    return refusalOf(error);
  }
  assert.fail(`the call was answered: ${JSON.stringify(answer, bigints)}`);
}

function bigints(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}
