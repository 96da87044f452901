// The terminal event: made in one place, so that each of the four says the same things.
import type { MessageInitShape } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import type { FailureReason, StopReason, Usage } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import { ChatStreamStatus, FailureSchema } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import type { EventSchema } from '../../../gen/tailrace/v1/event_pb.ts';

export type End =
  | {
      readonly kind: 'completed';
      readonly stopReason: StopReason;
      /** The answer by a schema, as the model wrote it. */
      readonly outputJson?: string;
    }
  | { readonly kind: 'cancelled'; readonly reason: string }
  | {
      readonly kind: 'failed' | 'error';
      readonly reason: FailureReason;
      readonly message: string;
      readonly retryable: boolean;
    };

export type EventPayload = NonNullable<MessageInitShape<typeof EventSchema>['payload']>;

const STATUS = {
  completed: ChatStreamStatus.COMPLETED,
  cancelled: ChatStreamStatus.CANCELLED,
  failed: ChatStreamStatus.FAILED,
  error: ChatStreamStatus.ERROR,
} as const;

export function endStatus(end: End): ChatStreamStatus {
  return STATUS[end.kind];
}

export function endPayload(
  end: End,
  of: { readonly sequence: number; readonly sha256: string; readonly usage: Usage | undefined },
): EventPayload {
  const common = {
    status: endStatus(end),
    lastSequence: of.sequence,
    contentSha256: of.sha256,
    ...(of.usage === undefined ? {} : { usage: of.usage }),
  };
  switch (end.kind) {
    case 'completed':
      return {
        case: 'completed',
        value: { ...common, stopReason: end.stopReason, outputJson: end.outputJson ?? '' },
      };
    case 'cancelled':
      return { case: 'cancelled', value: { ...common, reason: end.reason } };
    case 'failed':
    case 'error': {
      const { reason, message, retryable } = end;
      const failure = create(FailureSchema, { reason, message, retryable });
      return { case: end.kind, value: { ...common, failure } };
    }
  }
}
