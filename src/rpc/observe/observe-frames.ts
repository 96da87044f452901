// The frames of ObserveChatStream, made once and shared by all observers of a chat. The prefix of a
// message is the same in gRPC, gRPC-Web and Connect, so the bytes are, too.
import {
  create,
  fromBinary,
  type MessageInitShape,
  toBinary,
  toJsonString,
} from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import {
  type AttachedSchema,
  type HeartbeatSchema,
  ObserveChatStreamResponseSchema,
} from '../../../gen/tailrace/v1/chat_stream_service_pb.ts';
import { timestampFromMillis } from '../../chat/log/event-time.ts';
import { PREFIX_BYTES } from '../request/request-body.ts';

export interface Frame {
  /** The prefix and the message. Shared: never to be written to. */
  readonly binary: Uint8Array;
  /** The prefix and the message as JSON; made when the first observer wants it. */
  json(): Uint8Array;
}

const { batch, storedTime, sentTime } = ObserveChatStreamResponseSchema.field;

/**
 * What was appended, as it lies in the log: encoded batches may be joined, so that the records are
 * not decoded. `storedTimeMs` is that of the newest of them.
 */
export function batchFrame(
  records: readonly Uint8Array[],
  storedTimeMs: number,
  sentTimeMs: number,
): Frame {
  const writer = new BinaryWriter().raw(new Uint8Array(PREFIX_BYTES));
  const length = records.reduce((sum, record) => sum + record.byteLength, 0);
  writer.tag(batch.number, WireType.LengthDelimited).uint32(length);
  for (const record of records) writer.raw(record);
  writeTime(writer, storedTime.number, storedTimeMs);
  writeTime(writer, sentTime.number, sentTimeMs);
  const bytes = writer.finish();
  writePrefix(bytes, 0);
  return frameOf(bytes);
}

export function attachedFrame(
  attached: MessageInitShape<typeof AttachedSchema>,
  sentTimeMs: number,
): Frame {
  return ownFrame({
    frame: { case: 'attached', value: attached },
    sentTime: timestampFromMillis(sentTimeMs),
  });
}

export function heartbeatFrame(
  heartbeat: MessageInitShape<typeof HeartbeatSchema>,
  sentTimeMs: number,
): Frame {
  return ownFrame({
    frame: { case: 'heartbeat', value: heartbeat },
    sentTime: timestampFromMillis(sentTimeMs),
  });
}

/** One message with its prefix. */
export function framed(flags: number, message: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(PREFIX_BYTES + message.byteLength);
  bytes.set(message, PREFIX_BYTES);
  writePrefix(bytes, flags);
  return bytes;
}

function ownFrame(message: MessageInitShape<typeof ObserveChatStreamResponseSchema>): Frame {
  const schema = ObserveChatStreamResponseSchema;
  return frameOf(framed(0, toBinary(schema, create(schema, message))));
}

function frameOf(binary: Uint8Array): Frame {
  let json: Uint8Array | undefined;
  return {
    binary,
    json: () => (json ??= asJson(binary)),
  };
}

function asJson(binary: Uint8Array): Uint8Array {
  const schema = ObserveChatStreamResponseSchema;
  const message = fromBinary(schema, binary.subarray(PREFIX_BYTES));
  return framed(0, Buffer.from(toJsonString(schema, message)));
}

function writeTime(writer: BinaryWriter, field: number, ms: number): void {
  const seconds = Math.floor(ms / 1_000);
  const nanos = Math.floor((ms - seconds * 1_000) * 1e6);
  writer.tag(field, WireType.LengthDelimited).fork();
  if (seconds !== 0) writer.tag(1, WireType.Varint).int64(seconds);
  if (nanos !== 0) writer.tag(2, WireType.Varint).int32(nanos);
  writer.join();
}

function writePrefix(bytes: Uint8Array, flags: number): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, PREFIX_BYTES);
  view.setUint8(0, flags);
  view.setUint32(1, bytes.byteLength - PREFIX_BYTES);
}
