import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Code, ConnectError } from '@connectrpc/connect';
import { setTrailerStatus } from '@connectrpc/connect/protocol-grpc';
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
} from '../../gen/google/rpc/error_details_pb.ts';
import { ErrorReasonSchema } from '../../gen/tailrace/v1/error_pb.ts';
import { ChatError, invalidRequest } from '../../src/chat/errors.ts';
import { CODE_OF_REASON, toConnectError } from '../../src/rpc/edge/errors.ts';

function ignore(): void {}

test('every ErrorReason of the contract has its code, the one that its comment names', () => {
  const reasons = ErrorReasonSchema.values
    .map((value) => value.localName)
    .filter((name) => name !== 'UNSPECIFIED');
  assert.deepEqual(Object.keys(CODE_OF_REASON).toSorted(), reasons.toSorted());
  const proto = readFileSync(
    new URL('../../proto/tailrace/v1/error.proto', import.meta.url),
    'utf8',
  );
  const documented = Object.fromEntries(
    Array.from(proto.matchAll(/\/\/ ([A-Z_]+): [^=]*?ERROR_REASON_(\w+) =/g), (m) => [m[2], m[1]]),
  );
  const mapped = Object.fromEntries(
    Object.entries(CODE_OF_REASON).map(([reason, code]) => [
      reason,
      Code[code].replace(/(?<!^)([A-Z])/g, '_$1').toUpperCase(),
    ]),
  );
  assert.deepEqual(mapped, documented);
});

test('an error carries its reason, all broken rules and when to try again', () => {
  const error = toConnectError(
    new ChatError('QUEUE_FULL', 'The queue is full.', {
      retryAfterMs: 1_500,
      metadata: { queued: '10000' },
      violations: [{ path: 'request.messages[3].role', description: 'must be a role' }],
    }),
    ignore,
  );
  assert.equal(error.code, Code.ResourceExhausted);
  const [info] = error.findDetails(ErrorInfoSchema);
  assert.equal(info?.domain, 'tailrace.dev');
  assert.equal(info?.reason, 'QUEUE_FULL');
  assert.deepEqual(info?.metadata, { queued: '10000' });
  const [bad] = error.findDetails(BadRequestSchema);
  assert.equal(bad?.fieldViolations[0]?.field, 'request.messages[3].role');
  const [retry] = error.findDetails(RetryInfoSchema);
  assert.equal(retry?.retryDelay?.seconds, 1n);
  assert.equal(retry?.retryDelay?.nanos, 500_000_000);
});

test('what nobody foresaw is INTERNAL in neutral words, and its cause goes to the log', () => {
  const logged: unknown[] = [];
  const cause = new TypeError('secret driver text');
  const error = toConnectError(cause, (e) => logged.push(e));
  assert.equal(error.code, Code.Internal);
  assert.doesNotMatch(error.message, /secret/);
  assert.equal(error.findDetails(ErrorInfoSchema)[0]?.reason, 'INTERNAL');
  assert.deepEqual(logged, [cause]);
});

test('a cause is logged and not sent', () => {
  const logged: unknown[] = [];
  const away = new ChatError('LOG_UNAVAILABLE', 'The log is away.', {
    cause: new Error('connect ECONNREFUSED'),
  });
  const error = toConnectError(away, (e) => logged.push(e));
  assert.equal(error.code, Code.Unavailable);
  const trailer = setTrailerStatus(new Headers(), error);
  const details = Buffer.from(trailer.get('grpc-status-details-bin') ?? '', 'base64');
  assert.doesNotMatch(details.toString('latin1') + trailer.get('grpc-message'), /ECONNREFUSED/);
  assert.deepEqual(logged, [away]);
});

test('error metadata stays under 4 KB however much is wrong, and says how much is left out', () => {
  const many = Array.from({ length: 100 }, (_, i) => ({
    path: `request.messages[${i}].content[0].${'ключ'.repeat(200)}`,
    description: `must be − ${'ß'.repeat(1_000)}`,
  }));
  const error = toConnectError(invalidRequest('INVALID_REQUEST', many), ignore);
  const trailer = setTrailerStatus(new Headers(), error);
  const bytes = [...trailer].reduce((sum, [name, value]) => sum + name.length + value.length, 0);
  assert.ok(bytes < 4_096, `${bytes} bytes`);
  const listed = error.findDetails(BadRequestSchema)[0]?.fieldViolations.length ?? 0;
  assert.ok(listed > 0);
  assert.match(error.message, new RegExp(`\\(${100 - listed} more\\)$`));
  const left = error.findDetails(ErrorInfoSchema)[0]?.metadata['violations_not_listed'];
  assert.equal(left, String(100 - listed));
});

test('halves of surrogate pairs in a caller’s own text do not break the answer', () => {
  const error = toConnectError(new ChatError('UNKNOWN_MODEL', 'No model "\ud800".'), ignore);
  assert.doesNotThrow(() => setTrailerStatus(new Headers(), error));
});

test('Connect’s own errors stay as they are', () => {
  const own = new ConnectError('the operation timed out', Code.DeadlineExceeded);
  assert.equal(toConnectError(own, ignore), own);
});

test('a caller who left while it was answered is no defect, and nothing of it is logged', () => {
  for (const code of ['ERR_STREAM_DESTROYED', 'ERR_HTTP2_INVALID_STREAM']) {
    const error = Object.assign(new Error('The stream has been destroyed'), { code });
    const told = toConnectError(error, () => assert.fail('logged'));
    assert.equal(told.code, Code.Canceled);
  }
});
