// src/worker: takes work commands, claims their chats, runs them and keeps the claims alive. What a
// worker does next is decided in src/chat/decisions/decisions.ts; here it is carried out. What does not belong
// here: anything about NATS or about one kind of model server.
import { create } from '@bufbuild/protobuf';
import { randomUUID } from 'node:crypto';
import { EventSchema } from '../../gen/tailrace/v1/event_pb.ts';
import { appendSettled } from '../chat/log/append.ts';
import type { ChatKey } from '../chat/chat-key.ts';
import { keyOf } from '../chat/chat-key.ts';
import type { Command, Delivery, WorkQueue } from '../chat/ports/commands.ts';
import type { Claim, ClaimDecision } from '../chat/decisions/decisions.ts';
import { claimsUnread, decideClaim, runsApart, stillOwns } from '../chat/decisions/decisions.ts';
import { endChat } from '../chat/log/end-chat.ts';
import { ChatError } from '../chat/errors.ts';
import type { EventLog, StatusMark } from '../chat/ports/event-log.ts';
import { preciseNowMs, timestampFromMillis } from '../chat/log/event-time.ts';
import {
  APPEND_SETTLE_MS,
  HAND_BACK_MS,
  MAX_ATTEMPTS,
  OWNED_NAK_DELAY_MS,
  READ_AGAIN_MS,
  READ_AGAIN_TRIES,
  RENEW_EVERY_MS,
} from '../chat/limits.ts';
import { fieldsOf } from '../chat/ports/log-fields.ts';
import type { ModelClient } from '../chat/ports/model.ts';
import { encodeBatch } from '../chat/log/record.ts';
import type { Tracer } from '../chat/ports/span.ts';
import type { Apart } from './apart.ts';
import { runApart } from './apart.ts';
import { claimMark, claimPayload } from './log/claim.ts';
import { isFull, LogWriter } from './log/log-writer.ts';
import type { RunDeps, RunResult } from './run.ts';
import { RunStop } from './run-stop.ts';
import { lossBy, runChat } from './run.ts';
import { inRunSpan } from './run-span.ts';
import { startTaking } from './take.ts';

const STORE_FULL = 'the store is full';

export interface WorkerDeps extends Omit<RunDeps, 'model' | 'span'> {
  readonly tracer: Tracer;
  /** The models as they are now; a run keeps to what it began with. */
  readonly models: () => ModelClient;
  readonly queue: WorkQueue;
  readonly slots: number;
  /** Where chats run that may have ended their worker; undefined: here. */
  readonly apart?: Apart | undefined;
}

export interface Worker {
  readonly owner: string;
  readonly running: () => number;
  /** Takes nothing more, hands its chats back, and resolves when the log shows it. */
  readonly stop: () => Promise<void>;
}

/** A chat in this worker's hands, from its delivery to its acknowledgement. */
interface Run {
  readonly command: Command;
  /** The newest delivery of the command: its acknowledgement is the one that counts. */
  delivery: Delivery;
  readonly abort: AbortController;
  writer: LogWriter | undefined;
  /** The fence refused a claim: from then on the log is read before the next. */
  refused: boolean;
  /** The attempt that runs apart; `renews`: it renews its claim itself. */
  apart: { readonly attempt: number; renews: boolean } | undefined;
  done: Promise<void>;
}

interface Decided {
  readonly claim: Claim;
  readonly apart: ReturnType<typeof runsApart>;
}

export function startWorker(deps: WorkerDeps): Worker {
  const { log, queue, logger } = deps;
  const owner = randomUUID();
  const runs = new Map<string, Run>();
  let stopping = false;

  const take = (delivery: Delivery): void => {
    const { command } = delivery;
    const key = keyOf(command.chat);
    const run = runs.get(key);
    if (run !== undefined) {
      // Handed out again while it runs here, because a renewal was lost: adopt the new delivery.
      if (run.command.sequence === command.sequence) run.delivery = delivery;
      else takeOther(run, delivery);
      return;
    }
    // NATS answers a pull late that it was away for: more than there are slots may come then.
    if (stopping || runs.size >= deps.slots) return delivery.nak(0);
    const taken: Run = {
      command,
      delivery,
      abort: new AbortController(),
      writer: undefined,
      refused: false,
      apart: undefined,
      done: Promise.resolve(),
    };
    runs.set(key, taken);
    taken.done = drive(taken)
      .catch((error: unknown) => {
        // The command is neither acknowledged nor handed back: it comes again after the ack wait.
        const unavailable = error instanceof ChatError && error.reason === 'LOG_UNAVAILABLE';
        const say = unavailable ? logger.warn : logger.error;
        say.call(
          logger,
          { ...fieldsOf(command), err: error },
          'a command was left to its redelivery',
        );
      })
      .finally(() => {
        runs.delete(key);
        taking.wake();
      });
  };

  /** Another command of a chat that runs here. */
  const takeOther = (run: Run, delivery: Delivery): void => {
    // A continue that came while the step before it was being put away.
    if (delivery.command.sequence > run.command.sequence) return delivery.nak(READ_AGAIN_MS);
    // The claim that this run writes under names a newer command.
    if (run.writer !== undefined) return delivery.ack();
    delivery.nak(OWNED_NAK_DELAY_MS);
  };

  const drive = async (run: Run): Promise<void> => {
    for (let tries = 0; ;) {
      const decision = await decide(run);
      if (decision === undefined) return;
      if (decision === 'read-again') {
        if (++tries > READ_AGAIN_TRIES) throw viewTooOld();
        await new Promise((resolve) => setTimeout(resolve, READ_AGAIN_MS));
        continue;
      }
      if (deps.apart !== undefined && decision.apart !== 'no') {
        if (decision.apart === 'must' || deps.apart.room()) {
          const died = await runApart(deps.apart, run, decision.claim.attempt);
          if (!died || stopping) return;
          continue;
        }
      }
      const settled = await claim(run, decision.claim);
      if (settled === 'moved') continue;
      if (settled === 'unavailable') return;
      const { writer, mark } = settled;
      const result = await inRunSpan(deps.tracer, run.command, mark.attempt, (span) => {
        const means = { ...deps, model: deps.models(), span };
        return runChat(means, run.command, writer, mark, run.abort);
      });
      return conclude(run, result, mark.attempt);
    }
  };

  /** What to claim; undefined where there is nothing to claim (any more). */
  const decide = async (run: Run): Promise<Decided | 'read-again' | undefined> => {
    const { command, delivery } = run;
    const bounds = { nowMs: Date.now(), maxAttempts: MAX_ATTEMPTS };
    const fresh = claimsUnread(command.verb, delivery.deliveries, run.refused);
    const tail = fresh ? undefined : await log.tail(command.chat);
    let decision: ClaimDecision = decideClaim(command, tail, bounds);
    if (decision.do === 'ask-owner') {
      const elsewhere = decision.owner !== owner;
      if (elsewhere && (await queue.askOwner(decision.owner, command.chat, command.sequence))) {
        // Who was refused by the fence sends nothing more: a nak would take the owner's delivery.
        if (!run.refused) delivery.nak(OWNED_NAK_DELAY_MS);
        return undefined;
      }
      decision = decision.otherwise;
    }
    switch (decision.do) {
      case 'drop':
        logger.debug({ ...fieldsOf(command), why: decision.why }, 'a command was void');
        delivery.ack();
        return undefined;
      case 'read-again':
        return 'read-again';
      case 'claim': {
        const { claim } = decision;
        return { claim, apart: runsApart(claim, tail, bounds) };
      }
      case 'end': {
        const { end } = decision;
        const settled = await endChat(log, command.chat, command, tail, end, APPEND_SETTLE_MS);
        if (settled.type === 'stored') {
          logger.error({ ...fieldsOf(command), end }, 'a chat was ended without a run');
          delivery.ack();
        }
        return undefined;
      }
    }
  };

  const claim = async (
    run: Run,
    wanted: Claim,
  ): Promise<
    { readonly writer: LogWriter; readonly mark: StatusMark } | 'moved' | 'unavailable'
  > => {
    const { command } = run;
    const runId = randomUUID();
    const mark = claimMark(command, wanted, owner, Date.now());
    const event = create(EventSchema, {
      sequence: wanted.sequence,
      attempt: wanted.attempt,
      time: timestampFromMillis(preciseNowMs()),
      correlationId: command.meta.correlationId,
      payload: claimPayload(command, wanted),
    });
    const settled = await appendSettled(
      log,
      command.chat,
      {
        expectedLast: wanted.expectedLast,
        afterSequence: wanted.sequence - 1,
        attempt: wanted.attempt,
        owner,
      },
      { appendId: `${runId}-claim`, data: encodeBatch([event]), mark },
      APPEND_SETTLE_MS,
    );
    if (settled.type !== 'stored') {
      run.refused = true;
      return settled.type;
    }
    const start = { chat: command.chat, mark, storeSequence: settled.storeSequence };
    run.writer = new LogWriter(log, runId, start, (why) => {
      // A full store is no lost worker: the chat waits for room and loses no try.
      const full = isFull(why);
      run.abort.abort(
        full ? new RunStop('hand-back', STORE_FULL) : new RunStop('lost', lossBy(why)),
      );
    });
    logger.info({ ...fieldsOf(command), attempt: wanted.attempt }, 'a worker took the chat');
    return { writer: run.writer, mark };
  };

  const conclude = (run: Run, result: RunResult, attempt: number): void => {
    const { command, delivery } = run;
    const fields = { ...fieldsOf(command), attempt };
    switch (result.type) {
      case 'ended':
        delivery.ack();
        logger.info({ ...fields, end: result.end.kind }, 'the chat came to its end');
        return;
      case 'waits':
        delivery.ack();
        logger.info(fields, 'the chat waits for its client’s tools');
        return;
      case 'handed-back':
        delivery.nak(0);
        queue.ring(command.chat, command.verb, command.priority);
        logger.info(fields, 'the chat was handed back');
        return;
      case 'lost':
        // Refused by the fence, or no log to be had: nothing more is sent for this delivery (law 7).
        logger.warn({ ...fields, why: result.why }, 'the chat is not this run’s any more');
        return;
    }
  };

  const taking = startTaking(queue, deps.slots, () => runs.size, take);

  const stopControl = queue.onControl((command) => {
    // A delete of a running chat cancels it first.
    const run = runs.get(keyOf(command.chat));
    run?.abort.abort(new RunStop('cancelled', command.meta.reason));
  });

  const stopAnswering = queue.answerAsOwner(owner, (chat: ChatKey, command: number) => {
    const run = runs.get(keyOf(chat));
    // The process that is to run it apart asks too, where the claim before was this worker's own.
    const leaves = run?.apart !== undefined && run.writer === undefined;
    return run?.command.sequence === command && !leaves;
  });

  const renewAll = (): void => {
    for (const run of runs.values()) void renew(run);
  };

  /** Starts the ack wait anew, if the leader's log still shows the chat as this run's (law 7). */
  const renew = async (run: Run): Promise<void> => {
    const { writer } = run;
    if (run.apart?.renews === true) return;
    try {
      if (writer === undefined || (await stillOwn(log, run.command.chat, writer))) {
        run.delivery.working();
      } else {
        run.abort.abort(new RunStop('lost', 'the log shows another writer'));
      }
    } catch (error) {
      // Without the log nothing can be said; the renewal is left out and tried again.
      const fields = { ...fieldsOf(run.command), attempt: writer?.attempt };
      logger.warn({ ...fields, err: error }, 'a claim could not be renewed');
    }
  };
  const renewing = setInterval(renewAll, RENEW_EVERY_MS);
  const stopReconnect = queue.onReconnect(renewAll);

  return {
    owner,
    running: () => runs.size,
    stop: async () => {
      stopping = true;
      await taking.stop();
      for (const run of runs.values()) {
        run.abort.abort(new RunStop('hand-back', 'the worker is stopping'));
      }
      const all = Promise.all([...runs.values()].map((run) => run.done));
      const late = Promise.withResolvers<void>();
      const timer = setTimeout(late.resolve, HAND_BACK_MS);
      await Promise.race([all, late.promise]);
      clearTimeout(timer);
      deps.apart?.close();
      clearInterval(renewing);
      stopControl();
      stopAnswering();
      stopReconnect();
    },
  };
}

function viewTooOld(): ChatError {
  return new ChatError(
    'LOG_UNAVAILABLE',
    'The log does not show the results that this continue is about.',
  );
}

async function stillOwn(log: EventLog, chat: ChatKey, writer: LogWriter): Promise<boolean> {
  const last = await log.last(chat);
  return stillOwns(writer, last);
}
