// The rules are compiled from vendor/proto and obeyed by the copy inside @bufbuild/protovalidate: both must say the same.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { create, createRegistry, fromBinary, toJson } from '@bufbuild/protobuf';
import {
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from '@bufbuild/protobuf/wkt';
import { file_buf_validate_validate } from '@bufbuild/protovalidate/gen/buf/validate/validate_pb.js';

const ROOT = join(import.meta.dirname, '../..');
const REGISTRY = createRegistry(file_buf_validate_validate);

/** What buf drops when it generates code: names that follow from others, and nothing else. */
function comparable(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(comparable);
  if (value === null || typeof value !== 'object') return value;
  const kept = Object.entries(value).filter(([key]) => key !== 'jsonName');
  return Object.fromEntries(kept.map(([key, inner]) => [key, comparable(inner)]));
}

function describe(file: FileDescriptorProto): unknown {
  return comparable(toJson(FileDescriptorProtoSchema, file, { registry: REGISTRY }));
}

test('the vendored validate.proto equals the one that protovalidate obeys', () => {
  const image = execFileSync(
    join(ROOT, 'node_modules/.bin/buf'),
    ['build', 'vendor/proto', '--exclude-source-info', '-o', '-#format=binpb'],
    { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 16 * 1024 * 1024 },
  );
  const ours = fromBinary(FileDescriptorSetSchema, image).file.find(
    (file) => file.name === 'buf/validate/validate.proto',
  );
  assert.ok(ours, 'vendor/proto has no buf/validate/validate.proto');
  const theirs = create(FileDescriptorProtoSchema, {
    ...file_buf_validate_validate.proto,
    name: ours.name,
  });
  assert.deepEqual(describe(ours), describe(theirs));
  assert.match(readFileSync(join(ROOT, 'buf.gen.yaml'), 'utf8'), /map_imports=buf\/validate\//);
});
