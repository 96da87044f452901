// Tool calls out of the pieces in which they are streamed. Servers agree on the fields and not on how
// they fill them: ids may be missing, indexes missing or all 0, names repeated, input an object.
import { MAX_TOOL_CALLS_PER_TURN, MAX_TOOL_INPUT_CHARS } from '../../chat/limits.ts';
import type { ModelSink } from '../../chat/ports/model.ts';
import { unreadable } from './failure.ts';
import { createWholeCharacters, type WholeCharacters } from './whole-characters.ts';

export interface ToolCallDeltas {
  /** Takes the `tool_calls` of one delta. Throws a ModelFailure where they are none. */
  readonly take: (pieces: readonly unknown[]) => void;
  readonly end: () => void;
  /** How many calls have begun. */
  readonly count: () => number;
  /** Whether the input of one of them is no JSON, as what was cut off within it. */
  readonly someBroken: () => boolean;
}

// What is read of the wire; anything may be in it.
interface WirePiece {
  readonly index?: unknown;
  readonly id?: unknown;
  readonly function?: { readonly name?: unknown; readonly arguments?: unknown } | null;
}

interface Call {
  readonly number: number;
  /** As the server gave it. */
  id: string;
  name: string;
  /** Input that came before the name. */
  early: string;
  readonly pieces: string[];
  readonly input: WholeCharacters;
}

export function createToolCallDeltas(
  sink: Pick<ModelSink, 'toolUse' | 'toolInput'>,
): ToolCallDeltas {
  const calls: Call[] = [];
  const byIndex = new Map<unknown, Call>();

  function takePiece(piece: WirePiece): void {
    const id = textIn(piece.id);
    const name = textIn(piece.function?.name);
    const call = callOf(piece.index ?? undefined, id, name);
    if (call.id === '') call.id = id;
    const begins = call.name === '' && name !== '';
    if (!begins && name !== '' && name !== call.name) throw unreadable('a tool call of two names');
    const input = inputIn(piece.function?.arguments);
    if (!begins && call.name === '') {
      call.early += input;
      // A sink bounds what has a name.
      if (calls.length > MAX_TOOL_CALLS_PER_TURN || call.early.length > MAX_TOOL_INPUT_CHARS) {
        throw unreadable('a tool call without the name of a tool');
      }
      return;
    }
    if (begins) {
      call.name = name;
      sink.toolUse(call.number, call.id, name);
    }
    const now = call.early + input;
    call.early = '';
    if (now === '') return;
    call.pieces.push(now);
    call.input.push(now);
  }

  /**
   * Another id with a name is another call, whatever index it has: some servers number all of them 0.
   * Without an index a piece is of the last one.
   */
  function callOf(index: unknown, id: string, name: string): Call {
    const known = index === undefined ? calls.at(-1) : byIndex.get(index);
    const other = id !== '' && name !== '' && known?.id !== '' && known?.id !== id;
    if (known !== undefined && !other) return known;
    // A name under a number that is new begins a call: some servers give several calls one id.
    const isNew = index !== undefined && known === undefined && name !== '';
    const ofId = id === '' || isNew ? undefined : calls.find((each) => each.id === id);
    if (ofId !== undefined) return ofId;
    const number = calls.length;
    const input = createWholeCharacters((json) => sink.toolInput(number, json));
    const made: Call = { number, id, name: '', early: '', pieces: [], input };
    calls.push(made);
    byIndex.set(index, made);
    return made;
  }

  return {
    take(pieces) {
      for (const piece of pieces) {
        if (typeof piece !== 'object' || piece === null) {
          throw unreadable('a tool call in a form that Tailrace does not know');
        }
        takePiece(piece);
      }
    },
    end() {
      for (const call of calls) {
        if (call.name === '') throw unreadable('a tool call without the name of a tool');
        call.input.end();
      }
    },
    count: () => calls.length,
    someBroken: () => calls.some(({ pieces }) => isBroken(pieces.join(''))),
  };
}

/** Many servers write nothing for a tool without input. */
function isBroken(input: string): boolean {
  if (input.trim() === '') return false;
  try {
    JSON.parse(input);
    return false;
  } catch {
    return true;
  }
}

function textIn(value: unknown): string {
  if (typeof value === 'string') return value;
  if (value === undefined || value === null) return '';
  throw unreadable('a tool call in a form that Tailrace does not know');
}

function inputIn(value: unknown): string {
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : textIn(value);
}
