// The log of one chat as its observers saw it: joined, folded, with its attempts and its end.
import { fromBinary } from '@bufbuild/protobuf';
import type { Event } from '../../gen/tailrace/v1/event_pb.ts';
import { BlockKind, EventSchema } from '../../gen/tailrace/v1/event_pb.ts';
import { timeMs } from '../../src/chat/fold/answer.ts';
import { COUNTER } from './counting-tools.ts';
import type { Observation } from './history.ts';

export type End = Extract<
  Event['payload'],
  { case: 'completed' | 'failed' | 'cancelled' | 'error' }
>['value'];

export interface LoggedEvent {
  readonly event: Event;
  readonly bytes: Uint8Array;
  readonly storedMs: number;
  /** When the first observer had it. */
  readonly seenMs: number;
}

export interface LoggedAttempt {
  readonly attempt: number;
  /** When its worker made the claim. */
  readonly atMs: number;
}

export interface ChatLog {
  /** By sequence, from 1. */
  readonly events: ReadonlyMap<number, LoggedEvent>;
  readonly last: LoggedEvent | undefined;
  readonly end: { readonly value: End; readonly at: LoggedEvent } | undefined;
  readonly ends: number;
  readonly attempts: readonly LoggedAttempt[];
}

export function joinLog(observations: readonly Observation[]): ChatLog {
  const events = new Map<number, LoggedEvent>();
  for (const { attachments } of observations) {
    for (const seen of attachments.flatMap((attachment) => attachment.events)) {
      const known = events.get(seen.sequence);
      // A replay packs records into one frame that bears the time of its newest: the earliest is it.
      if (known === undefined) {
        const { bytes, storedMs, seenMs } = seen;
        const event = fromBinary(EventSchema, bytes);
        events.set(seen.sequence, { event, bytes, storedMs, seenMs });
      } else if (seen.storedMs < known.storedMs || seen.seenMs < known.seenMs) {
        const storedMs = Math.min(seen.storedMs, known.storedMs);
        const seenMs = Math.min(seen.seenMs, known.seenMs);
        events.set(seen.sequence, { ...known, storedMs, seenMs });
      }
    }
  }
  const ordered = [...events.values()].toSorted((a, b) => a.event.sequence - b.event.sequence);
  const ends = ordered.flatMap((at) => {
    const value = endOf(at.event);
    return value === undefined ? [] : [{ value, at }];
  });
  const attempts = ordered
    .filter(({ event }) => ['started', 'attemptStarted'].includes(event.payload.case ?? ''))
    .map(({ event }) => ({ attempt: event.attempt, atMs: timeMs(event) }));
  return {
    events: new Map(ordered.map((each) => [each.event.sequence, each])),
    last: ordered.at(-1),
    end: ends[0],
    ends: ends.length,
    attempts,
  };
}

function endOf(event: Event): End | undefined {
  const { payload } = event;
  switch (payload.case) {
    case 'completed':
    case 'failed':
    case 'cancelled':
    case 'error':
      return payload.value;
    default:
      return undefined;
  }
}

/**
 * The text that a client has after these events, lost attempts left out. Folded here by the words of the
 * contract alone: the product's own fold is under test as well.
 */
export function textOf(log: ChatLog): string {
  const blocks: { readonly index: number; readonly text: string[] }[] = [];
  for (const { event } of effective(log)) {
    const { payload } = event;
    if (payload.case === 'blockStarted' && payload.value.kind === BlockKind.TEXT) {
      blocks.push({ index: payload.value.index ?? 0, text: [] });
    } else if (payload.case === 'textDelta') {
      const index = payload.value.index ?? 0;
      const block = blocks.findLast((each) => each.index === index);
      block?.text.push(payload.value.text);
    } else if (payload.case === 'blockStopped') {
      const content = payload.value.content?.block;
      const index = payload.value.index ?? 0;
      const block = blocks.findLast((each) => each.index === index);
      if (content?.case === 'text') block?.text.push(content.value);
    }
  }
  return blocks.map((block) => block.text.join('')).join('');
}

/** Calls of tools that Tailrace runs, with how many results each has, lost attempts left out. */
export function toolResultsOf(log: ChatLog): ReadonlyMap<string, number> {
  const results = new Map<string, number>();
  for (const { event } of effective(log)) {
    const { payload } = event;
    if (payload.case === 'blockStarted' && payload.value.kind === BlockKind.SERVER_TOOL_USE) {
      results.set(payload.value.id, 0);
    }
    const block = payload.case === 'blockStopped' ? payload.value.content?.block : undefined;
    if (block?.case !== 'toolResult') continue;
    const { toolUseId } = block.value;
    results.set(toolUseId, (results.get(toolUseId) ?? 0) + 1);
  }
  return results;
}

export interface ToolAnswer {
  readonly text: string;
  readonly isError: boolean;
  /** Of a counting tool. */
  readonly counted: boolean;
  readonly storedMs: number;
}

/** The result of each call, by its id, lost attempts left out; of several the first. */
export function toolAnswersOf(log: ChatLog): ReadonlyMap<string, ToolAnswer> {
  const counting = new Set<string>();
  const answers = new Map<string, ToolAnswer>();
  for (const { event, storedMs } of effective(log)) {
    const { payload } = event;
    if (payload.case === 'blockStarted' && payload.value.server === COUNTER) {
      counting.add(payload.value.id);
    }
    const block = payload.case === 'blockStopped' ? payload.value.content?.block : undefined;
    if (block?.case !== 'toolResult' || answers.has(block.value.toolUseId)) continue;
    const { toolUseId, content, isError = false } = block.value;
    const [said] = content;
    const text = said?.block.case === 'text' ? said.block.value : '';
    answers.set(toolUseId, { text, isError, counted: counting.has(toolUseId), storedMs });
  }
  return answers;
}

/** Progress of calls that stands outside the block of the call's result, lost attempts left out; by sequence. */
export function strayProgressIn(log: ChatLog): number[] {
  const open = new Map<number, string>();
  const stray: number[] = [];
  for (const { event } of effective(log)) {
    const { payload, sequence } = event;
    if (payload.case === 'blockStarted' && payload.value.kind === BlockKind.TOOL_RESULT) {
      open.set(payload.value.index ?? 0, payload.value.id);
    } else if (payload.case === 'blockStopped') {
      open.delete(payload.value.index ?? 0);
    } else if (payload.case === 'toolProgress') {
      const { index = 0, toolUseId } = payload.value;
      if (open.get(index) !== toolUseId) stray.push(sequence);
    }
  }
  return stray;
}

/** What no later attempt has superseded. */
function effective({ events }: ChatLog): LoggedEvent[] {
  let kept: LoggedEvent[] = [];
  for (const each of events.values()) {
    const { payload } = each.event;
    if (payload.case === 'attemptStarted') {
      const until = payload.value.supersedesAfterSequence ?? 0;
      kept = kept.filter(({ event }) => event.sequence <= until);
    }
    kept.push(each);
  }
  return kept;
}
