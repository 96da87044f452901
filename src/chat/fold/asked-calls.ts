// The fold of events to what the client's tools were asked for, and what came of it. Both are steps of
// their own in the log, which no attempt supersedes.
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { createHash } from 'node:crypto';
import type { ToolResultBlock, ToolUseBlock } from '../../../gen/tailrace/v1/content_pb.ts';
import { ToolResultBlockSchema } from '../../../gen/tailrace/v1/content_pb.ts';
import type { Event } from '../../../gen/tailrace/v1/event_pb.ts';
import { EventBatchSchema } from '../../../gen/tailrace/v1/event_pb.ts';
import type { AskedCall } from '../decisions/tool-decisions.ts';

export class AskedCalls {
  readonly #calls = new Map<string, { readonly toolUse: ToolUseBlock; answer?: string }>();

  apply({ payload }: Event): void {
    if (payload.case === 'toolResultsRequested') {
      for (const toolUse of payload.value.toolUses) this.#calls.set(toolUse.id, { toolUse });
    } else if (payload.case === 'toolResultsReceived') {
      for (const result of payload.value.results) {
        const call = this.#calls.get(result.toolUseId);
        if (call !== undefined) call.answer = answerOf(result);
      }
    }
  }

  take(record: Uint8Array): void {
    for (const event of fromBinary(EventBatchSchema, record).events) this.apply(event);
  }

  has(id: string): boolean {
    return this.#calls.has(id);
  }

  asked(): AskedCall[] {
    return [...this.#calls].map(([id, { answer }]) => ({ id, answer }));
  }

  /** The calls without a result. */
  pending(): ToolUseBlock[] {
    return [...this.#calls.values()].flatMap(({ toolUse, answer }) =>
      answer === undefined ? [toolUse] : [],
    );
  }
}

/** Tells a result from others: equal for equal ones. */
export function answerOf(result: ToolResultBlock): string {
  const isError = result.isError ?? false;
  const bytes = toBinary(ToolResultBlockSchema, { ...result, isError });
  return createHash('sha256').update(bytes).digest('base64');
}
