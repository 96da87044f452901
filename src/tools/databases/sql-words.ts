// What a text of SQL may name, whatever a database takes it for: names are looked for in texts and comments as
// well, so that no reading of SQL has to be the very same as the database's own. Whoever names a table has its
// name in the text in one piece; who finds one that must not be read refuses more than must be, and never less.

export interface SqlWords {
  /** `truncatedAt`: bytes after which the database itself cuts longer names. */
  readonly names: (name: string, truncatedAt?: number) => boolean;
  /** The name, and behind it what may be the beginning of its arguments. */
  readonly calls: (name: string, truncatedAt?: number) => boolean;
  /** The name, and behind it what may be a dot and the name of a table. */
  readonly qualifies: (name: string) => boolean;
}

export function sqlWords(sql: string): SqlWords {
  const text = folded(sql);
  const unquoted = withoutQuotes(text);
  const words = new Map<string, number[]>();
  for (const { 0: word, index } of text.matchAll(/[a-z0-9_$\u0080-\u{10FFFF}]+/gu)) {
    const ends = words.get(word) ?? [];
    ends.push(index + word.length);
    words.set(word, ends);
  }
  const spellings = (name: string, wanted: string, truncatedAt: number | undefined): string[] => {
    // It cuts no character in two: what is left may be some bytes shorter.
    if (truncatedAt === undefined || Buffer.byteLength(name) <= truncatedAt - MAX_CHARACTER_BYTES) {
      return words.has(wanted) ? [wanted] : [];
    }
    return [...words.keys()].filter((word) => word.startsWith(wanted));
  };
  const before = (name: string, follows: RegExp, truncatedAt?: number): boolean => {
    const wanted = folded(name);
    if (!isWord(wanted)) return unquoted.includes(withoutQuotes(wanted));
    return spellings(name, wanted, truncatedAt)
      .flatMap((word) => words.get(word) ?? [])
      .some((end) => follows.test(text.slice(end, end + 200)));
  };
  return {
    names: (name, truncatedAt) => {
      const wanted = folded(name);
      if (!isWord(wanted)) return unquoted.includes(withoutQuotes(wanted));
      return spellings(name, wanted, truncatedAt).length > 0;
    },
    calls: (name, truncatedAt) => before(name, ARGUMENTS, truncatedAt),
    qualifies: (name) => before(name, DOT),
  };
}

/** Of UTF-8. */
const MAX_CHARACTER_BYTES = 4;

/** Comments, and more space than is looked at, may hide it. */
const ARGUMENTS = /^["`\]]?(?:\s*(?:\(|--|\/\*|#)|\s{190})/;
const DOT = /^["`\]]?(?:\s*(?:\.|--|\/\*|#)|\s{190})/;

/** In a name they are written twice. */
function withoutQuotes(text: string): string {
  return text.replaceAll(/["`\][]/g, '');
}

function isWord(text: string): boolean {
  return /^[a-z0-9_$\u0080-\u{10FFFF}]+$/u.test(text);
}

/** Alike whatever a database folds: capitals, accents, widths. ASCII stays ASCII. */
function folded(text: string): string {
  return text
    .normalize('NFKD')
    .replaceAll(/\p{M}+/gu, '')
    .toLowerCase()
    .replaceAll('ς', 'σ');
}

export const READ_ONLY =
  'the database can only be read: send one SELECT, which may begin with WITH';

/** What a statement begins with, past comments: undefined for what cannot be told at a glance. */
export function isSelect(sql: string): boolean {
  const rest = sql.replace(/^(?:\s+|--[ \t\r][^\n]*(?:\n|$)|--\n|\/\*(?![!M])[^]*?\*\/|\()+/, '');
  return /^(?:select|with|values|table)\b/i.test(rest);
}
