// One connection to one database for one query: what each kind of database does in its own way. One for each query,
// because SQL may change its session (a setting, a role, a variable), because none is held while a model thinks for
// minutes, and because what is left of it then goes with it.
import type { AllowedNames } from './allowed-names.ts';
import type { ListedTables } from './database-protocol.ts';

export interface Session {
  /** The answer as text for the model. Rejects with SqlFailure. */
  readonly query: (sql: string, allowed: AllowedNames) => Promise<string>;
  readonly list: (find: string, allowed: AllowedNames) => Promise<ListedTables>;
  /** Calls off, at the database, what it is at. */
  readonly cancel: () => Promise<void>;
  readonly close: () => void;
}

/** In words for the model: of the statement or of the database, never of its address. */
export class SqlFailure extends Error {
  constructor(words: string, options: { readonly cause?: unknown } = {}) {
    super(words, options);
    this.name = 'SqlFailure';
  }
}
