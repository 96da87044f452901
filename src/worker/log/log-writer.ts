// The one writer of one chat while a run lasts: numbers the events, merges what waits, keeps exactly
// one append in flight (law 3) and stops at the first sign that the chat is not its own any more.
import { create } from '@bufbuild/protobuf';
import type { Hash } from 'node:crypto';
import { createHash } from 'node:crypto';
import type { Usage } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import type { ToolUseBlock } from '../../../gen/tailrace/v1/content_pb.ts';
import type { Event } from '../../../gen/tailrace/v1/event_pb.ts';
import { EventSchema } from '../../../gen/tailrace/v1/event_pb.ts';
import type { Settled } from '../../chat/log/append.ts';
import { resultChars, resultImageBytes } from '../../chat/fold/answer.ts';
import { appendSettled } from '../../chat/log/append.ts';
import type { ChatKey } from '../../chat/chat-key.ts';
import type { EventLog, StatusMark } from '../../chat/ports/event-log.ts';
import { preciseNowMs, timestampFromMillis } from '../../chat/log/event-time.ts';
import { APPEND_SETTLE_MS, MAX_DELTA_CHARS, MAX_UNSTORED_CHARS } from '../../chat/limits.ts';
import type { MarkChange } from '../../chat/decisions/marks.ts';
import {
  changedMark,
  runEnds,
  runHandsBack,
  runSteps,
  runWaits,
} from '../../chat/decisions/marks.ts';
import { encodeBatch } from '../../chat/log/record.ts';
import type { End, EventPayload } from '../../chat/decisions/terminal.ts';
import { endPayload } from '../../chat/decisions/terminal.ts';

interface Waiting {
  payload: EventPayload;
  readonly timeMs: number;
}

export interface WriterStart {
  readonly chat: ChatKey;
  /** Of the claim that this writer writes under. */
  readonly mark: StatusMark;
  /** The claim's own record. */
  readonly storeSequence: number;
}

export class LogWriter {
  /** Begins every append id of this writer, so that its own records are known by it. */
  readonly runId: string;
  readonly #log: EventLog;
  readonly #start: WriterStart;
  readonly #onLost: (settled: Settled) => void;
  /** Of the text of the whole chat. */
  #hash: Hash = createHash('sha256');
  /** Of the claim, or of the last step that was finished since. */
  #mark: StatusMark;
  /** Steps that wait to be written: nothing that belongs to them may leave before. */
  #steps = 0;
  #waiting: Waiting[] = [];
  #waitingChars = 0;
  #drained: { readonly promise: Promise<void>; readonly resolve: () => void } | undefined;
  #appending: Promise<void> | undefined;
  #scheduled = false;
  #closing = false;
  #sequence: number;
  #storeSequence: number;
  #appends = 0;
  #lost: Settled | undefined;
  /** Numbered, and refused by a full store. */
  #refused: Event[] = [];
  readonly #hurry = new AbortController();

  constructor(
    log: EventLog,
    runId: string,
    start: WriterStart,
    onLost: (settled: Settled) => void,
  ) {
    this.#log = log;
    this.runId = runId;
    this.#start = start;
    this.#mark = start.mark;
    this.#onLost = onLost;
    this.#sequence = start.mark.lastSequence;
    this.#storeSequence = start.storeSequence;
  }

  get attempt(): number {
    return this.#start.mark.attempt;
  }

  /** Goes on behind what the chat has said in its finished steps; before anything is pushed. */
  resume(textHash: Hash): void {
    this.#hash = textHash;
  }

  /** The newest record that this writer knows to be stored. */
  get storeSequence(): number {
    return this.#storeSequence;
  }

  /** Adds an event. The first leaves at once; what comes meanwhile leaves together. */
  push(payload: EventPayload): void {
    if (this.#lost !== undefined) return;
    if (!this.#merge(payload)) {
      this.#waiting.push({ payload, timeMs: preciseNowMs() });
      this.#waitingChars += sizeOf(payload);
    }
    if (this.#scheduled || this.#appending !== undefined) return;
    this.#scheduled = true;
    // After the chunk that is being read: its tokens are one record.
    queueMicrotask(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  /** A promise while more waits for the log than may; it resolves when there is room. */
  pressure(): Promise<void> | undefined {
    if (this.#waitingChars <= MAX_UNSTORED_CHARS || this.#lost !== undefined) return undefined;
    this.#drained ??= Promise.withResolvers<void>();
    return this.#drained.promise;
  }

  /** Appends what waits together with the terminal event, as the last record. */
  async end(end: End, usage: Usage): Promise<Settled> {
    // Whoever cancels does not wait for room: what the store has refused goes with the end, the rest of
    // what was said is dropped.
    if (end.kind === 'cancelled') this.#hurry.abort();
    await this.#close();
    const cutShort = end.kind === 'cancelled' && isFull(this.#lost);
    if (this.#lost !== undefined && !cutShort) return this.#lost;
    const events = cutShort ? this.#refused : this.#take(Infinity);
    const sequence = this.#sequence + 1;
    const sha256 = this.#hash.digest('hex');
    events.push(this.#event(endPayload(end, { sequence, sha256, usage }), preciseNowMs()));
    return this.#append(events, runEnds(this.#mark, end));
  }

  /**
   * Appends what waits together with the request for the results of client tools, as the last record:
   * the step is finished, and nobody holds the chat.
   */
  async wait(toolUses: readonly ToolUseBlock[], deadlineMs: number): Promise<Settled> {
    await this.#close();
    if (this.#lost !== undefined) return this.#lost;
    const events = this.#take(Infinity);
    const nowMs = preciseNowMs();
    const deadline = timestampFromMillis(deadlineMs);
    const value = { toolUses: [...toolUses], deadline };
    events.push(this.#event({ case: 'toolResultsRequested', value }, nowMs));
    return this.#append(events, runWaits(this.#mark, Math.floor(nowMs), deadlineMs));
  }

  /**
   * Appends what waits as a finished step of the run: from here on no attempt supersedes it. What several
   * pushed at once is stored by whoever comes first, in as many records as it takes; the last is the step.
   */
  async step(): Promise<Settled> {
    this.#steps++;
    try {
      while (this.#appending !== undefined) await this.#appending;
      if (this.#lost !== undefined) return this.#lost;
      if (this.#waiting.length === 0 && this.#mark.stepSequence === this.#sequence) {
        return { type: 'stored', storeSequence: this.#storeSequence };
      }
      const stepping = this.#appendStep();
      const over = (): void => {
        this.#appending = undefined;
      };
      this.#appending = stepping.then(over, over);
      return await stepping;
    } finally {
      this.#steps--;
      this.#flush();
    }
  }

  async #appendStep(): Promise<Settled> {
    for (;;) {
      const events = this.#take(MAX_DELTA_CHARS);
      const isWhole = this.#waiting.length === 0;
      const settled = await this.#append(events, isWhole ? runSteps(this.#mark) : undefined);
      if (isWhole || settled.type !== 'stored') return settled;
    }
  }

  /** Takes no more deltas, and stores of what waits what is too much for the last record. */
  async #close(): Promise<void> {
    this.#closing = true;
    await this.#appending;
    while (this.#waitingChars > MAX_DELTA_CHARS && this.#lost === undefined) {
      await this.#append(this.#take(MAX_DELTA_CHARS), undefined);
    }
  }

  /** Gives the chat back; what is not stored is dropped, since the next attempt says it again. */
  async handBack(): Promise<Settled> {
    this.#closing = true;
    this.#waiting = [];
    await this.#appending;
    if (this.#lost !== undefined) {
      if (!isFull(this.#lost)) return this.#lost;
      // A store that is full for answers has room for this; what it refused is not there.
      this.#sequence -= this.#refused.length;
      this.#refused = [];
    }
    return this.#append([], runHandsBack(this.#mark));
  }

  #merge(payload: EventPayload): boolean {
    const last = this.#waiting.at(-1)?.payload;
    if (payload.case === 'toolInputDelta') return this.#mergeInput(payload.value, last);
    if (payload.case !== 'textDelta' && payload.case !== 'thinkingDelta') return false;
    const text = payload.value.text ?? '';
    if (last === undefined || last.case !== payload.case) return false;
    if (last.value.index !== payload.value.index) return false;
    const merged = (last.value.text ?? '') + text;
    if (merged.length > MAX_DELTA_CHARS) return false;
    last.value.text = merged;
    this.#waitingChars += text.length;
    return true;
  }

  #mergeInput(
    delta: Extract<EventPayload, { case: 'toolInputDelta' }>['value'],
    last: EventPayload | undefined,
  ): boolean {
    if (last?.case !== 'toolInputDelta' || last.value.index !== delta.index) return false;
    const json = delta.json ?? '';
    const merged = (last.value.json ?? '') + json;
    if (merged.length > MAX_DELTA_CHARS) return false;
    last.value.json = merged;
    this.#waitingChars += json.length;
    return true;
  }

  #flush(): void {
    if (this.#appending !== undefined || this.#closing || this.#steps > 0) return;
    if (this.#lost !== undefined || this.#waiting.length === 0) return;
    const events = this.#take(MAX_DELTA_CHARS);
    this.#appending = this.#appendDeltas(events);
  }

  async #appendDeltas(events: Event[]): Promise<void> {
    try {
      await this.#append(events, undefined);
    } catch (cause) {
      // The log holds something that it must not: nothing more can be written to it from here.
      this.#lose({ type: 'unavailable', full: false, cause });
    }
    this.#appending = undefined;
    if (this.#waitingChars <= MAX_UNSTORED_CHARS) {
      this.#drained?.resolve();
      this.#drained = undefined;
    }
    this.#flush();
  }

  /** Takes what waits, up to about this many characters, and numbers it. */
  #take(maxChars: number): Event[] {
    let chars = 0;
    let count = 0;
    for (const { payload } of this.#waiting) {
      const size = sizeOf(payload);
      if (count > 0 && chars + size > maxChars) break;
      chars += size;
      count++;
    }
    const taken = this.#waiting.slice(0, count);
    this.#waiting = this.#waiting.slice(count);
    this.#waitingChars -= chars;
    return taken.map(({ payload, timeMs }) => {
      if (payload.case === 'textDelta') this.#hash.update(payload.value.text ?? '');
      if (payload.case === 'blockStopped' && payload.value.content?.block?.case === 'text') {
        this.#hash.update(payload.value.content.block.value);
      }
      return this.#event(payload, timeMs);
    });
  }

  #event(payload: EventPayload, timeMs: number): Event {
    return create(EventSchema, {
      sequence: ++this.#sequence,
      attempt: this.#start.mark.attempt,
      time: timestampFromMillis(timeMs),
      correlationId: this.#start.mark.correlationId,
      payload,
    });
  }

  async #append(events: readonly Event[], change: MarkChange | undefined): Promise<Settled> {
    const { chat } = this.#start;
    const mark = this.#mark;
    const lastSequence = this.#sequence;
    const afterSequence = lastSequence - events.length;
    const range = { firstSequence: afterSequence + 1, lastSequence };
    const next = change === undefined ? undefined : changedMark(mark, change, range);
    const settled = await appendSettled(
      this.#log,
      chat,
      {
        expectedLast: this.#storeSequence,
        afterSequence,
        attempt: mark.attempt,
        owner: mark.owner,
      },
      {
        appendId: `${this.runId}-${this.#appends++}`,
        data: encodeBatch(events),
        mark: next,
      },
      APPEND_SETTLE_MS,
      this.#hurry.signal,
    );
    if (settled.type === 'stored') {
      this.#storeSequence = settled.storeSequence;
      this.#mark = next ?? mark;
    } else {
      if (isFull(settled)) this.#refused = [...events];
      this.#lose(settled);
    }
    return settled;
  }

  #lose(settled: Settled): void {
    this.#lost = settled;
    this.#waiting = [];
    this.#waitingChars = 0;
    this.#drained?.resolve();
    this.#onLost(settled);
  }
}

export function isFull(settled: Settled | undefined): boolean {
  return settled?.type === 'unavailable' && settled.full;
}

/** What an event takes beside its content: its numbers, time and correlation id, counted generously. */
const EVENT_OVERHEAD_CHARS = 512;

function sizeOf(payload: EventPayload): number {
  return EVENT_OVERHEAD_CHARS + contentChars(payload);
}

function contentChars(payload: EventPayload): number {
  switch (payload.case) {
    case 'textDelta':
    case 'thinkingDelta':
      return payload.value.text?.length ?? 0;
    case 'toolInputDelta':
      return payload.value.json?.length ?? 0;
    case 'blockStopped': {
      const { content, signature = '' } = payload.value;
      const block = content?.block;
      if (block?.case === 'text') return block.value.length;
      if (block?.case === 'toolUse') return block.value.input?.length ?? 0;
      if (block?.case === 'toolResult') {
        return resultChars(block.value) + resultImageBytes(block.value);
      }
      if (block?.case !== 'thinking') return signature.length;
      return (block.value.text?.length ?? 0) + (block.value.signature?.length ?? 0);
    }
    default:
      return 0;
  }
}
