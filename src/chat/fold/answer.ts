// The fold of events to the answer: blocks in order, what is effective after lost attempts, the hash
// that proves completeness. The server uses it for FULL views, and a worker to go on from the last
// finished step; clients fold the same way.
import type { MessageInitShape } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import type { Hash } from 'node:crypto';
import { createHash } from 'node:crypto';
import type { Failure, Usage } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import type { ChatStreamStatus, StopReason } from '../../../gen/tailrace/v1/chat_stream_pb.ts';
import type {
  Citation,
  ContentBlock,
  Message,
  ToolResultBlock,
  ToolResultBlockSchema,
  ToolUseBlock,
} from '../../../gen/tailrace/v1/content_pb.ts';
import {
  CitationSchema,
  ContentBlockSchema,
  MessageSchema,
  Role,
} from '../../../gen/tailrace/v1/content_pb.ts';
import type { Event } from '../../../gen/tailrace/v1/event_pb.ts';
import { BlockKind } from '../../../gen/tailrace/v1/event_pb.ts';
import { sendableName } from './sendable-name.ts';

interface Part {
  readonly sequence: number;
  readonly text: string;
}

interface Block {
  readonly index: number;
  readonly kind: BlockKind;
  readonly turn: number;
  readonly sequence: number;
  readonly id: string;
  readonly name: string;
  readonly server: string;
  parts: Part[];
  citations: { readonly sequence: number; readonly citation: Citation }[];
  whole: { readonly sequence: number; readonly content: ContentBlock } | undefined;
  signature: Part | undefined;
  /** The sequence of the event that says so. */
  incomplete: number | undefined;
}

export interface Ending {
  readonly status: ChatStreamStatus;
  readonly stopReason: StopReason;
  readonly failure: Failure | undefined;
  readonly outputJson: string;
  readonly endedAtMs: number;
}

/** A call of a tool of ours that the log has no result of. */
export interface OpenCall {
  readonly call: ToolUseBlock;
  /** The index of its result's block, where the log says that the call was begun: it may have been made. */
  readonly begun: number | undefined;
}

export interface OpenCalls {
  readonly server: readonly OpenCall[];
  readonly client: readonly ToolUseBlock[];
}

export class AnswerFold {
  #blocks: Block[] = [];
  /** Of client tools, by the id of their call. Finished steps: no attempt supersedes them. */
  readonly #results = new Map<string, ToolResultBlock>();
  #usage: Usage | undefined;
  #ending: Ending | undefined;
  #lastSequence = 0;

  /** Of the last record alone: its terminal event, without the blocks that may be in it. */
  static ofEnd(events: readonly Event[]): AnswerFold {
    const fold = new AnswerFold();
    const last = events.at(-1);
    if (last !== undefined) fold.apply(last);
    return fold;
  }

  get usage(): Usage | undefined {
    return this.#usage;
  }

  get ending(): Ending | undefined {
    return this.#ending;
  }

  get lastSequence(): number {
    return this.#lastSequence;
  }

  apply(event: Event): void {
    const { sequence, payload } = event;
    this.#lastSequence = sequence;
    switch (payload.case) {
      case 'attemptStarted':
        this.#discardAfter(payload.value.supersedesAfterSequence ?? 0);
        return;
      case 'blockStarted':
        this.#blocks.push({
          index: payload.value.index ?? 0,
          kind: payload.value.kind,
          turn: payload.value.turn,
          sequence,
          id: payload.value.id,
          name: payload.value.name,
          server: payload.value.server,
          parts: [],
          citations: [],
          whole: undefined,
          signature: undefined,
          incomplete: undefined,
        });
        return;
      case 'textDelta':
      case 'thinkingDelta':
        this.#block(payload.value.index).parts.push({ sequence, text: payload.value.text });
        return;
      case 'toolInputDelta':
        this.#block(payload.value.index).parts.push({ sequence, text: payload.value.json });
        return;
      case 'citation': {
        const { document, quote, position } = payload.value;
        const citation = create(CitationSchema, {
          document,
          quote,
          ...(position === undefined ? {} : { position }),
        });
        this.#block(payload.value.index).citations.push({ sequence, citation });
        return;
      }
      case 'blockStopped':
        if (payload.value.incomplete) this.#block(payload.value.index).incomplete = sequence;
        if (payload.value.content !== undefined) {
          const content = payload.value.content;
          this.#block(payload.value.index).whole = { sequence, content };
        } else if (payload.value.signature !== '') {
          const text = payload.value.signature;
          this.#block(payload.value.index).signature = { sequence, text };
        }
        return;
      case 'toolResultsReceived':
        for (const result of payload.value.results) this.#results.set(result.toolUseId, result);
        return;
      case 'usage':
        this.#usage = payload.value.usage;
        return;
      case 'completed':
      case 'failed':
      case 'cancelled':
      case 'error':
        this.#usage = payload.value.usage ?? this.#usage;
        this.#ending = {
          status: payload.value.status,
          stopReason: payload.value.stopReason,
          failure: payload.value.failure,
          outputJson: payload.case === 'completed' ? payload.value.outputJson : '',
          endedAtMs: timeMs(event),
        };
        return;
      case 'started':
      case 'warning':
      case 'toolProgress':
      case 'toolResultsRequested':
      case undefined:
        return;
    }
  }

  /** Lowercase hex SHA-256 of the UTF-8 of all effective text blocks in order. */
  contentSha256(): string {
    return this.textHash().digest('hex');
  }

  /** SHA-256 over the same, to be gone on with. */
  textHash(): Hash {
    const hash = createHash('sha256');
    for (const block of this.#blocks) {
      if (block.kind === BlockKind.TEXT) hash.update(textOf(block));
    }
    return hash;
  }

  /** The index of the next block. */
  get nextIndex(): number {
    return (this.#blocks.at(-1)?.index ?? -1) + 1;
  }

  /** Text and reasoning so far, in UTF-16 units. */
  get chars(): number {
    const said = this.#blocks.filter(({ kind }) => SAID.has(kind));
    return said.reduce((sum, block) => sum + textOf(block).length, 0);
  }

  /** The newest turn that has said something; 0 where none has. */
  get turn(): number {
    return this.#blocks.at(-1)?.turn ?? 0;
  }

  /** The answer so far, blocks in the order of their index, a client's result behind its call. */
  output(): ContentBlock[] {
    return this.#blocks.flatMap((block) => {
      const result = block.kind === BlockKind.TOOL_USE ? this.#results.get(block.id) : undefined;
      return result === undefined ? [toContent(block)] : [toContent(block), resultBlock(result)];
    });
  }

  /**
   * What the chat has added to the conversation: each turn, and the results that answer it. A turn that
   * another followed without results was asked for again, and left out with what was wrong in it.
   */
  messages(): Message[] {
    const messages: Message[] = [];
    const newest = this.turn;
    for (const turn of new Set(this.#blocks.map((block) => block.turn))) {
      const blocks = this.#blocks.filter((block) => block.turn === turn);
      const results = blocks.flatMap((block) => {
        if (block.kind === BlockKind.TOOL_RESULT) return [toContent(block)];
        const result = block.kind === BlockKind.TOOL_USE ? this.#results.get(block.id) : undefined;
        return result === undefined ? [] : [resultBlock(result)];
      });
      if (results.length === 0 && turn !== newest) continue;
      const said = blocks
        .filter(({ kind }) => kind !== BlockKind.TOOL_RESULT)
        .map((block) => sendable(toContent(block)));
      messages.push(create(MessageSchema, { role: Role.ASSISTANT, content: said }));
      if (results.length > 0) {
        messages.push(create(MessageSchema, { role: Role.USER, content: results }));
      }
    }
    return messages;
  }

  /** Of all calls of tools, those of turns that were asked for again included. */
  callIds(): string[] {
    return this.#blocks.flatMap(({ kind, id }) => (CALLS.has(kind) ? [id] : []));
  }

  /** The calls of the newest turn, if it ended with calls that have no result yet. */
  openCalls(): OpenCalls | undefined {
    const newest = this.#blocks.filter((block) => block.turn === this.turn);
    const results = new Map(
      newest.flatMap((block) => (block.kind === BlockKind.TOOL_RESULT ? [[block.id, block]] : [])),
    );
    const server: OpenCall[] = [];
    const client: ToolUseBlock[] = [];
    for (const block of newest) {
      const call = toContent(block).block;
      if (call.case !== 'toolUse') continue;
      if (block.kind === BlockKind.TOOL_USE) {
        if (!this.#results.has(block.id)) client.push(call.value);
        continue;
      }
      const result = results.get(block.id);
      if (result?.whole === undefined) server.push({ call: call.value, begun: result?.index });
    }
    return server.length + client.length === 0 ? undefined : { server, client };
  }

  /** How often each tool of ours was called and came to a result. */
  serverCalls(): ReadonlyMap<string, number> {
    const done = new Set(
      this.#blocks.flatMap(({ kind, id, whole }) =>
        kind === BlockKind.TOOL_RESULT && whole !== undefined ? [id] : [],
      ),
    );
    const counts = new Map<string, number>();
    for (const { kind, id, name } of this.#blocks) {
      if (kind !== BlockKind.SERVER_TOOL_USE || !done.has(id)) continue;
      counts.set(name, (counts.get(name) ?? 0) + 1);
    }
    return counts;
  }

  /** What the tools of ours have answered, in UTF-16 units. */
  get toolResultChars(): number {
    return this.#sumOfResults(resultChars);
  }

  /** The images among it. */
  get toolImageBytes(): number {
    return this.#sumOfResults(resultImageBytes);
  }

  #sumOfResults(size: (result: ToolResultBlock) => number): number {
    let sum = 0;
    for (const { whole } of this.#blocks) {
      const block = whole?.content.block;
      if (block?.case === 'toolResult') sum += size(block.value);
    }
    return sum;
  }

  #block(index: number | undefined): Block {
    const block = this.#blocks.findLast((b) => b.index === (index ?? 0));
    if (block === undefined) {
      throw new Error(`The log has an event of block ${String(index)}, which never began.`);
    }
    return block;
  }

  #discardAfter(sequence: number): void {
    this.#blocks = this.#blocks.filter((b) => b.sequence <= sequence);
    for (const block of this.#blocks) {
      block.parts = block.parts.filter((p) => p.sequence <= sequence);
      block.citations = block.citations.filter((c) => c.sequence <= sequence);
      if (block.whole !== undefined && block.whole.sequence > sequence) block.whole = undefined;
      if ((block.signature?.sequence ?? 0) > sequence) block.signature = undefined;
      if ((block.incomplete ?? 0) > sequence) block.incomplete = undefined;
    }
  }
}

const CALLS: ReadonlySet<BlockKind> = new Set([BlockKind.TOOL_USE, BlockKind.SERVER_TOOL_USE]);
const SAID: ReadonlySet<BlockKind> = new Set([BlockKind.TEXT, BlockKind.THINKING]);

export function timeMs(event: Event): number {
  if (event.time === undefined) return 0;
  return Number(event.time.seconds) * 1_000 + Math.floor(event.time.nanos / 1_000_000);
}

/** Of the text in a result, in UTF-16 units. */
export function resultChars({
  content = [],
}: MessageInitShape<typeof ToolResultBlockSchema>): number {
  return content.reduce(
    (sum, { block }) => sum + (block?.case === 'text' ? block.value.length : 0),
    0,
  );
}

/** Of the images in a result. */
export function resultImageBytes({
  content = [],
}: MessageInitShape<typeof ToolResultBlockSchema>): number {
  return content.reduce((sum, { block }) => {
    const source = block?.case === 'image' ? block.value.source : undefined;
    return sum + (source?.case === 'data' ? source.value.length : 0);
  }, 0);
}

function resultBlock(value: ToolResultBlock): ContentBlock {
  return create(ContentBlockSchema, { block: { case: 'toolResult', value } });
}

function sendable(content: ContentBlock): ContentBlock {
  const { block } = content;
  if (block.case !== 'toolUse') return content;
  const value = { ...block.value, name: sendableName(block.value.name) };
  return { ...content, block: { case: 'toolUse', value } };
}

function textOf(block: Block): string {
  const whole = block.whole?.content.block;
  if (whole?.case === 'text') return whole.value;
  if (whole?.case === 'thinking') return whole.value.text;
  return block.parts.map((p) => p.text).join('');
}

function toContent(block: Block): ContentBlock {
  const citations = block.citations.map((c) => c.citation);
  if (block.whole !== undefined) {
    const { content } = block.whole;
    return citations.length === 0 ? content : { ...content, citations };
  }
  const text = textOf(block);
  switch (block.kind) {
    case BlockKind.THINKING:
      return create(ContentBlockSchema, {
        block: { case: 'thinking', value: { text, signature: block.signature?.text ?? '' } },
      });
    case BlockKind.TOOL_USE:
    case BlockKind.SERVER_TOOL_USE:
      return create(ContentBlockSchema, {
        block: {
          case: 'toolUse',
          value: {
            id: block.id,
            name: block.name,
            input: text,
            server: block.server,
            incomplete: block.incomplete !== undefined,
          },
        },
      });
    case BlockKind.TOOL_RESULT:
      return create(ContentBlockSchema, {
        block: { case: 'toolResult', value: { toolUseId: block.id } },
      });
    default:
      return create(ContentBlockSchema, { block: { case: 'text', value: text }, citations });
  }
}
