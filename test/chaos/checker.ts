// Holds a history against the laws. Pure: what it says depends on the history alone. Each rule has a
// name, and test/chaos/checker.test.ts feeds a false history to each.
import { createHash } from 'node:crypto';
import { ChatStreamStatus } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { isTerminal } from '../../src/chat/decisions/status.ts';
import type { ChatHistory } from './chat-history.ts';
import { chatsOf } from './chat-history.ts';
import { strayProgressIn, textOf, toolResultsOf } from './chat-log.ts';
import { checkAttempts } from './check-attempts.ts';
import { checkObservation } from './check-observation.ts';
import { checkTools } from './check-tools.ts';
import type { Attachment, History, Observation } from './history.ts';
import { stoodStill } from './stood-still.ts';
import type { Say, Violation } from './violation.ts';

export function check(history: History): Violation[] {
  const violations: Violation[] = history.deaths.map(({ name, said }) => ({
    rule: 'process-died',
    chat: '',
    detail: `${name}: ${said}`,
  }));
  for (const chat of chatsOf(history)) {
    const say: Say = (rule, detail) => violations.push({ rule, chat: chat.chat, detail });
    for (const observation of chat.observations) checkObservation(observation, chat.log, say);
    checkLife(chat, say);
    checkEnd(chat, say);
    checkStatuses(chat, say);
    checkDeleted(chat, say);
    for (const { outcome, api } of [
      ...chat.starts,
      ...chat.cancels,
      ...chat.deletes,
      ...chat.reads,
    ]) {
      if (outcome === 'INTERNAL') say('internal-error', `a call at ${api}`);
    }
    checkCalls(chat, history, say);
    checkTools(chat, history.faults, say);
    checkAttempts(chat, history.faults, say);
  }
  return violations;
}

function firstOk(
  calls: readonly { readonly outcome: string; readonly answeredMs: number }[],
): number {
  return Math.min(...calls.filter(({ outcome }) => outcome === 'ok').map((c) => c.answeredMs));
}

/** Infinity: nobody tried to. */
function firstDelete(chat: ChatHistory): number {
  return Math.min(...chat.deletes.map(({ beganMs }) => beganMs));
}

/** An acknowledged start is never lost, never doubled, and found and listed from then on. */
function checkLife(chat: ChatHistory, say: Say): void {
  const { starts, deletes, reads, observations, log } = chat;
  const created = starts.filter(({ outcome, created }) => outcome === 'ok' && created);
  if (created.length > 1) say('created-twice', `${created.length} starts were said to create it`);
  const acknowledgedMs = firstOk(starts);
  if (acknowledgedMs === Infinity) return;
  if (log.end === undefined && deletes.length === 0) {
    say('lost-chat', `acknowledged, and no end was seen; last event ${log.events.size}`);
  }
  const deleteMs = firstDelete(chat);
  const asked = [...reads, ...observations.flatMap(attachmentsAsCalls)];
  for (const { kind, api, beganMs, answeredMs, outcome, status } of asked) {
    if (beganMs < acknowledgedMs || answeredMs >= deleteMs) continue;
    if (outcome === 'STREAM_NOT_FOUND' || outcome === 'STREAM_DELETED') {
      say('lost-chat', `${kind} at ${api} said ${outcome}`);
    }
    if (kind === 'list' && outcome === 'ok' && status === undefined) {
      say('not-listed', `a list at ${api}, begun ${ms(beganMs - acknowledgedMs)} after the start`);
    }
  }
}

function attachmentsAsCalls({ attachments }: Observation) {
  return attachments.map((attachment) => ({
    kind: 'observe',
    api: attachment.api,
    beganMs: attachment.beganMs,
    answeredMs: attachment.endedMs,
    outcome: attachment.end,
    status: undefined,
  }));
}

/** One terminal event, last, with a true count and a true hash; and the answer is the whole answer. */
function checkEnd({ starts, log }: ChatHistory, say: Say): void {
  const { end, last } = log;
  if (end === undefined || last === undefined) return;
  if (log.ends > 1) say('two-ends', `${log.ends} terminal events`);
  const { sequence } = end.at.event;
  if (last.event.sequence > sequence) {
    say('event-after-end', `event ${last.event.sequence} after the end ${sequence}`);
  }
  if (end.value.lastSequence !== sequence) {
    say('wrong-last-sequence', `event ${sequence} says ${String(end.value.lastSequence)}`);
  }
  // What nobody saw was told as a gap; a hash over the rest would only say it again.
  if (log.events.size !== last.event.sequence) return;
  const text = textOf(log);
  const sha256 = createHash('sha256').update(text).digest('hex');
  if (end.value.contentSha256 !== sha256) say('wrong-hash', `of ${text.length} characters`);
  const results = [...toolResultsOf(log)];
  const doubled = results.filter(([, count]) => count > 1);
  if (doubled.length > 0) say('tool-result-doubled', doubled.map(([id]) => id).join(', '));
  const stray = strayProgressIn(log);
  if (stray.length > 0) say('tool-progress-stray', `events ${stray.join(', ')}`);
  if (end.value.status !== ChatStreamStatus.COMPLETED) return;
  const missing = results.filter(([, count]) => count === 0);
  if (missing.length > 0) say('tool-result-missing', missing.map(([id]) => id).join(', '));
  const words = [...text.matchAll(/(\d+):\d+ /g)].map((match) => Number(match[1]));
  const wanted = starts[0]?.words ?? 0;
  if (words.length !== wanted || words.some((word, i) => word !== i)) {
    say('wrong-answer', `${words.length} words of ${wanted}: ${words.slice(0, 50).join(' ')}`);
  }
}

/** What unary calls say of the end is what the log says; and it is never unsaid. */
function checkStatuses({ reads, cancels, log }: ChatHistory, say: Say): void {
  const end = log.end?.value.status;
  const said = [...reads, ...cancels.map((call) => ({ ...call, kind: 'cancel' as const }))].filter(
    ({ status }) => status !== undefined,
  );
  let overMs = log.end?.at.seenMs ?? Infinity;
  for (const { kind, status, answeredMs } of said) {
    if (status === undefined || !isTerminal(status)) continue;
    overMs = Math.min(overMs, answeredMs);
    if (end === undefined || status === end) continue;
    const rule =
      kind === 'cancel' && status === ChatStreamStatus.CANCELLED
        ? 'cancelled-revived'
        : 'status-untrue';
    say(rule, `${kind} answered ${nameOf(status)}, the log ends with ${nameOf(end)}`);
  }
  for (const { kind, api, status, beganMs } of said) {
    if (status === undefined || isTerminal(status) || beganMs <= overMs) continue;
    say(
      'status-went-back',
      `${kind} at ${api} said ${nameOf(status)} ${ms(beganMs - overMs)} late`,
    );
  }
}

/** Once a delete is acknowledged nothing of the chat can be had, and its id is not to be had either. */
function checkDeleted({ starts, deletes, reads, observations }: ChatHistory, say: Say): void {
  const deletedMs = firstOk(deletes);
  for (const { kind, api, beganMs, outcome, status } of reads) {
    if (beganMs <= deletedMs || outcome !== 'ok') continue;
    if (kind !== 'list' || status !== undefined) say('deleted-revived', `${kind} at ${api}`);
  }
  const had = ({ beganMs, events, end }: Attachment): boolean =>
    beganMs > deletedMs && (events.length > 0 || end === 'ok');
  for (const { observer, attachments } of observations) {
    if (attachments.some(had)) say('deleted-revived', `${observer} could observe it`);
  }
  for (const { api, beganMs, outcome } of starts) {
    if (beganMs > deletedMs && outcome === 'ok') say('deleted-id-reused', `a start at ${api}`);
  }
}

/** The clocks of two processes. */
const CLOCKS_MS = 5;

/** No model call begins once the chat's end was acknowledged to anybody. */
function checkCalls(chat: ChatHistory, { faults }: History, say: Say): void {
  const { calls, cancels, deletes, log, taken } = chat;
  const cancelled = cancels.filter(({ status }) => status !== undefined && isTerminal(status));
  const overMs = Math.min(log.end?.at.seenMs ?? Infinity, firstOk(cancelled), firstOk(deletes));
  for (const { worker, beganMs } of calls) {
    const killed = faults.some(({ kind, target }) => kind === 'kill-worker' && target === worker);
    // A killed worker may not have got as far as saying what it took.
    if (!killed && !taken.some((claim) => claim.worker === worker)) {
      say('call-without-claim', `${worker} called the model`);
    }
    if (beganMs <= overMs + CLOCKS_MS) continue;
    const still = stoodStill(faults, (target) => target === worker, overMs, beganMs);
    if (!still) say('call-after-end', `${worker}, ${ms(beganMs - overMs)} after the end`);
  }
}

function ms(duration: number): string {
  return `${Math.round(duration)} ms`;
}

function nameOf(status: ChatStreamStatus): string {
  return Object.entries(ChatStreamStatus).find(([, value]) => value === status)?.[0] ?? '?';
}
