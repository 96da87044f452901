// Watching one chat to its end, for every command that does: by the client library, which resumes what is lost;
// here is what of it is shown.
import { toJson } from '@bufbuild/protobuf';
import type { ChatUpdate } from '../../../clients/typescript/src/observe.ts';
import type { ChatSnapshot } from '../../../clients/typescript/src/snapshot.ts';
import { EventSchema } from '../../../gen/tailrace/v1/event_pb.ts';
import { createAnswerPrinter } from '../terminal/answer-printer.ts';
import { failureText, standing, usageText } from '../terminal/chat-text.ts';
import type { Connection } from './connection.ts';
import { EXIT, type ExitCode } from '../outcome/exit-codes.ts';
import { exitOfStatus } from '../outcome/exit-of.ts';
import { harmless, note, onErr, printJsonLine } from '../terminal/terminal.ts';

export interface FollowOptions {
  readonly json?: true;
  /** Only what is after this event. */
  readonly after?: number;
}

/** Ctrl-C leaves; the chat goes on. */
export async function followChat(
  connection: Connection,
  streamId: string,
  options: FollowOptions,
): Promise<ExitCode> {
  const leaving = new AbortController();
  const leave = (): void => leaving.abort();
  // Under npx Ctrl-C is two signals: the second must not end this before it has said how to go on.
  process.on('SIGINT', leave);
  let last: ChatSnapshot | undefined;
  try {
    last = await watch(connection, streamId, { ...options, signal: leaving.signal }, (snapshot) => {
      last = snapshot;
    });
    return exitOfStatus(last.status);
  } catch (error) {
    if (!leaving.signal.aborted) throw error;
    const after = last === undefined ? '' : ` --after ${last.sequence}`;
    note(harmless(`\nThe chat goes on without you: tailrace observe ${streamId}${after}`));
    return EXIT.interrupted;
  } finally {
    process.off('SIGINT', leave);
  }
}

/** Shows it, and answers with what it came to. */
export async function watch(
  { watching }: Connection,
  streamId: string,
  options: FollowOptions & { readonly signal: AbortSignal },
  onSnapshot: (snapshot: ChatSnapshot) => void,
): Promise<ChatSnapshot> {
  const { after = 0, signal } = options;
  const printer = options.json === true ? undefined : createAnswerPrinter();
  const remark = printer?.remark ?? (() => undefined);
  let last: ChatSnapshot | undefined;
  let asked = '';
  try {
    for await (const update of watching.observe(streamId, { afterSequence: after, signal })) {
      last = update.snapshot;
      onSnapshot(last);
      if (update.kind === 'event' && printer === undefined) {
        printJsonLine(toJson(EventSchema, update.event, { useProtoFieldName: true }));
      }
      const said = remarkOf(update);
      if (said !== undefined) remark(harmless(said));
      printer?.show(last);
      // While a replay is under way the results may be among what is still to come.
      const isNow = last.sequence >= last.latestSequence;
      const wanted = isNow ? last.pendingToolUses.map(({ id }) => id).join(' ') : '';
      if (wanted !== '' && wanted !== asked) remark(harmless(waitingText(last)));
      asked = wanted;
    }
  } finally {
    printer?.end();
  }
  if (last === undefined) throw new Error('The observation ended before it began.');
  if (printer !== undefined) note(endText(last));
  return last;
}

function remarkOf(update: ChatUpdate): string | undefined {
  switch (update.kind) {
    case 'reconnecting':
      return `The connection was lost (${update.error.message}); trying again in ${(update.retryInMs / 1_000).toFixed(1)} s.`;
    case 'attached': {
      const { queuePosition, status } = update.snapshot;
      if (queuePosition === undefined || queuePosition === 0) return undefined;
      return standing({ status, queuePosition, stopReason: 0 });
    }
    default:
      return undefined;
  }
}

function waitingText({ streamId, pendingToolUses }: ChatSnapshot): string {
  const calls = pendingToolUses.map(({ id, name, input }) => `  ${id}  ${name} ${input}`);
  return [
    'It waits for the results of tools:',
    ...calls,
    `  tailrace submit ${streamId} --result <id>=<text>`,
  ].join('\n');
}

/** How it ended, in a line. */
function endText(last: ChatSnapshot): string {
  const usage = usageText(last.usage);
  const told = [standing(last), usage, last.verified ? 'verified' : ''].filter(
    (part) => part !== '',
  );
  const lines = [onErr('dim', harmless(told.join(' · ')))];
  if (last.failure !== undefined) lines.push(onErr('red', harmless(failureText(last.failure))));
  if (last.cancelReason !== '') lines.push(onErr('dim', harmless(last.cancelReason)));
  return lines.join('\n');
}
