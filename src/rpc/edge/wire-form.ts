// Which of the protocols a request speaks, told by its method and content type alone.
import type { DescMethod } from '@bufbuild/protobuf';
import { MethodOptions_IdempotencyLevel } from '@bufbuild/protobuf/wkt';
import * as connect from '@connectrpc/connect/protocol-connect';
import * as grpc from '@connectrpc/connect/protocol-grpc';
import * as grpcWeb from '@connectrpc/connect/protocol-grpc-web';

export interface WireForm {
  readonly protocol: 'grpc' | 'grpc-web' | 'connect';
  /** Protobuf's binary form; else JSON. */
  readonly binary: boolean;
  /** Messages come in frames with a 5-byte prefix. Connect's unary calls have the bare message. */
  readonly framed: boolean;
  /** The content type of the answer's messages. */
  readonly contentType: string;
}

export function allowsGet(method: DescMethod): boolean {
  return (
    method.methodKind === 'unary' &&
    method.idempotency === MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS
  );
}

/** Undefined: no protocol that the rpc can be called by. */
export function wireForm(
  method: DescMethod,
  contentType: string | undefined,
): WireForm | undefined {
  const said = contentType ?? null;
  const asGrpc = grpc.parseContentType(said);
  if (asGrpc) {
    const type = asGrpc.binary ? grpc.contentTypeProto : grpc.contentTypeJson;
    return { protocol: 'grpc', framed: true, binary: asGrpc.binary, contentType: type };
  }
  const asWeb = grpcWeb.parseContentType(said);
  if (asWeb) {
    if (asWeb.text) return undefined;
    const type = asWeb.binary ? grpcWeb.contentTypeProto : grpcWeb.contentTypeJson;
    return { protocol: 'grpc-web', framed: true, binary: asWeb.binary, contentType: type };
  }
  const asConnect = connect.parseContentType(said);
  if (asConnect?.stream !== (method.methodKind !== 'unary')) return undefined;
  return connectForm(asConnect.stream, asConnect.binary);
}

export function connectForm(stream: boolean, binary: boolean): WireForm {
  const unaryType = binary ? connect.contentTypeUnaryProto : connect.contentTypeUnaryJson;
  const streamType = binary ? connect.contentTypeStreamProto : connect.contentTypeStreamJson;
  const contentType = stream ? streamType : unaryType;
  return { protocol: 'connect', framed: stream, binary, contentType };
}

/** The content types by which an rpc can be called, for who came with another. */
export function acceptedTypes(method: DescMethod): readonly string[] {
  const own =
    method.methodKind === 'unary'
      ? [connect.contentTypeUnaryJson, connect.contentTypeUnaryProto]
      : [connect.contentTypeStreamJson, connect.contentTypeStreamProto];
  return [
    ...own,
    'application/grpc',
    grpc.contentTypeProto,
    grpc.contentTypeJson,
    'application/grpc-web',
    grpcWeb.contentTypeProto,
    grpcWeb.contentTypeJson,
  ];
}
