// The parts of an answer out of the events of its blocks. What a lost attempt had said is cut off at any event, so
// each block keeps how much of it there was after each. The texts of then are not kept: V8 would hold a copy of every
// one that somebody has read, which is quadratic.
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

/** How much of a block there is from this event on. */
interface Extent {
  readonly sequence: number;
  readonly chars: number;
  readonly citations: number;
  readonly done: boolean;
}

interface Block {
  part: AnswerPart;
  readonly extents: Extent[];
}

export class AnswerParts {
  #blocks: Block[] = [];
  /** Of the caller's tools, by the id of their call. They are finished steps: no attempt supersedes them. */
  readonly #results = new Map<string, ToolResultBlock>();
  #parts: readonly AnswerPart[] | undefined;

  /** In order, a result behind its call. */
  get parts(): readonly AnswerPart[] {
    this.#parts ??= this.#blocks.flatMap(({ part }) => {
      const result = part.kind === 'toolUse' ? this.#results.get(part.id) : undefined;
      return result === undefined ? [part] : [part, resultPart(part, result)];
    });
    return this.#parts;
  }

  start(sequence: number, { index = 0, kind, turn, id, name, server }: BlockStartedEvent): void {
    this.#add(sequence, emptyPart(kind, { index, turn, id, name, server }));
  }

  add(sequence: number, index: number, kind: BlockKind, more: string): void {
    this.#change(sequence, index, kind, (part) => {
      switch (part.kind) {
        case 'text':
        case 'thinking':
          return { ...part, text: part.text + more };
        case 'toolUse':
          return { ...part, input: part.input + more };
        case 'toolResult':
          return part;
      }
    });
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

  answer(results: readonly ToolResultBlock[]): void {
    for (const result of results) this.#results.set(result.toolUseId, result);
    this.#parts = undefined;
  }

  discardAfter(sequence: number): void {
    this.#blocks = this.#blocks.filter(({ extents }) => (extents[0]?.sequence ?? 0) <= sequence);
    for (const block of this.#blocks) {
      const kept = block.extents.findLastIndex((extent) => extent.sequence <= sequence);
      const extent = block.extents[kept];
      if (extent === undefined || kept === block.extents.length - 1) continue;
      block.extents.length = kept + 1;
      block.part = cut(block.part, extent);
    }
    this.#parts = undefined;
  }

  #add(sequence: number, part: AnswerPart): Block {
    const block = { part, extents: [extentOf(sequence, part)] };
    this.#blocks.push(block);
    this.#parts = undefined;
    return block;
  }

  /** A block that began before the cursor is begun here. */
  #change(
    sequence: number,
    index: number,
    kind: BlockKind,
    change: (part: AnswerPart) => AnswerPart,
  ): void {
    const block =
      this.#blocks.findLast(({ part }) => part.index === index) ??
      this.#add(sequence, emptyPart(kind, { index, turn: 0, id: '', name: '', server: '' }));
    block.part = change(block.part);
    block.extents.push(extentOf(sequence, block.part));
    this.#parts = undefined;
  }
}

function extentOf(sequence: number, part: AnswerPart): Extent {
  const citations = part.kind === 'text' ? part.citations.length : 0;
  return { sequence, chars: said(part).length, citations, done: part.done };
}

function said(part: AnswerPart): string {
  switch (part.kind) {
    case 'text':
    case 'thinking':
      return part.text;
    case 'toolUse':
      return part.input;
    case 'toolResult':
      return '';
  }
}

function cut(part: AnswerPart, { chars, citations, done }: Extent): AnswerPart {
  const kept = said(part).slice(0, chars);
  switch (part.kind) {
    case 'text':
      return { ...part, text: kept, citations: part.citations.slice(0, citations), done };
    case 'thinking':
      return { ...part, text: kept, signature: done ? part.signature : '', done };
    case 'toolUse':
      return { ...part, input: kept, incomplete: done && part.incomplete, done };
    case 'toolResult':
      return done ? part : { ...part, content: [], isError: false, done };
  }
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
