// An index of documents for search by BM25: an FTS5 table of SQLite in memory, without the texts. It is made in slices,
// so that the other chats of the process are served meanwhile.
import { DatabaseSync } from 'node:sqlite';
import { setImmediate } from 'node:timers/promises';
import { INDEX_SLICE_MS } from '../../chat/limits.ts';
import { type Passage, passagesOf } from './passages.ts';
import { spaced, wordsOf } from './search-words.ts';

export interface DocumentToIndex {
  /** Words in it count half for each passage of its document. */
  readonly title: string;
  readonly text: string;
}

export interface Hit extends Passage {
  /** Among all passages of the index. */
  readonly place: number;
  /** The document, by its place among those of the index. */
  readonly document: number;
}

export interface DocumentIndex {
  /** All passages, document by document. It outlives the index. */
  readonly passages: readonly Hit[];
  /** Where those of a document are among them; undefined: all. */
  readonly rangeOf: (document: number | undefined) => {
    readonly from: number;
    readonly to: number;
  };
  /** The best first. `document`: only there. */
  readonly search: (query: string, document: number | undefined, limit: number) => readonly Hit[];
  /** Gives its memory back; no search may follow. */
  readonly close: () => void;
}

/** English endings do not count; words of other languages match as they are, without accents. */
const TABLE = `CREATE VIRTUAL TABLE passages USING fts5(title, body, content='',
  tokenize='porter unicode61 remove_diacritics 2')`;
const SEARCH = `SELECT rowid FROM passages WHERE passages MATCH ? AND rowid BETWEEN ? AND ?
  ORDER BY bm25(passages, 0.5, 1.0), rowid LIMIT ?`;

export async function indexDocuments(
  documents: readonly DocumentToIndex[],
): Promise<DocumentIndex> {
  const db = new DatabaseSync(':memory:');
  db.exec(`${TABLE}; BEGIN`);
  const insert = db.prepare('INSERT INTO passages(rowid, title, body) VALUES (?, ?, ?)');
  /** By rowid. */
  const hits: Hit[] = [];
  /** Of each document, its first rowid; behind the last, the end. */
  const firsts: number[] = [];
  let sliceEnd = performance.now() + INDEX_SLICE_MS;
  for (const [document, { title, text }] of documents.entries()) {
    firsts.push(hits.length);
    const head = spaced(title);
    for (const { start, end } of passagesOf(text)) {
      insert.run(hits.length, head, spaced(text.slice(start, end)));
      hits.push({ place: hits.length, document, start, end });
      if (performance.now() < sliceEnd) continue;
      await setImmediate();
      sliceEnd = performance.now() + INDEX_SLICE_MS;
    }
  }
  db.exec('COMMIT');
  firsts.push(hits.length);
  const select = db.prepare(SEARCH);
  select.setReturnArrays(true);
  const rangeOf = (
    document: number | undefined,
  ): { readonly from: number; readonly to: number } => {
    if (document === undefined) return { from: 0, to: hits.length };
    return { from: firsts[document] ?? 0, to: firsts[document + 1] ?? 0 };
  };
  const find = (match: string, document: number | undefined, limit: number): readonly Hit[] => {
    const { from, to } = rangeOf(document);
    const rows = select.all(match, from, to - 1, limit) as unknown as readonly [number][];
    return rows.flatMap(([row]) => hits[row] ?? []);
  };
  return {
    passages: hits,
    rangeOf,
    search: (query, document, limit) => {
      const words = wordsOf(query);
      if (words.length === 0) return [];
      const found = find(words.map((word) => `"${word}"`).join(' OR '), document, limit);
      if (found.length > 0) return found;
      // No passage has any of the words: those that begin so, as compounds do.
      return find(words.map((word) => `"${word}" *`).join(' OR '), document, limit);
    },
    close: () => db.close(),
  };
}
