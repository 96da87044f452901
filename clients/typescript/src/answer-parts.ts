// The parts of an answer out of the events of its blocks. A chat may have thousands of blocks, and each of its events
// gives a snapshot: so the newest block leads to the one before it, what has not changed is shared, and a list is made
// where it is read. What a lost attempt had said may be cut off at any event: then what was done is done again up to
// there. The texts of then are not kept: V8 would hold a copy of every one that somebody has read.
import type { ContentBlock, ToolResultBlock } from './gen/tailrace/v1/content_pb.ts';
import type {
  BlockStartedEvent,
  BlockStoppedEvent,
  CitationEvent,
} from './gen/tailrace/v1/event_pb.ts';
import { BlockKind } from './gen/tailrace/v1/event_pb.ts';
import { create } from '@bufbuild/protobuf';
import { CitationSchema } from './gen/tailrace/v1/content_pb.ts';
import type { AnswerPart, TextPart } from './snapshot.ts';

interface Block {
  readonly part: AnswerPart;
  /** Of the caller's tool that it calls. */
  readonly result?: AnswerPart;
  readonly before: Block | undefined;
}

interface Step {
  readonly sequence: number;
  readonly take: () => void;
}

export class AnswerParts {
  /** All text parts joined, and all reasoning. */
  text = '';
  thinking = '';
  #last: Block | undefined;
  #steps: Step[] = [];

  /** Gives those of now, whenever it is called. */
  get parts(): () => readonly AnswerPart[] {
    const last = this.#last;
    let parts: readonly AnswerPart[] | undefined;
    return () => (parts ??= listOf(last));
  }

  start(sequence: number, { index = 0, kind, turn, id, name, server }: BlockStartedEvent): void {
    this.#do(sequence, () => this.#add(emptyPart(kind, { index, turn, id, name, server })));
  }

  add(sequence: number, index: number, kind: BlockKind, more: string): void {
    const grown = (part: AnswerPart): AnswerPart => {
      switch (part.kind) {
        case 'text':
        case 'thinking':
          return { ...part, text: part.text + more };
        case 'toolUse':
          return { ...part, input: part.input + more };
        case 'toolResult':
          return part;
      }
    };
    this.#change(sequence, index, kind, grown, more);
  }

  cite(sequence: number, { index = 0, document, quote, position }: CitationEvent): void {
    const where = position === undefined ? {} : { position };
    const citation = create(CitationSchema, { document, quote, ...where });
    this.#change(sequence, index, BlockKind.TEXT, (part) =>
      part.kind === 'text' ? { ...part, citations: [...part.citations, citation] } : part,
    );
  }

  stop(sequence: number, stopped: BlockStoppedEvent): void {
    const { index = 0, content } = stopped;
    this.#change(sequence, index, BlockKind.TEXT, (part) => ({
      ...(content === undefined ? closed(part, stopped) : whole(part, content)),
      done: true,
    }));
  }

  /** These are finished steps: no attempt supersedes them. */
  answer(results: readonly ToolResultBlock[]): void {
    for (const result of results) {
      this.#do(0, () =>
        this.#replace(
          (part) => part.kind === 'toolUse' && part.id === result.toolUseId,
          (block) => ({ ...block, result: resultPart(block.part, result) }),
        ),
      );
    }
  }

  discardAfter(sequence: number): void {
    this.#steps = this.#steps.filter((step) => step.sequence <= sequence);
    this.#last = undefined;
    this.text = this.thinking = '';
    for (const { take } of this.#steps) take();
  }

  #do(sequence: number, take: () => void): void {
    this.#steps.push({ sequence, take });
    take();
  }

  #add(part: AnswerPart): void {
    this.#last = { part, before: this.#last };
  }

  /** Of the newest block of that index. One that began before the cursor is begun here. */
  #change(
    sequence: number,
    index: number,
    kind: BlockKind,
    change: (part: AnswerPart) => AnswerPart,
    added?: string,
  ): void {
    this.#do(sequence, () => {
      let rejoin = false;
      const changed = (block: Block, later: readonly Block[]): Block => {
        const part = change(block.part);
        const more = added ?? moreOf(block.part, part);
        if (more === undefined) rejoin = true;
        else if (more !== '' && 'text' in part) {
          if (later.some((each) => each.part.kind === part.kind)) rejoin = true;
          else this[part.kind] += more;
        }
        return { ...block, part };
      };
      const is = (part: AnswerPart): boolean => part.index === index;
      if (!this.#replace(is, changed)) {
        this.#add(emptyPart(kind, { index, turn: 0, id: '', name: '', server: '' }));
        this.#replace(is, changed);
      }
      if (rejoin) this.#join();
    });
  }

  /** The newest block that is so. Those after it lead to the new one then: they are few. */
  #replace(
    is: (part: AnswerPart) => boolean,
    change: (block: Block, later: readonly Block[]) => Block,
  ): boolean {
    const later: Block[] = [];
    let found = this.#last;
    while (found !== undefined && !is(found.part)) {
      later.push(found);
      found = found.before;
    }
    if (found === undefined) return false;
    this.#last = change(found, later);
    for (const block of later.toReversed()) this.#last = { ...block, before: this.#last };
    return true;
  }

  #join(): void {
    this.text = this.thinking = '';
    for (const part of listOf(this.#last)) {
      if ('text' in part) this[part.kind] += part.text;
    }
  }
}

/** In order, a result behind its call. */
function listOf(last: Block | undefined): readonly AnswerPart[] {
  const parts: AnswerPart[] = [];
  for (let block = last; block !== undefined; block = block.before) {
    if (block.result !== undefined) parts.push(block.result);
    parts.push(block.part);
  }
  return parts.toReversed();
}

/** What the second says that the first did not; undefined where it does not only add to it. */
function moreOf(was: AnswerPart, part: AnswerPart): string | undefined {
  if (said(was) === '') return said(part);
  return said(was) === said(part) ? '' : undefined;
}

function said(part: AnswerPart): string {
  return 'text' in part ? part.text : '';
}

interface Head {
  readonly index: number;
  readonly turn: number;
  readonly id: string;
  readonly name: string;
  readonly server: string;
}

function emptyPart(kind: BlockKind, { index, turn, id, name, server }: Head): AnswerPart {
  const base = { index, turn, done: false };
  switch (kind) {
    case BlockKind.THINKING:
      return { ...base, kind: 'thinking', text: '', signature: '' };
    case BlockKind.TOOL_USE:
    case BlockKind.SERVER_TOOL_USE: {
      const by = kind === BlockKind.TOOL_USE ? 'client' : 'server';
      return { ...base, kind: 'toolUse', by, id, name, server, input: '', incomplete: false };
    }
    case BlockKind.TOOL_RESULT:
      return { ...base, kind: 'toolResult', toolUseId: id, content: [], isError: false };
    default:
      return { ...base, kind: 'text', text: '', citations: [] };
  }
}

/** A block that came as deltas. */
function closed(part: AnswerPart, { signature, incomplete }: BlockStoppedEvent): AnswerPart {
  if (part.kind === 'toolUse') return { ...part, incomplete };
  return part.kind === 'thinking' && signature !== '' ? { ...part, signature } : part;
}

/** A block that came whole. */
function whole(part: AnswerPart, { block, citations }: ContentBlock): AnswerPart {
  const base = { index: part.index, turn: part.turn, done: true };
  switch (block.case) {
    case 'text': {
      const before: readonly TextPart['citations'][number][] =
        part.kind === 'text' ? part.citations : [];
      return { ...base, kind: 'text', text: block.value, citations: [...before, ...citations] };
    }
    case 'thinking': {
      const { text, signature } = block.value;
      return { ...base, kind: 'thinking', text, signature };
    }
    case 'toolUse': {
      const { id, name, input, server, incomplete } = block.value;
      const by = part.kind === 'toolUse' ? part.by : 'client';
      return { ...base, kind: 'toolUse', by, id, name, server, input, incomplete };
    }
    case 'toolResult':
      return resultPart(base, block.value);
    default:
      return part;
  }
}

function resultPart(
  { index, turn }: { readonly index: number; readonly turn: number },
  { toolUseId, content, isError = false }: ToolResultBlock,
): AnswerPart {
  return { kind: 'toolResult', index, turn, done: true, toolUseId, content, isError };
}
