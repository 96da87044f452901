// grpc.reflection v1 and v1alpha over the generated descriptors, for grpcurl and its like.
import {
  type DescFile,
  type DescMethod,
  type DescService,
  type MessageInitShape,
  toBinary,
} from '@bufbuild/protobuf';
import { nestedTypes } from '@bufbuild/protobuf/reflect';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { Code, type ServiceImpl } from '@connectrpc/connect';
import type * as v1 from '../../gen/grpc/reflection/v1/reflection_pb.ts';
import type * as v1alpha from '../../gen/grpc/reflection/v1alpha/reflection_pb.ts';

interface DescriptorIndex {
  readonly services: readonly string[];
  readonly files: ReadonlyMap<string, DescFile>;
  readonly symbols: ReadonlyMap<string, DescFile>;
  /** By extended type and number. */
  readonly extensions: ReadonlyMap<string, ReadonlyMap<number, DescFile>>;
}

/** `more`: files that no service names but that its errors carry. */
export function descriptorIndex(
  services: readonly DescService[],
  more: readonly DescFile[],
): DescriptorIndex {
  const files = new Map<string, DescFile>();
  const symbols = new Map<string, DescFile>();
  const extensions = new Map<string, Map<number, DescFile>>();

  function add(file: DescFile): void {
    if (files.has(file.proto.name)) return;
    files.set(file.proto.name, file);
    for (const type of nestedTypes(file)) {
      symbols.set(type.typeName, file);
      // Nested types by their descriptors, too: those of map entries are there alone.
      const inside =
        type.kind === 'message' ? [...type.fields, ...type.oneofs, ...type.proto.nestedType] : [];
      const methods: readonly DescMethod[] = type.kind === 'service' ? type.methods : [];
      for (const { name } of [...inside, ...methods]) symbols.set(`${type.typeName}.${name}`, file);
      if (type.kind === 'enum') {
        // The names of an enum's values stand beside it, not in it.
        const scope = type.typeName.slice(0, -type.name.length);
        for (const { name } of type.values) symbols.set(scope + name, file);
      } else if (type.kind === 'extension') {
        const extended = type.extendee.typeName;
        const numbers = extensions.get(extended) ?? new Map<number, DescFile>();
        extensions.set(extended, numbers.set(type.number, file));
      }
    }
    for (const dependency of file.dependencies) add(dependency);
  }
  for (const service of services) add(service.file);
  for (const file of more) add(file);
  return { services: services.map((service) => service.typeName), files, symbols, extensions };
}

export function reflectionV1(index: DescriptorIndex): ServiceImpl<typeof v1.ServerReflection> {
  return {
    async *serverReflectionInfo(requests) {
      const sent = new Set<DescFile>();
      for await (const request of requests) {
        yield {
          validHost: request.host,
          originalRequest: request,
          messageResponse: answer(index, request.messageRequest, sent),
        };
      }
    },
  };
}

export function reflectionV1Alpha(
  index: DescriptorIndex,
): ServiceImpl<typeof v1alpha.ServerReflection> {
  return {
    async *serverReflectionInfo(requests) {
      const sent = new Set<DescFile>();
      for await (const request of requests) {
        yield {
          validHost: request.host,
          originalRequest: request,
          messageResponse: answer(index, request.messageRequest, sent),
        };
      }
    },
  };
}

type Question = (v1.ServerReflectionRequest | v1alpha.ServerReflectionRequest)['messageRequest'];
/** What both versions can send. */
type Answer = NonNullable<
  MessageInitShape<typeof v1.ServerReflectionResponseSchema>['messageResponse'] &
    MessageInitShape<typeof v1alpha.ServerReflectionResponseSchema>['messageResponse']
>;

function answer(index: DescriptorIndex, question: Question, sent: Set<DescFile>): Answer {
  switch (question.case) {
    case 'listServices': {
      const service = index.services.map((name) => ({ name }));
      return { case: 'listServicesResponse', value: { service } };
    }
    case 'fileByFilename':
      return fileAnswer(index.files.get(question.value), question.value, sent);
    case 'fileContainingSymbol':
      return fileAnswer(index.symbols.get(question.value), question.value, sent);
    case 'fileContainingExtension': {
      const { containingType, extensionNumber } = question.value;
      const file = index.extensions.get(containingType)?.get(extensionNumber);
      return fileAnswer(file, `${containingType} ${extensionNumber}`, sent);
    }
    case 'allExtensionNumbersOfType': {
      const baseTypeName = question.value;
      if (!index.symbols.has(baseTypeName)) return notFound(baseTypeName);
      const extensionNumber = [...(index.extensions.get(baseTypeName)?.keys() ?? [])];
      const value = { baseTypeName, extensionNumber };
      return { case: 'allExtensionNumbersResponse', value };
    }
    case undefined:
      return errorAnswer(Code.InvalidArgument, 'The request asks for nothing.');
  }
}

/** The file and what it needs, without what this caller has already. */
function fileAnswer(file: DescFile | undefined, name: string, sent: Set<DescFile>): Answer {
  if (!file) return notFound(name);
  sent.delete(file);
  const files = [...withDependencies(file, sent)];
  const fileDescriptorProto = files.map((one) => toBinary(FileDescriptorProtoSchema, one.proto));
  return { case: 'fileDescriptorResponse', value: { fileDescriptorProto } };
}

function* withDependencies(file: DescFile, sent: Set<DescFile>): Generator<DescFile> {
  if (sent.has(file)) return;
  sent.add(file);
  yield file;
  for (const dependency of file.dependencies) yield* withDependencies(dependency, sent);
}

function notFound(name: string): Answer {
  return errorAnswer(Code.NotFound, `This server has no "${name}".`);
}

function errorAnswer(errorCode: Code, errorMessage: string): Answer {
  return { case: 'errorResponse', value: { errorCode, errorMessage } };
}
