import assert from 'node:assert/strict';
import { test } from 'node:test';
import { create, createFileRegistry, fromBinary } from '@bufbuild/protobuf';
import {
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from '@bufbuild/protobuf/wkt';
import { createClient } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import * as v1 from '../../gen/grpc/reflection/v1/reflection_pb.ts';
import * as v1alpha from '../../gen/grpc/reflection/v1alpha/reflection_pb.ts';
import { startEdge } from './edge.ts';

type Question = Exclude<v1.ServerReflectionRequest['messageRequest'], { case: undefined }>;

function plain(question: string, value: string): Question {
  return { case: question, value } as Question;
}

for (const version of [v1, v1alpha]) {
  const { typeName } = version.ServerReflection;

  async function ask(url: string, ...questions: Question[]) {
    const client = createClient(version.ServerReflection, createGrpcTransport({ baseUrl: url }));
    async function* requests() {
      for (const messageRequest of questions) yield { host: 'here', messageRequest } as const;
    }
    const answers: (v1.ServerReflectionResponse | v1alpha.ServerReflectionResponse)[] = [];
    for await (const answer of client.serverReflectionInfo(requests())) answers.push(answer);
    return answers.map((answer) => answer.messageResponse);
  }

  function filesOf(answer: Awaited<ReturnType<typeof ask>>[number] | undefined) {
    assert.equal(answer?.case, 'fileDescriptorResponse', JSON.stringify(answer?.value));
    return answer.value.fileDescriptorProto.map((bytes) =>
      fromBinary(FileDescriptorProtoSchema, bytes),
    );
  }

  test(`${typeName} lists the services`, async () => {
    await using edge = await startEdge();
    const [answer] = await ask(edge.url, plain('listServices', ''));
    assert.equal(answer?.case, 'listServicesResponse');
    assert.deepEqual(
      answer.value.service.map(({ name }) => name),
      [
        'tailrace.v1.ChatStreamService',
        'grpc.health.v1.Health',
        'grpc.reflection.v1.ServerReflection',
        'grpc.reflection.v1alpha.ServerReflection',
      ],
    );
  });

  test(`${typeName} finds the file of every kind of symbol`, async () => {
    await using edge = await startEdge();
    const symbols: Readonly<Record<string, string>> = {
      'tailrace.v1.ChatStreamService': 'tailrace/v1/chat_stream_service.proto',
      'tailrace.v1.ChatStreamService.ListModels': 'tailrace/v1/chat_stream_service.proto',
      'tailrace.v1.ChatRequest': 'tailrace/v1/chat_request.proto',
      'tailrace.v1.ChatRequest.MetadataEntry': 'tailrace/v1/chat_request.proto',
      'tailrace.v1.ChatRequest.temperature': 'tailrace/v1/chat_request.proto',
      'tailrace.v1.Tool.kind': 'tailrace/v1/chat_request.proto',
      'tailrace.v1.Role': 'tailrace/v1/content.proto',
      'tailrace.v1.ROLE_USER': 'tailrace/v1/content.proto',
      'tailrace.v1.ErrorReason': 'tailrace/v1/error.proto',
      'buf.validate.field': 'buf/validate/validate.proto',
      'google.rpc.ErrorInfo': 'google/rpc/error_details.proto',
      'google.protobuf.Duration': 'google/protobuf/duration.proto',
    };
    for (const [symbol, file] of Object.entries(symbols)) {
      const [answer] = await ask(edge.url, plain('fileContainingSymbol', symbol));
      assert.equal(filesOf(answer)[0]?.name, file, symbol);
    }
    const [byName] = await ask(edge.url, plain('fileByFilename', 'tailrace/v1/event.proto'));
    assert.equal(filesOf(byName)[0]?.name, 'tailrace/v1/event.proto');
  });

  test(`${typeName} sends files with all that they import, once`, async () => {
    await using edge = await startEdge();
    const answers = await ask(
      edge.url,
      plain('fileContainingSymbol', 'tailrace.v1.ChatStreamService'),
      plain('fileByFilename', 'buf/validate/validate.proto'),
      plain('fileContainingSymbol', 'google.rpc.BadRequest'),
    );
    const first = filesOf(answers[0]);
    assert.equal(new Set(first.map(({ name }) => name)).size, first.length);
    const service = registryOf(first).getService('tailrace.v1.ChatStreamService');
    assert.equal(service?.method['observeChatStream']?.methodKind, 'server_streaming');
    // What is asked for by name comes again, what it imports does not.
    assert.deepEqual(
      filesOf(answers[1]).map(({ name }) => name),
      ['buf/validate/validate.proto'],
    );
  });

  test(`${typeName} knows extensions`, async () => {
    await using edge = await startEdge();
    const containingType = 'google.protobuf.FieldOptions';
    const extension = {
      case: 'fileContainingExtension',
      value: { containingType, extensionNumber: 1159 },
    };
    const [file, numbers, none] = await ask(
      edge.url,
      extension as Question,
      plain('allExtensionNumbersOfType', containingType),
      plain('allExtensionNumbersOfType', 'tailrace.v1.ChatRequest'),
    );
    assert.equal(filesOf(file)[0]?.name, 'buf/validate/validate.proto');
    assert.equal(numbers?.case, 'allExtensionNumbersResponse');
    assert.ok(numbers.value.extensionNumber.includes(1159));
    assert.equal(none?.case, 'allExtensionNumbersResponse');
    assert.deepEqual(none.value.extensionNumber, []);
  });

  test(`${typeName} says NOT_FOUND for what is not there, and goes on`, async () => {
    await using edge = await startEdge();
    const answers = await ask(
      edge.url,
      plain('fileByFilename', 'no/such.proto'),
      plain('fileContainingSymbol', 'no.such.Symbol'),
      plain('allExtensionNumbersOfType', 'no.such.Type'),
      plain('listServices', ''),
    );
    for (const answer of answers.slice(0, 3)) {
      assert.equal(answer.case, 'errorResponse');
      assert.equal(answer.value.errorCode, 5);
    }
    assert.equal(answers[3]?.case, 'listServicesResponse');
  });
}

function registryOf(file: FileDescriptorProto[]) {
  return createFileRegistry(create(FileDescriptorSetSchema, { file: inOrder(file) }));
}

/** Files after what they import, as descriptor sets are. */
function inOrder(files: readonly FileDescriptorProto[]): FileDescriptorProto[] {
  const byName = new Map(files.map((file) => [file.name, file]));
  const done = new Set<FileDescriptorProto>();
  function add(file: FileDescriptorProto | undefined): void {
    assert.ok(file, 'an import is missing');
    if (done.has(file)) return;
    for (const name of file.dependency) add(byName.get(name));
    done.add(file);
  }
  for (const file of files) add(file);
  return [...done];
}
