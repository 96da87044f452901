// The rules of a database in a request, at the door: its connection string, which is a secret, and the names of what
// may be read in it. Whether it is there at all shows when a run begins.
import { sep } from 'node:path';
import type { Database } from '../../../gen/tailrace/v1/chat_request_pb.ts';
import type { Violation } from '../../chat/errors.ts';
import { type DatabaseAddress, readConnectionString } from './connection-string.ts';

/** `folders`: where files of SQLite may lie. Paths are those within the database. */
export function databaseChecker(
  folders: readonly string[],
): (database: Database) => readonly Violation[] {
  return ({ connectionString, schemas }) => {
    const read = readConnectionString(connectionString);
    const why = read.ok ? unfit(read.address, folders) : read.why;
    const found: Violation[] = [];
    if (why !== undefined) found.push({ path: 'connection_string', description: why });
    if (read.ok && read.address.kind === 'sqlite' && schemas.some((name) => name !== 'main')) {
      const description = 'SQLite has the schema main alone; leave it out, and name tables';
      found.push({ path: 'schemas', description });
    }
    return found;
  };
}

function unfit(address: DatabaseAddress, folders: readonly string[]): string | undefined {
  if (address.kind !== 'sqlite') return undefined;
  if (folders.length === 0) {
    return 'is a file, and this server takes none; the operator names the folders that they may lie in with TAILRACE_SQLITE_FOLDERS';
  }
  // Its real path is looked at where it is opened.
  if (folders.some((folder) => address.file.startsWith(`${folder}${sep}`))) return undefined;
  return 'is a file outside the folders that the operator names with TAILRACE_SQLITE_FOLDERS';
}
