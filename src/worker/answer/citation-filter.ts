// Takes the markers of citations out of what a model says: [[d1]] or [[d1: "words of the document"]]. Text
// is held back only while it may still be a marker. One pass: no character is looked at twice.
import { MAX_CITATION_MARKER_CHARS } from '../../chat/limits.ts';

export interface CitationSink {
  readonly text: (text: string) => void;
  /** `quote`: as the model gave it, without the marks around it; empty: none. */
  readonly cite: (document: string, quote: string) => void;
}

/** Where in a marker what is held ends; each but the first begins with a bracket. */
type State = 'text' | '[' | '[[' | '[[id' | '[[id]' | '[[id:' | '[[id:]' | '[[id:[';

export class CitationFilter {
  readonly #ids: ReadonlySet<string>;
  readonly #beginnings: ReadonlySet<string>;
  readonly #sink: CitationSink;
  #state: State = 'text';
  #held = '';
  #id = '';
  #quote = '';

  /** `ids`: of the documents that there are; a marker with another is text. */
  constructor(ids: ReadonlySet<string>, sink: CitationSink) {
    this.#ids = ids;
    this.#beginnings = new Set([...ids].flatMap(beginningsOf));
    this.#sink = sink;
  }

  push(delta: string): void {
    let from = 0;
    for (let at = 0; at < delta.length; at++) {
      if (this.#state !== 'text') {
        // A whole character: its halves must not leave in two pieces.
        const char = String.fromCodePoint(delta.codePointAt(at) ?? 0);
        this.#step(char);
        at += char.length - 1;
        from = at + 1;
        continue;
      }
      const bracket = delta.indexOf('[', at);
      if (bracket === -1) break;
      at = bracket;
      this.#say(delta.slice(from, at));
      this.#go('[', '[');
      from = at + 1;
    }
    if (this.#state === 'text') this.#say(delta.slice(from));
  }

  /** The block is over. A marker that was cut off is never shown; what could still be text is. */
  end(): void {
    const cut = this.#ids.has(this.#id) && this.#state !== 'text';
    const held = this.#held;
    this.#reset();
    if (!cut) this.#say(held);
  }

  #step(char: string): void {
    switch (this.#state) {
      case '[':
        return char === '[' ? this.#go('[[', char) : this.#giveUp(char);
      case '[[':
        // The marker, if it is one, begins a character later.
        if (char === '[') return this.#say('[');
        return this.#extendId(char);
      case '[[id':
        if (char !== ']' && char !== ':') return this.#extendId(char);
        if (!this.#ids.has(this.#id)) return this.#giveUp(char);
        return this.#go(char === ']' ? '[[id]' : '[[id:', char);
      case '[[id]':
        return char === ']' ? this.#cite() : this.#giveUp(char);
      case '[[id:':
        // A few words have no empty line in them: the end was forgotten.
        if (char === '\n' && this.#quote.endsWith('\n')) return this.#giveUp(char);
        return this.#quoteOn('', char);
      case '[[id:]':
        if (char === ']') return this.#cite();
        // A bracket is missing: what follows is no quote.
        return isMarked(this.#quote.trim()) ? this.#giveUp(char) : this.#quoteOn(']', char);
      case '[[id:[':
        return char === '[' ? this.#beginAnother() : this.#quoteOn('[', char);
      case 'text':
        return;
    }
  }

  #extendId(char: string): void {
    if (!this.#beginnings.has(this.#id + char)) return this.#giveUp(char);
    this.#id += char;
    this.#go('[[id', char);
  }

  #go(state: State, char: string): void {
    this.#state = state;
    this.#held += char;
  }

  /** `bracket`: that was before it, and is of the quote. */
  #quoteOn(bracket: string, char: string): void {
    if (this.#held.length >= MAX_CITATION_MARKER_CHARS) return this.#giveUp(char);
    this.#quote += bracket;
    if (char === ']') return this.#go('[[id:]', char);
    if (char === '[') return this.#go('[[id:[', char);
    this.#quote += char;
    this.#go('[[id:', char);
  }

  /** Two brackets within a marker: it was text, and they may be another. */
  #beginAnother(): void {
    const held = this.#held.slice(0, -1);
    this.#reset();
    this.#say(held);
    this.#go('[[', '[[');
  }

  /** It was text, and a bracket may begin anew. */
  #giveUp(char: string): void {
    const held = this.#held;
    this.#reset();
    if (char === '[') {
      this.#say(held);
      this.#go('[', char);
    } else this.#say(held + char);
  }

  #cite(): void {
    const id = this.#id;
    const quote = unquoted(this.#quote.trim());
    this.#reset();
    this.#sink.cite(id, quote);
  }

  #reset(): void {
    this.#state = 'text';
    this.#held = '';
    this.#id = '';
    this.#quote = '';
  }

  #say(text: string): void {
    if (text !== '') this.#sink.text(text);
  }
}

const MARKS: readonly (readonly [string, string])[] = [
  ['"', '"'],
  ['“', '”'],
  ['„', '“'],
  ['«', '»'],
  ["'", "'"],
];

function isMarked(text: string): boolean {
  return MARKS.some(
    ([before, behind]) => text.length >= 2 && text.startsWith(before) && text.endsWith(behind),
  );
}

function unquoted(text: string): string {
  return isMarked(text) ? text.slice(1, -1).trim() : text;
}

/** Ids are ASCII. */
function beginningsOf(id: string): string[] {
  return Array.from({ length: id.length }, (_, i) => id.slice(0, i + 1));
}
