// clients/testdata/folds.json, which every client's own tests read, against the server's own fold: the cases themselves
// are right. And against the TypeScript client's, whose observation holds the sequence before it folds.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fromJson, type JsonObject, toJson } from '@bufbuild/protobuf';
import { ContentBlockSchema } from '../../gen/tailrace/v1/content_pb.ts';
import {
  ChatFold,
  EventSchema as ClientEventSchema,
} from '../../clients/typescript/src/tailrace.ts';
import { EventSchema } from '../../gen/tailrace/v1/event_pb.ts';
import { AnswerFold } from '../../src/chat/fold/answer.ts';

interface FoldCase {
  readonly name: string;
  readonly events: readonly JsonObject[];
  readonly after?: number;
  readonly text?: string;
  readonly output?: readonly JsonObject[];
  readonly fault?: string;
}

const file = join(import.meta.dirname, '../../clients/testdata/folds.json');
const { cases } = JSON.parse(readFileSync(file, 'utf8')) as { cases: FoldCase[] };

for (const { name, events, after, text, output } of cases) {
  // Faults are for clients: the server wrote the log itself. So are observations from a cursor on.
  if (text === undefined || after !== undefined) continue;
  test(`the fold that clients are tested by is the server’s: ${name}`, () => {
    const fold = new AnswerFold();
    const read = events.map((json) => fromJson(EventSchema, json));
    for (const event of read) fold.apply(event);
    assert.deepEqual(
      fold.output().map((block) => toJson(ContentBlockSchema, block)),
      output,
    );
    const end = read.at(-1)?.payload.value;
    assert.ok(end !== undefined && 'contentSha256' in end);
    assert.equal(end.contentSha256, createHash('sha256').update(text).digest('hex'));
    assert.equal(end.contentSha256, fold.contentSha256());
  });
}

for (const { name, events, after = 0, text, fault } of cases) {
  if (fault === 'sequence') continue;
  test(`the TypeScript client folds as all clients do: ${name}`, () => {
    const fold = new ChatFold('s', after);
    const apply = (): void => {
      for (const json of events) fold.apply(fromJson(ClientEventSchema, json));
    };
    if (fault === 'hash') return assert.throws(apply, { reason: 'CONTENT_MISMATCH' });
    apply();
    assert.equal(fold.snapshot.text, text);
    assert.ok(fold.snapshot.ended);
  });
}
