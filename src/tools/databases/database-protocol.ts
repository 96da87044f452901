// What a process that runs chats and the process that queries databases say to each other. Addresses and passwords go
// over it in the clear: it is a pipe between two processes of one machine and one user.
import type { AllowedNames } from './allowed-names.ts';
import type { FileAddress, ServerAddress, Tls } from './connection-string.ts';

export type Target =
  | (Omit<ServerAddress, 'tls'> & {
      readonly tls: Tls;
      /** Those that may be connected to, and no other. */
      readonly addresses: readonly string[];
      /** Certificates that are trusted besides those that node brings along. */
      readonly trusted: readonly string[];
    })
  /** folders: where it must lie, by its real path. */
  | (FileAddress & { readonly folders: readonly string[] });

export type ServerTarget = Exclude<Target, FileAddress>;
export type FileTarget = Extract<Target, FileAddress>;

export type DatabaseJob =
  | {
      readonly do: 'query';
      readonly target: Target;
      readonly allowed: AllowedNames;
      readonly sql: string;
    }
  /** find: a part of the names that are wanted; empty: all. */
  | {
      readonly do: 'list';
      readonly target: Target;
      readonly allowed: AllowedNames;
      readonly find: string;
    }
  /** The query under way is wanted no more. */
  | { readonly do: 'cancel' };

export interface ListedTables {
  /** As in "PostgreSQL 15.4". */
  readonly product: string;
  /** One line each: its name as SQL has it, and its columns. */
  readonly lines: readonly string[];
  /** Whether there are more. */
  readonly more: boolean;
}

export type DatabaseReply =
  | { readonly is: 'rows'; readonly text: string }
  | { readonly is: 'tables'; readonly listed: ListedTables }
  /** In words for the model. */
  | { readonly is: 'failed'; readonly why: string };
