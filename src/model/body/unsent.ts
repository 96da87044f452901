// What a conversation holds that cannot be sent.
import { FailureReason } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import { ModelFailure } from '../../chat/ports/model.ts';

/** The door refuses these; to leave one out here would be to ignore it in silence. */
export function unsent(what: string): ModelFailure {
  return new ModelFailure(
    FailureReason.INTERNAL,
    `The conversation has ${what}, which this version cannot send to a model server. That is a ` +
      'defect: it should have been refused when the chat was started.',
    { retryable: false },
  );
}
