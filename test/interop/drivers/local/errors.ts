// What a ConnectError says, for the scenarios.
import { Code, ConnectError } from '@connectrpc/connect';
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from '../../../../gen/google/rpc/error_details_pb.ts';
import type { CallError } from '../../driver.ts';

/** As gRPC writes it: INVALID_ARGUMENT. */
export function codeName(code: Code): string {
  if (code === Code.Canceled) return 'CANCELLED';
  return Code[code].replaceAll(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase();
}

export function callError(thrown: unknown): CallError {
  const error = ConnectError.from(thrown);
  const [info] = error.findDetails(ErrorInfoSchema);
  const [bad] = error.findDetails(BadRequestSchema);
  const delay = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
  return {
    code: codeName(error.code),
    reason: info?.reason ?? '',
    message: error.rawMessage,
    metadata: info?.metadata ?? {},
    violations: (bad?.fieldViolations ?? []).map(({ field, description }) => ({
      field,
      description,
    })),
    retryAfterMs: delay === undefined ? 0 : Number(delay.seconds) * 1_000 + delay.nanos / 1e6,
  };
}
