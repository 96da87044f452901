// Reasoning that a model writes into its text between tags, told apart as it streams. Servers with a
// reasoning parser do this themselves; here the text of those without one is read as theirs would: tags
// count at the start of a turn only, and white space around them is nobody's. The forms are those of
// vllm/reasoning/basic_parsers.py and deepseek_r1_reasoning_parser.py, sglang's
// python/sglang/srt/parser/reasoning_parser.py and ollama's thinking/parser.go.
import type { DialectName } from './dialects.ts';

export interface ThinkTags {
  readonly open: string;
  readonly close: string;
  /** The chat template has written the opening tag already: the turn begins with reasoning. */
  readonly opened: boolean;
}

/** DeepSeek, Qwen, GLM, Kimi and most others. */
export const THINK_TAGS: ThinkTags = { open: '<think>', close: '</think>', opened: false };

/** These hand reasoning over apart from the text by themselves. */
const SPLIT_BY_SERVER: ReadonlySet<DialectName> = new Set([
  'openai',
  'llamacpp',
  'ollama',
  'openrouter',
  'embedded',
]);

/** For a model of which the operator has not said it; undefined: its text is text. */
export function tagsOfDialect(dialect: DialectName): ThinkTags | undefined {
  return SPLIT_BY_SERVER.has(dialect) ? undefined : THINK_TAGS;
}

export interface TagSplitter {
  readonly push: (text: string) => void;
  /** Hands on what was held back in case it became a tag. */
  readonly flush: () => void;
  /** All that follows is text. */
  readonly off: () => void;
}

/** Where the turn stands. Before a `…` white space is dropped. */
type Place = 'start' | '…thinking' | 'thinking' | '…text' | 'text';

const LEADING_SPACE = /^\s*/;
/** More white space than that begins a text. */
const MAX_LEADING_SPACE = 16;

/**
 * Holds back what may be the beginning of a tag, and no more; white space before an opening tag too. Each
 * character is looked at a bounded number of times.
 */
export function createTagSplitter(
  { open, close, opened }: ThinkTags,
  emit: { readonly text: (text: string) => void; readonly thinking: (text: string) => void },
): TagSplitter {
  let place: Place = 'start';
  let held = '';

  function atStart(text: string): void {
    const all = held + text;
    const space = spaceBefore(all);
    held = '';
    if (space <= MAX_LEADING_SPACE) {
      if (all.startsWith(open, space)) {
        place = '…thinking';
        return thinking(all.slice(space + open.length));
      }
      if (all.length - space < open.length && open.startsWith(all.slice(space))) {
        held = all;
        return;
      }
    }
    begin();
    push(all);
  }

  function begin(): void {
    place = opened ? '…thinking' : 'text';
  }

  function thinking(text: string): void {
    let all = held + text;
    held = '';
    if (place === '…thinking') {
      all = all.slice(spaceBefore(all));
      if (all === '') return;
      place = 'thinking';
    }
    const end = all.indexOf(close);
    if (end >= 0) {
      if (end > 0) emit.thinking(all.slice(0, end));
      place = '…text';
      return push(all.slice(end + close.length));
    }
    const keep = overlap(all, close);
    const said = keep === 0 ? all : all.slice(0, -keep);
    held = keep === 0 ? '' : all.slice(-keep);
    if (said !== '') emit.thinking(said);
  }

  function push(text: string): void {
    switch (place) {
      case 'text':
        if (text !== '') emit.text(text);
        return;
      case '…text': {
        const said = text.slice(spaceBefore(text));
        if (said === '') return;
        place = 'text';
        emit.text(said);
        return;
      }
      case 'start':
        return atStart(text);
      case '…thinking':
      case 'thinking':
        return thinking(text);
    }
  }

  function flush(): void {
    if (place === 'start' && held !== '') {
      const begun = held;
      held = '';
      begin();
      push(begun);
    }
    const rest = held;
    held = '';
    if (rest !== '') emit.thinking(rest);
  }

  return {
    push,
    flush,
    off() {
      flush();
      place = 'text';
    },
  };
}

function spaceBefore(text: string): number {
  return LEADING_SPACE.exec(text)?.[0].length ?? 0;
}

/** The length of the longest end of the text with which the tag begins. */
function overlap(text: string, tag: string): number {
  const from = Math.max(0, text.length - tag.length + 1);
  for (let at = text.indexOf(tag.charAt(0), from); at >= 0;) {
    if (tag.startsWith(text.slice(at))) return text.length - at;
    at = text.indexOf(tag.charAt(0), at + 1);
  }
  return 0;
}
