// CancelChatStream: durable first (law 8). A queued chat is ended by whoever takes the call; a
// running one by its worker, which the command's bell reaches, or else by a control loop.
import type { ChatStream } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import type { ChatKey } from '../../chat/chat-key.ts';
import type { CommandInbox } from '../../chat/ports/commands.ts';
import { controlCommand } from '../../chat/decisions/next-command.ts';
import type { ChatAtLeader } from '../../chat/decisions/decisions.ts';
import { decideCancel } from '../../chat/decisions/decisions.ts';
import { endChat } from '../../chat/log/end-chat.ts';
import { ChatError, storeFull } from '../../chat/errors.ts';
import type { AppendOutcome, EventLog } from '../../chat/ports/event-log.ts';
import { CANCEL_ANSWER_MS, NATS_REQUEST_MS, PUBLISH_TRIES } from '../../chat/limits.ts';
import { fieldsOf } from '../../chat/ports/log-fields.ts';
import type { Logger } from '../../chat/ports/logger.ts';
import { readChat, readView } from '../../chat/log/read-chat.ts';

export interface CancelDeps {
  readonly inbox: CommandInbox;
  readonly log: EventLog;
  readonly logger: Logger;
  /** Resolves when the chat is at its end, or after the time. */
  readonly untilOver: (chat: ChatKey, timeoutMs: number, signal: AbortSignal) => Promise<void>;
}

export async function cancelChatStream(
  deps: CancelDeps,
  chat: ChatKey,
  reason: string,
  signal: AbortSignal,
): Promise<ChatStream> {
  const deadlineMs = performance.now() + CANCEL_ANSWER_MS;
  let cause: unknown;
  for (let tries = 0; tries < PUBLISH_TRIES; tries++) {
    const at = await readChat(deps.inbox, deps.log, chat);
    const decision = decideCancel(at.tail);
    if (decision.do === 'nothing') return readView(deps.log, at.start, at.tail);
    if (decision.do === 'append') {
      const end = { kind: 'cancelled', reason } as const;
      // Stored, or another was quicker: in both cases the next reading says what is true.
      const settled = await endChat(deps.log, chat, at.start, at.tail, end, NATS_REQUEST_MS);
      if (settled.type === 'unavailable') {
        throw settled.full ? storeFull(settled.cause) : notDurable(settled.cause);
      }
      if (settled.type === 'stored') {
        deps.logger.info(fieldsOf(at.start), 'a chat that no worker held was cancelled');
      } else if (performance.now() < deadlineMs) {
        // A waiting chat's results may come in one by one, each quicker than this: no fault of the log.
        tries--;
      }
      continue;
    }
    const outcome = await commandCancel(deps, at, reason);
    if (outcome.type === 'stored') {
      await deps.untilOver(chat, deadlineMs - performance.now(), signal);
      const { start, tail } = await readChat(deps.inbox, deps.log, chat);
      return readView(deps.log, start, tail);
    }
    if (outcome.type === 'full') throw storeFull(outcome.cause);
    // Refused: the chat's commands have moved on. In doubt, as beside another write that is on its way:
    // the next reading shows the command where it landed.
    if (outcome.type === 'doubt') cause = outcome.cause;
    if (performance.now() >= deadlineMs) break;
  }
  throw notDurable(cause);
}

/** Stored: there is a command that cancels, this one or another. */
async function commandCancel(
  deps: CancelDeps,
  at: ChatAtLeader,
  reason: string,
): Promise<AppendOutcome> {
  const { newest } = at;
  if (newest.verb === 'cancel') return { type: 'stored', storeSequence: newest.sequence };
  return deps.inbox.publish(controlCommand(at.start, 'cancel', reason), newest.sequence);
}

function notDurable(cause: unknown): ChatError {
  return new ChatError(
    'LOG_UNAVAILABLE',
    'The log (NATS JetStream) did not confirm the cancel, so the chat may still run. Repeat the call.',
    { retryAfterMs: 1_000, cause },
  );
}
