// OpenRouter's reasoning_details: reasoning in pieces, with what its maker wants to have back unchanged
// (signatures, encrypted reasoning). All of it but the text becomes a thinking block's signature, from
// which the very list is made again. The form: openrouter.ai/docs, "Preserving reasoning blocks".
import type { ThinkingBlock } from '../../../gen/tailrace/v1/content_pb.ts';
import { MAX_THINKING_SIGNATURE_CHARS } from '../../chat/limits.ts';

type Detail = Readonly<Record<string, unknown>>;

/** What is reasoning that may be read; each comes in pieces. */
const TEXTS = ['text', 'summary'] as const;
/** In a signature: how many UTF-16 units of the block's text stand here. */
const CHARS = 'chars';

export interface DetailCollector {
  /** Takes what one delta holds, and gives the reasoning in it. */
  readonly take: (details: readonly unknown[]) => string;
  /** What is to be handed back of what came since the last time; '' where that is nothing. */
  readonly signature: () => string;
}

export function createDetailCollector(): DetailCollector {
  let items: Record<string, unknown>[] = [];
  let size = 0;

  function add(detail: Detail): string {
    let item = items.at(-1);
    if (item === undefined || !isSame(item, detail)) items.push((item = {}));
    let said = '';
    for (const [key, value] of Object.entries(detail)) {
      const before = item[key];
      // A signature is announced as an empty one. What does not change is not said anew.
      if (value === null || value === '' || value === before) continue;
      if (isText(key) && typeof value === 'string') {
        said += value;
        item[key] = (typeof before === 'number' ? before : 0) + value.length;
        continue;
      }
      const inPieces = key === 'data' && typeof before === 'string' && typeof value === 'string';
      item[key] = inPieces ? before + value : value;
      size += key.length + JSON.stringify(value).length;
    }
    return said;
  }

  return {
    take(details) {
      let said = '';
      for (const detail of details) {
        if (typeof detail !== 'object' || detail === null) continue;
        // A signature that is cut is worth nothing: what is too long is left out whole.
        if (size > MAX_THINKING_SIGNATURE_CHARS) said += textsOf(detail as Detail);
        else said += add(detail as Detail);
      }
      return said;
    },
    signature() {
      const all = items;
      const tooLong = size > MAX_THINKING_SIGNATURE_CHARS;
      items = [];
      size = 0;
      return all.length === 0 || tooLong ? '' : JSON.stringify(all.map(counted));
    },
  };
}

/**
 * The list as it came, of a thinking block that holds such a signature; undefined: it does not. Who has
 * changed the text has made the signature void: then only the text is left.
 */
export function detailsOf({ text, signature }: ThinkingBlock): readonly Detail[] | undefined {
  const items = parsedList(signature);
  if (items === undefined) return undefined;
  let at = 0;
  const details = items.map((item) => {
    const { [CHARS]: chars, ...rest } = item;
    if (typeof chars !== 'object' || chars === null) return rest;
    for (const [key, count] of Object.entries(chars)) {
      if (typeof count !== 'number') continue;
      rest[key] = text.slice(at, at + count);
      at += count;
    }
    return rest;
  });
  return at === text.length ? details : [{ type: 'reasoning.text', text }];
}

/** The lengths of texts in a field of their own, so that no text can be taken for one. */
function counted(item: Readonly<Record<string, unknown>>): Detail {
  const chars: Record<string, number> = {};
  const rest: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(item)) {
    if (isText(key) && typeof value === 'number') chars[key] = value;
    else rest[key] = value;
  }
  return Object.keys(chars).length === 0 ? rest : { ...rest, [CHARS]: chars };
}

/** A piece of the same item: they come in order, and each has its own place. */
function isSame(item: Detail, detail: Detail): boolean {
  return ['type', 'index', 'id'].every(
    (key) => item[key] === undefined || !(key in detail) || item[key] === detail[key],
  );
}

function isText(key: string): boolean {
  return TEXTS.some((name) => name === key);
}

function textsOf(detail: Detail): string {
  return TEXTS.map((key) => (typeof detail[key] === 'string' ? detail[key] : '')).join('');
}

function parsedList(signature: string): readonly Record<string, unknown>[] | undefined {
  if (!signature.startsWith('[')) return undefined;
  try {
    const list: unknown = JSON.parse(signature);
    const isList = Array.isArray(list) && list.every((item) => typeof item === 'object' && item);
    return isList ? (list as Record<string, unknown>[]) : undefined;
  } catch {
    return undefined;
  }
}
