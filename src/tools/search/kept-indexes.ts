// The indexes that a process keeps, by the content of what they index: further calls, attempts and chats
// with the same documents find them made. Those used longest ago go first.
import { createHash } from 'node:crypto';
import { KEPT_INDEX_CHARS, KEPT_INDEXES } from '../../chat/limits.ts';
import { type DocumentIndex, type DocumentToIndex, indexDocuments } from './document-index.ts';

export interface KeptIndexes {
  /** `key`: by indexKey. `use` must not keep the index: it is closed when others take its place. */
  readonly with: <T>(
    key: string,
    documents: readonly DocumentToIndex[],
    use: (index: DocumentIndex) => T,
  ) => Promise<T>;
  /** Indexes that there are, those being made included. */
  readonly size: () => number;
}

interface Kept {
  readonly chars: number;
  readonly index: Promise<DocumentIndex>;
  /** Calls that wait for it or use it. */
  users: number;
}

export function createKeptIndexes(
  maxChars: number = KEPT_INDEX_CHARS,
  maxIndexes: number = KEPT_INDEXES,
): KeptIndexes {
  /** Used longest ago first. */
  const kept = new Map<string, Kept>();
  let chars = 0;
  /** One is made at a time, so that slices do not add up. */
  let last: Promise<unknown> = Promise.resolve();

  function make(documents: readonly DocumentToIndex[]): Kept {
    const index = last.then(() => indexDocuments(documents));
    last = index.catch(() => undefined);
    const length = documents.reduce((sum, { text }) => sum + text.length, 0);
    chars += length;
    return { chars: length, index, users: 0 };
  }

  function drop(key: string, one: Kept): void {
    if (kept.get(key) !== one) return;
    kept.delete(key);
    chars -= one.chars;
  }

  /** The newest stays, however large it is. */
  function evict(): void {
    for (const [key, one] of kept) {
      if ((chars <= maxChars && kept.size <= maxIndexes) || kept.size === 1) return;
      if (one.users > 0) continue;
      drop(key, one);
      // Made long since: it has no users any more.
      void one.index.then((index) => index.close());
    }
  }

  return {
    with: async (key, documents, use) => {
      const one = kept.get(key) ?? make(documents);
      // Last in order: used now.
      kept.delete(key);
      kept.set(key, one);
      one.users++;
      try {
        return use(await one.index);
      } catch (error) {
        // One that could not be made is made anew.
        await one.index.catch(() => drop(key, one));
        throw error;
      } finally {
        one.users--;
        evict();
      }
    },
    size: () => kept.size,
  };
}

/** What an index depends on. */
export function indexKey(documents: readonly DocumentToIndex[]): string {
  const hash = createHash('sha256');
  for (const { title, text } of documents) {
    hash.update(`${title.length} ${text.length} `).update(title).update(text);
  }
  return hash.digest('base64');
}
