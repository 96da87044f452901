// What the model says in one turn, as events: blocks open and close around deltas. With stream=false the
// same blocks come whole. Indexes and usage go on from the turns before.
import type { MessageInitShape } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import type { ToolChoice } from '../../../gen/tailrace/v1/chat_request_pb.ts';
import type { Usage } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import { FailureReason, StopReason, UsageSchema } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import type { ContentBlockSchema, ToolUseBlock } from '../../../gen/tailrace/v1/content_pb.ts';
import { BlockKind } from '../../../gen/tailrace/v1/event_pb.ts';
import type { CitedDocuments } from '../../chat/prompt/cited-documents.ts';
import { MAX_DELTA_CHARS, MAX_OUTPUT_CHARS, MAX_OUTPUT_JSON_BYTES } from '../../chat/limits.ts';
import type { ModelSink, ModelUsage, ModelWarning } from '../../chat/ports/model.ts';
import { ModelFailure } from '../../chat/ports/model.ts';
import type { End } from '../../chat/decisions/terminal.ts';
import type { LogWriter } from '../log/log-writer.ts';
import { CitationFilter } from './citation-filter.ts';
import { type CallKind, ToolCalls } from '../tools/tool-calls.ts';
import type { ToolSet } from '../tools/tool-set.ts';

type SaidKind = typeof BlockKind.TEXT | typeof BlockKind.THINKING;
type Kind = SaidKind | CallKind;
type Content = MessageInitShape<typeof ContentBlockSchema>;

export interface TurnStart {
  /** As they come; else whole blocks. */
  readonly deltas: boolean;
  /** From 1. */
  readonly turn: number;
  /** The index of the first block. */
  readonly nextIndex: number;
  /** What the turns before have said, in UTF-16 units. */
  readonly chars: number;
  /** Of the turns before. */
  readonly usage: Usage | undefined;
  /** Ids of tool calls that the chat has, those of turns that were asked for again included. */
  readonly takenIds: ReadonlySet<string>;
  readonly toolChoice: ToolChoice | undefined;
  /** That the model may call. */
  readonly tools: ToolSet;
  /** The text of the turn is wanted as a whole. */
  readonly keepText: boolean;
  /** What may be cited; undefined: nothing, and what looks like a marker is text. */
  readonly cited: CitedDocuments | undefined;
}

export class AnswerSink implements ModelSink {
  readonly #writer: LogWriter;
  readonly #start: TurnStart;
  readonly #calls: ToolCalls;
  readonly #citations: CitationFilter | undefined;
  /** The block of text or reasoning that is open; calls are open until the turn is over. */
  #open: { readonly index: number; readonly kind: SaidKind } | undefined;
  /** What the open block has said, in UTF-16 units. */
  #openChars = 0;
  #whole: string[] = [];
  /** The text of the turn, where it is kept. */
  #text: string[] = [];
  #textChars = 0;
  /** Of the open block of reasoning. */
  #signature = '';
  #nextIndex: number;
  #chars: number;
  #usage: ModelUsage | undefined;

  constructor(writer: LogWriter, start: TurnStart) {
    this.#writer = writer;
    this.#start = start;
    this.#nextIndex = start.nextIndex;
    this.#chars = start.chars;
    const { cited } = start;
    this.#citations =
      cited === undefined
        ? undefined
        : new CitationFilter(cited.ids, {
            text: (text) => this.#say(BlockKind.TEXT, text),
            cite: (document, quote) => this.#cite(document, cited.quoteOf(document, quote)),
          });
    this.#calls = new ToolCalls(start.takenIds, start.toolChoice, start.tools);
  }

  readonly text = (delta: string): void => {
    if (this.#start.keepText) this.#keep(delta);
    if (this.#citations === undefined) this.#say(BlockKind.TEXT, delta);
    else this.#citations.push(delta);
  };
  readonly thinking = (delta: string): void => {
    this.#citations?.end();
    this.#say(BlockKind.THINKING, delta);
  };
  readonly signature = (signature: string): void => {
    this.#citations?.end();
    // Some servers give it late, or instead of reasoning that may be read: it has a block all the same.
    if (this.#open?.kind !== BlockKind.THINKING) this.#openBlock(BlockKind.THINKING);
    this.#signature = signature;
  };
  readonly toolUse = (call: number, id: string, name: string): void => {
    this.#citations?.end();
    this.#closeBlock();
    const index = this.#nextIndex++;
    const { turn } = this.#start;
    const { kind, id: ownId, name: ownName, server } = this.#calls.begin(call, id, name, index);
    const value = { index, kind, turn, id: ownId, name: ownName, server };
    this.#writer.push({ case: 'blockStarted', value });
  };
  readonly toolInput = (call: number, json: string): void => {
    if (json === '') return;
    const { index, kind } = this.#calls.add(call, json);
    if (this.#start.deltas) this.#pushDeltas(kind, index, json);
  };
  readonly usage = (usage: ModelUsage): void => {
    this.#usage = usage;
  };
  readonly warning = (warning: ModelWarning): void => {
    const { reason, message, field } = warning;
    this.#writer.push({ case: 'warning', value: { reason, message, field } });
  };
  readonly pressure = (): Promise<void> | undefined => this.#writer.pressure();

  /** What the turn has said, where that is kept. */
  saidText(): string {
    return this.#text.join('');
  }

  /** How the next turn of the same run begins. */
  nextStart(usage: Usage): TurnStart {
    return {
      ...this.#start,
      turn: this.#start.turn + 1,
      nextIndex: this.#nextIndex,
      chars: this.#chars,
      usage,
      takenIds: this.#calls.takenIds,
    };
  }

  /** The calls that were made in this turn. */
  toolUses(): ToolUseBlock[] {
    return this.#calls.toolUses();
  }

  /** Calls of tools that were made in this turn. */
  get calls(): number {
    return this.#calls.count;
  }

  /** The input of the first call of a tool in this turn. */
  inputOf(tool: string): string | undefined {
    return this.#calls.inputOf(tool);
  }

  /** Whether tools of ours were called in this turn. */
  someOurs(): boolean {
    return this.#calls.someOurs();
  }

  /** Closes what is open, also when the call was cut short, and says what the chat has used so far. */
  finish(outcome: End | { readonly kind: 'wait' | 'tools' }): Usage {
    const { kind } = outcome;
    const goesOn = kind === 'wait' || kind === 'tools';
    this.#citations?.end();
    this.#closeBlock();
    this.#closeCalls(goesOn || (kind === 'completed' && CALLED.has(outcome.stopReason)));
    const usage = this.#total(kind === 'completed' || goesOn);
    // The turns after it count on from it.
    if (this.#usage !== undefined || goesOn) {
      this.#writer.push({ case: 'usage', value: { usage } });
    }
    return usage;
  }

  #closeBlock(): void {
    const open = this.#open;
    if (open === undefined) return;
    this.#open = undefined;
    const text = this.#whole.join('');
    const signature = this.#signature;
    this.#whole = [];
    this.#signature = '';
    this.#close(open.kind, open.index, text, toContent(open.kind, text, signature), { signature });
  }

  /** `whole`: the model was done with them. */
  #closeCalls(whole: boolean): void {
    for (const call of this.#calls.all()) {
      // Many servers write nothing for a tool without input, which is no JSON.
      if (whole) this.toolInput(call.number, call.missing());
      const incomplete = !whole && !call.isWhole();
      const content: Content = { block: { case: 'toolUse', value: call.block(incomplete) } };
      this.#close(call.kind, call.index, call.input(), content, { incomplete });
    }
  }

  #close(
    kind: Kind,
    index: number,
    text: string,
    content: Content,
    { signature = '', incomplete = false },
  ): void {
    if (!this.#start.deltas && text.length <= MAX_DELTA_CHARS) {
      this.#writer.push({ case: 'blockStopped', value: { index, content, incomplete } });
      return;
    }
    // Longer than an event may be: it comes in pieces in either case.
    if (!this.#start.deltas) this.#pushDeltas(kind, index, text);
    this.#writer.push({ case: 'blockStopped', value: { index, signature, incomplete } });
  }

  /** The call counts as answered once something came of it. */
  #total(completed: boolean): Usage {
    const answered = this.#nextIndex > this.#start.nextIndex || completed;
    const before = this.#start.usage ?? create(UsageSchema);
    const usage = create(UsageSchema, { modelCalls: before.modelCalls + (answered ? 1 : 0) });
    for (const count of COUNTS) {
      const now = this.#usage?.[count];
      if (now !== undefined || before[count] !== undefined) {
        usage[count] = (before[count] ?? 0) + (now ?? 0);
      }
    }
    const cost = this.#usage?.cost;
    if (cost !== undefined || before.cost !== undefined) {
      usage.cost = sumOfCosts(before.cost ?? 0, cost?.amount ?? 0);
      usage.currency = cost?.currency ?? before.currency;
    }
    return usage;
  }

  #keep(delta: string): void {
    this.#textChars += delta.length;
    if (this.#textChars > MAX_OUTPUT_JSON_BYTES) {
      throw new ModelFailure(
        FailureReason.OUTPUT_TOO_LARGE,
        `The answer grew past ${MAX_OUTPUT_JSON_BYTES} characters, the most that JSON by a schema may have. Ask for less, or set max_tokens.`,
        { retryable: false },
      );
    }
    this.#text.push(delta);
  }

  #cite(document: string, quote: string): void {
    const open = this.#open?.kind === BlockKind.TEXT ? this.#open : this.#openBlock(BlockKind.TEXT);
    const value = { index: open.index, document, quote, position: this.#openChars };
    this.#writer.push({ case: 'citation', value });
  }

  #say(kind: SaidKind, delta: string): void {
    if (delta.length === 0) return;
    this.#chars += delta.length;
    if (this.#chars > MAX_OUTPUT_CHARS) {
      throw new ModelFailure(
        FailureReason.OUTPUT_TOO_LARGE,
        `The answer grew past ${MAX_OUTPUT_CHARS} characters, the most that one chat may hold. Ask for less, or set max_tokens.`,
        { retryable: false },
      );
    }
    const open = this.#open?.kind === kind ? this.#open : this.#openBlock(kind);
    const { index } = open;
    this.#openChars += delta.length;
    if (this.#start.deltas) this.#pushDeltas(kind, index, delta);
    else this.#whole.push(delta);
  }

  #openBlock(kind: SaidKind): { readonly index: number; readonly kind: SaidKind } {
    this.#closeBlock();
    const index = this.#nextIndex++;
    this.#openChars = 0;
    const { turn } = this.#start;
    this.#writer.push({ case: 'blockStarted', value: { index, kind, turn } });
    return (this.#open = { index, kind });
  }

  #pushDeltas(kind: Kind, index: number, text: string): void {
    for (let at = 0; at < text.length;) {
      let end = Math.min(at + MAX_DELTA_CHARS, text.length);
      // Never between the halves of a surrogate pair.
      if (end < text.length && isHighSurrogate(text.charCodeAt(end - 1))) end--;
      const piece = at === 0 && end === text.length ? text : text.slice(at, end);
      if (kind === BlockKind.TOOL_USE || kind === BlockKind.SERVER_TOOL_USE) {
        this.#writer.push({ case: 'toolInputDelta', value: { index, json: piece } });
      } else {
        const kindOfDelta = kind === BlockKind.TEXT ? 'textDelta' : 'thinkingDelta';
        this.#writer.push({ case: kindOfDelta, value: { index, text: piece } });
      }
      at = end;
    }
  }
}

/** Ends of a turn that came to its calls. */
const CALLED: ReadonlySet<StopReason> = new Set([StopReason.TOOL_USE, StopReason.TURN_LIMIT]);
const COUNTS = ['inputTokens', 'outputTokens', 'reasoningTokens', 'cachedInputTokens'] as const;

/** Without the tail that sums of binary fractions have. */
function sumOfCosts(a: number, b: number): number {
  return Number((a + b).toPrecision(COST_DIGITS));
}

const COST_DIGITS = 12;

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}

function toContent(kind: SaidKind, text: string, signature: string): Content {
  return kind === BlockKind.TEXT
    ? { block: { case: 'text', value: text } }
    : { block: { case: 'thinking', value: { text, signature } } };
}
