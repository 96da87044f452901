// The load: chats over gRPC by grpc-js, and over Connect with JSON by node:http. Answers are read as
// bytes: what is measured is the server, so the client does as little as it can.
import { Client, credentials } from '@grpc/grpc-js';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import http from 'node:http';
import {
  CancelChatStreamRequestSchema,
  InitiateChatStreamRequestSchema,
  InitiateChatStreamResponseSchema,
  ObserveChatStreamRequestSchema,
} from '../gen/tailrace/v1/chat_stream_service_pb.ts';
import { Role } from '../gen/tailrace/v1/content_pb.ts';
import type { ScriptInput } from '../test/model-server/script.ts';

const SERVICE = '/tailrace.v1.ChatStreamService';

/** Called for each delta with when the model server sent it and when it is here, in epoch µs. */
export type OnToken = (sentUs: number, hereUs: number) => void;

export interface Load {
  /** Resolves with the stream id when the server has answered. */
  readonly initiate: (script: ScriptInput) => Promise<string>;
  /** Resolves when the server has answered that the chat is over, or that it has not ended yet. */
  readonly cancel: (streamId: string) => Promise<void>;
  /** Resolves at the end of the stream. */
  readonly observe: (streamId: string, onToken: OnToken) => Promise<void>;
  readonly close: () => void;
}

export function nowUs(): number {
  return (performance.timeOrigin + performance.now()) * 1_000;
}

const TOKEN = /\d+:(\d{16}) /g;

function findTokens(text: string, onToken: OnToken): void {
  const here = nowUs();
  for (const match of text.matchAll(TOKEN)) onToken(Number(match[1]), here);
}

export function grpcLoad(url: string): Load {
  const client = new Client(new URL(url).host, credentials.createInsecure());
  const asIs = (bytes: Buffer): Buffer => bytes;
  const call = (rpc: string, message: Uint8Array): Promise<Buffer> =>
    new Promise((resolve, reject) => {
      const path = `${SERVICE}/${rpc}`;
      client.makeUnaryRequest(path, asIs, asIs, Buffer.from(message), (error, answer) => {
        if (error !== null || answer === undefined) reject(error ?? new Error('no answer'));
        else resolve(answer);
      });
    });
  return {
    initiate: async (script) => {
      const text = JSON.stringify(script);
      const content = [{ block: { case: 'text', value: text } as const }];
      const request = create(InitiateChatStreamRequestSchema, {
        request: { messages: [{ role: Role.USER, content }] },
      });
      const message = toBinary(InitiateChatStreamRequestSchema, request);
      const answer = await call('InitiateChatStream', message);
      return fromBinary(InitiateChatStreamResponseSchema, answer).streamId;
    },
    cancel: async (streamId) => {
      const request = create(CancelChatStreamRequestSchema, { streamId });
      await call('CancelChatStream', toBinary(CancelChatStreamRequestSchema, request));
    },
    observe: (streamId, onToken) =>
      new Promise((resolve, reject) => {
        const request = create(ObserveChatStreamRequestSchema, { streamId });
        const bytes = Buffer.from(toBinary(ObserveChatStreamRequestSchema, request));
        const path = `${SERVICE}/ObserveChatStream`;
        const stream = client.makeServerStreamRequest(path, asIs, asIs, bytes);
        stream.on('data', (message: Buffer) => findTokens(message.toString('latin1'), onToken));
        stream.on('error', reject);
        stream.on('end', resolve);
      }),
    close: () => client.close(),
  };
}

export function connectJsonLoad(url: string): Load {
  const agent = new http.Agent({ keepAlive: true });
  const post = (
    rpc: string,
    contentType: string,
    body: Buffer,
    onChunk: (chunk: Buffer) => void,
  ): Promise<void> =>
    new Promise((resolve, reject) => {
      const headers = { 'content-type': contentType, 'content-length': body.length };
      const request = http.request(
        `${url}${SERVICE}/${rpc}`,
        { method: 'POST', agent, headers },
        (response) => {
          if (response.statusCode !== 200) reject(new Error(`${rpc}: ${response.statusCode}`));
          response.on('data', onChunk);
          response.on('end', resolve);
          response.on('error', reject);
        },
      );
      request.on('error', reject);
      request.end(body);
    });
  return {
    initiate: async (script) => {
      const text = JSON.stringify(script);
      const messages = [{ role: 'ROLE_USER', content: [{ text }] }];
      const body = Buffer.from(JSON.stringify({ request: { messages } }));
      let answer = '';
      await post('InitiateChatStream', 'application/json', body, (chunk) => {
        answer += chunk.toString();
      });
      return (JSON.parse(answer) as { streamId: string }).streamId;
    },
    cancel: (streamId) => {
      const body = Buffer.from(JSON.stringify({ streamId }));
      return post('CancelChatStream', 'application/json', body, () => undefined);
    },
    observe: (streamId, onToken) => {
      const message = Buffer.from(JSON.stringify({ streamId }));
      const prefix = Buffer.alloc(5);
      prefix.writeUInt32BE(message.length, 1);
      const body = Buffer.concat([prefix, message]);
      let rest = '';
      return post('ObserveChatStream', 'application/connect+json', body, (chunk) => {
        // A chunk may end inside a token, which is then found with the next one.
        const text = rest + chunk.toString('latin1');
        const whole = text.lastIndexOf(' ') + 1;
        rest = text.slice(whole);
        findTokens(text.slice(0, whole), onToken);
      });
    },
    close: () => agent.destroy(),
  };
}
