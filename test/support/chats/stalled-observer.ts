// An observer that takes its first frame and then reads nothing until it is told to: a phone in a
// tunnel. By bare HTTP/2, so that nothing but its window lies between it and the server.
import type { ClientHttp2Session } from 'node:http2';
import { connect } from 'node:http2';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  ChatStreamService,
  ObserveChatStreamRequestSchema,
  ObserveChatStreamResponseSchema,
} from '../../../gen/tailrace/v1/chat_stream_service_pb.ts';
import type { ObserveChatStreamResponse } from '../../../gen/tailrace/v1/chat_stream_service_pb.ts';

const PREFIX_BYTES = 5;

export interface StalledObserver extends Disposable {
  /** Reads on; resolves at the stream's end with all of its messages. */
  readonly resume: () => Promise<ObserveChatStreamResponse[]>;
}

/** Resolves when the first bytes are there: it is attached. */
export async function stalledObserver(url: string, streamId: string): Promise<StalledObserver> {
  const session: ClientHttp2Session = connect(url);
  const { typeName, method } = ChatStreamService;
  const call = session.request({
    ':method': 'POST',
    ':path': `/${typeName}/${method.observeChatStream.name}`,
    'content-type': 'application/grpc+proto',
    te: 'trailers',
  });
  const request = create(ObserveChatStreamRequestSchema, { streamId });
  const message = toBinary(ObserveChatStreamRequestSchema, request);
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(message.length, 1);
  call.end(Buffer.concat([prefix, message]));
  const ended = Promise.withResolvers<void>();
  const attached = Promise.withResolvers<void>();
  call.on('error', (error) => {
    attached.reject(error);
    ended.reject(error);
  });
  session.on('error', (error: Error) => call.destroy(error));
  call.once('end', ended.resolve);
  ended.promise.catch(() => undefined);
  call.once('readable', attached.resolve);
  await attached.promise;
  return {
    resume: async () => {
      const chunks: Buffer[] = [];
      call.on('data', (chunk: Buffer) => chunks.push(chunk));
      await ended.promise;
      return messagesIn(Buffer.concat(chunks));
    },
    [Symbol.dispose]: () => session.destroy(),
  };
}

function messagesIn(bytes: Buffer): ObserveChatStreamResponse[] {
  const messages: ObserveChatStreamResponse[] = [];
  for (let at = 0; at < bytes.length;) {
    const start = at + PREFIX_BYTES;
    at = start + bytes.readUInt32BE(at + 1);
    messages.push(fromBinary(ObserveChatStreamResponseSchema, bytes.subarray(start, at)));
  }
  return messages;
}
