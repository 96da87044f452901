// The server under test: the project's one port and its handler, with the conformance suite's service on it.
// The suite says on stdin what it will speak, and reads on stdout where to find it.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { readFileSync } from 'node:fs';
import { UNTRACED } from '../../../src/chat/ports/span.ts';
import { ONE_TENANT } from '../../../src/rpc/edge/auth.ts';
import { createHttpHandler } from '../../../src/rpc/http-handler.ts';
import { listen } from '../../../src/rpc/edge/listener.ts';
import {
  ServerCompatRequestSchema,
  ServerCompatResponseSchema,
} from '../gen/connectrpc/conformance/v1/server_compat_pb.ts';
import { ConformanceService } from '../gen/connectrpc/conformance/v1/service_pb.ts';
import { conformanceService, HELD } from './service.ts';

/** The length before each message. */
const LENGTH_BYTES = 4;

const { useTls } = fromBinary(
  ServerCompatRequestSchema,
  readFileSync(process.stdin.fd).subarray(LENGTH_BYTES),
);
if (useTls) throw new Error('The port speaks cleartext: connect.yaml says so to the suite.');

const logError = (error: unknown): void => console.error(error);
const handler = createHttpHandler({
  handlers: {},
  observe: () => Promise.reject(new Error('The suite observes no chat.')),
  tenants: ONE_TENANT,
  tracer: UNTRACED,
  serving: { current: () => true, subscribe: () => () => {} },
  corsOrigins: [],
  onRefusedOrigin: () => undefined,
  page: undefined,
  more: {
    register: (router) => router.service(ConformanceService, conformanceService),
    registry: HELD,
  },
  logError,
  shutdownSignal: new AbortController().signal,
});
const { host, port } = await listen({ host: '127.0.0.1', port: 0, handler, logError });
const answer = toBinary(
  ServerCompatResponseSchema,
  create(ServerCompatResponseSchema, { host, port }),
);
const length = Buffer.alloc(LENGTH_BYTES);
length.writeUInt32BE(answer.byteLength);
process.stdout.write(Buffer.concat([length, answer]));
process.once('SIGTERM', () => process.exit());
