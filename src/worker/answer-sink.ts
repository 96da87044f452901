// What the model says, as events: blocks open and close around deltas. With stream=false the same
// blocks come whole.
import type { MessageInitShape } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import type { Usage } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import { FailureReason, UsageSchema } from '../../gen/tailrace/v1/chat_stream_pb.ts';
import type { ContentBlockSchema } from '../../gen/tailrace/v1/content_pb.ts';
import { BlockKind } from '../../gen/tailrace/v1/event_pb.ts';
import { MAX_DELTA_CHARS, MAX_OUTPUT_CHARS } from '../chat/limits.ts';
import type { ModelSink, ModelUsage, ModelWarning } from '../chat/model-port.ts';
import { ModelFailure } from '../chat/model-port.ts';
import type { End } from '../chat/terminal.ts';
import type { LogWriter } from './log-writer.ts';

type Kind = typeof BlockKind.TEXT | typeof BlockKind.THINKING;

export class AnswerSink implements ModelSink {
  readonly #writer: LogWriter;
  readonly #deltas: boolean;
  #open: { readonly index: number; readonly kind: Kind } | undefined;
  #whole: string[] = [];
  #nextIndex = 0;
  #chars = 0;
  #usage: ModelUsage | undefined;

  /** `deltas`: as they come; else whole blocks. */
  constructor(writer: LogWriter, deltas: boolean) {
    this.#writer = writer;
    this.#deltas = deltas;
  }

  readonly text = (delta: string): void => this.#say(BlockKind.TEXT, delta);
  readonly thinking = (delta: string): void => this.#say(BlockKind.THINKING, delta);
  readonly usage = (usage: ModelUsage): void => {
    this.#usage = usage;
  };
  readonly warning = (warning: ModelWarning): void => {
    this.#writer.push({ case: 'warning', value: warning });
  };
  readonly pressure = (): Promise<void> | undefined => this.#writer.pressure();

  /** Closes the block that is open; what came of it is kept, also when the call was cut short. */
  #closeBlock(): void {
    const open = this.#open;
    if (open === undefined) return;
    this.#open = undefined;
    const text = this.#whole.join('');
    this.#whole = [];
    const { index } = open;
    if (this.#deltas) {
      this.#writer.push({ case: 'blockStopped', value: { index } });
    } else if (text.length <= MAX_DELTA_CHARS) {
      const content = toContent(open.kind, text);
      this.#writer.push({ case: 'blockStopped', value: { index, content } });
    } else {
      // Longer than an event may be: it comes in pieces in either case.
      this.#pushDeltas(open.kind, index, text);
      this.#writer.push({ case: 'blockStopped', value: { index } });
    }
  }

  /** Closes what is open and says what the model call has used; returns the same. */
  finish(end: End): Usage {
    this.#closeBlock();
    const usage = this.#total(end);
    if (this.#usage !== undefined) this.#writer.push({ case: 'usage', value: { usage } });
    return usage;
  }

  /** The call counts as answered once something came of it. */
  #total(end: End): Usage {
    const answered = this.#nextIndex > 0 || end.kind === 'completed';
    const usage = create(UsageSchema, { modelCalls: answered ? 1 : 0 });
    const { inputTokens, outputTokens, reasoningTokens, cachedInputTokens } =
      this.#usage ?? NO_USAGE;
    if (inputTokens !== undefined) usage.inputTokens = inputTokens;
    if (outputTokens !== undefined) usage.outputTokens = outputTokens;
    if (reasoningTokens !== undefined) usage.reasoningTokens = reasoningTokens;
    if (cachedInputTokens !== undefined) usage.cachedInputTokens = cachedInputTokens;
    return usage;
  }

  #say(kind: Kind, delta: string): void {
    if (delta.length === 0) return;
    this.#chars += delta.length;
    if (this.#chars > MAX_OUTPUT_CHARS) {
      throw new ModelFailure(
        FailureReason.OUTPUT_TOO_LARGE,
        `The answer grew past ${MAX_OUTPUT_CHARS} characters, the most that one chat may hold. Ask for less, or set max_tokens.`,
        { retryable: false },
      );
    }
    if (this.#open?.kind !== kind) {
      this.#closeBlock();
      const index = this.#nextIndex++;
      this.#open = { index, kind };
      this.#writer.push({ case: 'blockStarted', value: { index, kind, turn: 1 } });
    }
    const { index } = this.#open;
    if (this.#deltas) this.#pushDeltas(kind, index, delta);
    else this.#whole.push(delta);
  }

  #pushDeltas(kind: Kind, index: number, text: string): void {
    for (let at = 0; at < text.length;) {
      let end = Math.min(at + MAX_DELTA_CHARS, text.length);
      // Never between the halves of a surrogate pair.
      if (end < text.length && isHighSurrogate(text.charCodeAt(end - 1))) end--;
      const piece = at === 0 && end === text.length ? text : text.slice(at, end);
      this.#writer.push({
        case: kind === BlockKind.TEXT ? 'textDelta' : 'thinkingDelta',
        value: { index, text: piece },
      });
      at = end;
    }
  }
}

const NO_USAGE: ModelUsage = {
  inputTokens: undefined,
  outputTokens: undefined,
  reasoningTokens: undefined,
  cachedInputTokens: undefined,
};

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}

function toContent(kind: Kind, text: string): MessageInitShape<typeof ContentBlockSchema> {
  return kind === BlockKind.TEXT
    ? { block: { case: 'text', value: text } }
    : { block: { case: 'thinking', value: { text } } };
}
