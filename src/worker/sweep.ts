// Keeps the deadlines that nobody else may be alive to keep: each second it looks in the list for chats
// that are past one, or lack the continue that a dead process left out, and decides from the leader's
// log. It acts by fenced append or command, so that any number of sweeps do no harm.
import type { ChatList, OverdueChat } from '../chat/ports/chat-list.ts';
import type { CommandInbox } from '../chat/ports/commands.ts';
import { continueChat } from '../chat/log/continue-chat.ts';
import { overdueEnd } from '../chat/decisions/deadlines.ts';
import { endChat } from '../chat/log/end-chat.ts';
import type { EventLog } from '../chat/ports/event-log.ts';
import {
  CONTINUE_GRACE_MS,
  NATS_REQUEST_MS,
  RUN_TIMEOUT_GRACE_MS,
  START_DEADLINE_MS,
  SWEEP_BATCH,
  SWEEP_EVERY_MS,
} from '../chat/limits.ts';
import { fieldsOf } from '../chat/ports/log-fields.ts';
import type { Logger } from '../chat/ports/logger.ts';

export interface SweepDeps {
  readonly log: EventLog;
  readonly inbox: CommandInbox;
  readonly list: Pick<ChatList, 'overdue'>;
  readonly logger: Logger;
}

export interface Sweep {
  readonly stop: () => Promise<void>;
}

export function startSweep(deps: SweepDeps): Sweep {
  let stopped = false;
  let running: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout;
  const round = async (): Promise<void> => {
    for (const overdue of findOverdue(deps.list)) {
      if (stopped) return;
      try {
        if (overdue.due === 'continue') await continueOverdue(deps, overdue);
        else await endOverdue(deps, overdue);
      } catch (error) {
        const { chat, correlationId } = overdue;
        // Found again by the next round.
        deps.logger.warn(
          {
            tenant: chat.tenant,
            stream_id: chat.streamId,
            correlation_id: correlationId,
            err: error,
          },
          'a deadline was not kept yet',
        );
      }
    }
  };
  const again = (): void => {
    if (stopped) return;
    // Apart from the other processes' sweeps, so that they seldom do the same work.
    timer = setTimeout(
      () => {
        running = round().finally(again);
      },
      SWEEP_EVERY_MS * (0.5 + Math.random()),
    );
  };
  again();
  return {
    stop: async () => {
      stopped = true;
      clearTimeout(timer);
      await running;
    },
  };
}

function findOverdue(list: SweepDeps['list']): readonly OverdueChat[] {
  const nowMs = Date.now();
  return list.overdue({
    pendingCreatedMs: nowMs - START_DEADLINE_MS,
    runDueMs: nowMs - RUN_TIMEOUT_GRACE_MS,
    endsMs: nowMs,
    answeredMs: nowMs - CONTINUE_GRACE_MS,
    limit: SWEEP_BATCH,
  });
}

async function continueOverdue(deps: SweepDeps, { chat }: OverdueChat): Promise<void> {
  const start = await deps.inbox.start(chat);
  if (start === undefined || !(await continueChat(deps, start))) return;
  deps.logger.warn(
    fieldsOf(start),
    'the continue of a chat was published in place of the call that took its results',
  );
}

async function endOverdue(deps: SweepDeps, { chat }: OverdueChat): Promise<void> {
  const [start, tail] = await Promise.all([deps.inbox.start(chat), deps.log.tail(chat)]);
  if (start === undefined) return;
  const end = overdueEnd(start.meta, tail, Date.now());
  if (end === undefined) return;
  const settled = await endChat(deps.log, chat, start, tail, end, NATS_REQUEST_MS);
  if (settled.type !== 'stored') return;
  deps.logger.warn({ ...fieldsOf(start), end }, 'a chat was ended at its deadline');
}
