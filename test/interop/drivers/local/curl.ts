// The interop suite's driver of curl alone, with Connect: JSON for unary calls, JSON in envelopes for the stream.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fromJson, type JsonObject, type JsonValue } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { z } from 'zod';
import {
  type ObserveChatStreamResponse,
  ObserveChatStreamResponseSchema,
} from '../../../../gen/tailrace/v1/chat_stream_service_pb.ts';
import type { CallCommand, Target } from '../../driver.ts';
import { observeByHand } from './by-hand.ts';
import { callError } from './errors.ts';
import { localDriver } from './local-driver.ts';

const SERVICE = 'tailrace.v1.ChatStreamService';
/** An envelope: one byte of flags, the length, the message. */
const PREFIX_BYTES = 5;
const END_OF_STREAM = 0b10;

const ErrorJson = z.object({
  code: z.string(),
  message: z.string().default(''),
  details: z.array(z.object({ type: z.string(), value: z.string() })).default([]),
});

function connectError(json: unknown): ConnectError {
  const { code, message, details } = ErrorJson.parse(json);
  const found = Object.values(Code).find(
    (each) => typeof each === 'number' && snake(Code[each]) === code,
  );
  const error = new ConnectError(message, typeof found === 'number' ? found : Code.Unknown);
  error.details = details.map(({ type, value }) => ({
    type,
    value: new Uint8Array(Buffer.from(value, 'base64')),
  }));
  return error;
}

function snake(name: string | undefined): string {
  return (name ?? '').replaceAll(/(?<=[a-z])(?=[A-Z])/g, '_').toLowerCase();
}

function curl({ url, token }: Target, rpc: string, type: string, more: readonly string[]) {
  const authorization = token === undefined ? [] : ['-H', `authorization: Bearer ${token}`];
  const args = ['-sS', '-N', '-H', `content-type: ${type}`, ...authorization, ...more];
  return spawn('curl', [...args, '--data-binary', '@-', `${url}/${SERVICE}/${rpc}`], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
}

async function call(command: CallCommand): Promise<JsonObject> {
  const { timeoutMs } = command;
  const timeout = timeoutMs === undefined ? [] : ['-H', `connect-timeout-ms: ${timeoutMs}`];
  const child = curl(command, command.rpc, 'application/json', [
    '-w',
    String.raw`\n%{http_code}`,
    ...timeout,
  ]);
  let out = '';
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (out += chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (said += chunk));
  child.stdin.on('error', () => undefined);
  child.stdin.end(JSON.stringify(command.request));
  const [code] = (await once(child, 'close')) as [number | null];
  const status = out.slice(out.lastIndexOf('\n') + 1);
  const body = out.slice(0, out.lastIndexOf('\n'));
  if (code !== 0 && body === '') throw new ConnectError(said.trim(), Code.Unavailable);
  if (status === '200') return JSON.parse(body) as JsonObject;
  throw connectError(JSON.parse(body));
}

/** Each message of the stream, as it comes. Where nobody reads on, the pipe fills, and curl stops reading. */
async function* observe(
  to: Target,
  request: object,
  signal: AbortSignal,
): AsyncGenerator<ObserveChatStreamResponse> {
  const child = curl(to, 'ObserveChatStream', 'application/connect+json', []);
  const leave = (): void => void child.kill();
  signal.addEventListener('abort', leave, { once: true });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (said += chunk));
  child.stdin.on('error', () => undefined);
  child.stdin.end(enveloped(JSON.stringify(request)));
  let waiting: Buffer = Buffer.alloc(0);
  try {
    for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
      waiting = waiting.length === 0 ? chunk : Buffer.concat([waiting, chunk]);
      while (waiting.length >= PREFIX_BYTES) {
        const end = PREFIX_BYTES + waiting.readUInt32BE(1);
        if (waiting.length < end) break;
        const json = JSON.parse(waiting.toString('utf8', PREFIX_BYTES, end)) as JsonValue;
        const last = ((waiting[0] ?? 0) & END_OF_STREAM) !== 0;
        waiting = waiting.subarray(end);
        if (!last) yield fromJson(ObserveChatStreamResponseSchema, json);
        else if (typeof json === 'object' && json !== null && 'error' in json) {
          throw connectError(json['error']);
        } else return;
      }
    }
    throw new ConnectError(`the stream was cut: ${said.trim()}`, Code.Unavailable);
  } finally {
    signal.removeEventListener('abort', leave);
    leave();
  }
}

function enveloped(json: string): Buffer {
  const message = Buffer.from(json);
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

export function curlDriver() {
  return localDriver({
    call,
    observe: (command, sights) =>
      observeByHand(command, sights, (afterSequence, signal) =>
        observe(command, { streamId: command.streamId, afterSequence }, signal),
      ),
    toError: callError,
    close: () => undefined,
  });
}
