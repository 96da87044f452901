// DeleteChatStream: durable first (law 8). From the delete command on the chat is NOT_FOUND for
// everyone; what the call does not finish is finished by a control loop.
import type { CarryOutDeps } from '../../chat/log/carry-out.ts';
import { carryOutDelete } from '../../chat/log/carry-out.ts';
import type { ChatKey } from '../../chat/chat-key.ts';
import type { Command } from '../../chat/ports/commands.ts';
import { controlCommand } from '../../chat/decisions/next-command.ts';
import { decideDeleteCall } from '../../chat/decisions/decisions.ts';
import { ChatError, storeFull, streamNotFound } from '../../chat/errors.ts';
import { CANCEL_TAKEOVER_MS, PUBLISH_TRIES } from '../../chat/limits.ts';
import { fieldsOf } from '../../chat/ports/log-fields.ts';
import type { Logger } from '../../chat/ports/logger.ts';
import { readBoth } from '../../chat/log/read-chat.ts';

export interface DeleteDeps extends CarryOutDeps {
  readonly logger: Logger;
}

export async function deleteChatStream(deps: DeleteDeps, chat: ChatKey): Promise<Command> {
  const command = await commandDelete(deps, chat);
  await carryOutDelete(deps, command, CANCEL_TAKEOVER_MS);
  deps.logger.info(fieldsOf(command), 'a chat was deleted');
  return command;
}

async function commandDelete(deps: DeleteDeps, chat: ChatKey): Promise<Command> {
  let cause: unknown;
  // One command for all tries: what was in doubt may land late, and is then this call's own.
  let own: Omit<Command, 'sequence'> | undefined;
  for (let tries = 0; tries <= PUBLISH_TRIES; tries++) {
    const reading = await readBoth(deps.inbox, deps.log, chat);
    const next = decideDeleteCall(reading, own?.meta.appendId, Date.now());
    if (next.do === 'carry-out') return next.command;
    if (next.do === 'answer-not-found') throw streamNotFound(chat.streamId);
    if (tries === PUBLISH_TRIES) break;
    own ??= controlCommand(next.at.start, 'delete', '');
    const outcome = await deps.inbox.publish(own, next.at.newest.sequence);
    if (outcome.type === 'stored') return { ...own, sequence: outcome.storeSequence };
    if (outcome.type === 'full') throw storeFull(outcome.cause);
    if (outcome.type !== 'refused') cause = outcome.cause;
  }
  throw new ChatError(
    'LOG_UNAVAILABLE',
    'The log (NATS JetStream) did not confirm the delete, so the chat may still be there. Repeat the call.',
    { retryAfterMs: 1_000, cause },
  );
}
