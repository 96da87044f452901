// What tells of bytes that are not given back which they were.
import { create } from '@bufbuild/protobuf';
import { createHash } from 'node:crypto';
import type { ContentDigest } from '../../../gen/tailrace/v1/content_pb.ts';
import { ContentDigestSchema } from '../../../gen/tailrace/v1/content_pb.ts';

export function digestOf(data: Uint8Array): ContentDigest {
  return create(ContentDigestSchema, {
    sizeBytes: data.length,
    sha256: createHash('sha256').update(data).digest('hex'),
  });
}
