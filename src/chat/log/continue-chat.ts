// Publishing the continue of a chat whose client tools have all answered: by the call that brought the
// last result, or by the sweep where that is gone. One for each results record, whoever comes.
import type { Command, CommandInbox } from '../ports/commands.ts';
import { ChatError } from '../errors.ts';
import type { EventLog } from '../ports/event-log.ts';
import { PUBLISH_TRIES } from '../limits.ts';
import { continueCommand } from '../decisions/next-command.ts';
import { decideContinue } from '../decisions/tool-decisions.ts';

export interface ContinueDeps {
  readonly inbox: CommandInbox;
  readonly log: EventLog;
}

/** True: this call published it. False: there was nothing to publish. Rejects with LOG_UNAVAILABLE. */
export async function continueChat(deps: ContinueDeps, start: Command): Promise<boolean> {
  const { chat } = start;
  let cause: unknown;
  // The same for all tries: what was in doubt may land late.
  let own: Omit<Command, 'sequence'> | undefined;
  for (let tries = 0; tries < PUBLISH_TRIES; tries++) {
    const [newest, tail] = await Promise.all([deps.inbox.last(chat), deps.log.tail(chat)]);
    const next = decideContinue(tail, newest);
    if (next.do === 'nothing')
      return own !== undefined && own.meta.appendId === newest?.meta.appendId;
    if (own?.meta.results !== next.results) own = continueCommand(start, next.results);
    const outcome = await deps.inbox.publish(own, next.expectedLast);
    if (outcome.type === 'stored') return true;
    if (outcome.type !== 'refused') cause = outcome.cause;
  }
  throw new ChatError(
    'LOG_UNAVAILABLE',
    'The log (NATS JetStream) did not take the continue of a chat.',
    { retryAfterMs: 1_000, cause },
  );
}
