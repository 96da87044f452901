// A real MariaDB for a test, with a user "admin" who may do everything and a database "shop"; gone with `await using`.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createConnection } from 'mysql2/promise';
import { giveTo, needsPrograms, runProgram, startProgram } from './database-programs.ts';
import { freePort } from '../processes/free-port.ts';
import { temporaryFolder } from '../processes/nats.ts';

export const needsMariadb = (): string | false => needsPrograms('mariadbd', 'mariadb-install-db');

export interface TestMariadb extends AsyncDisposable {
  readonly port: number;
  /** As the user who may do everything, past everything that is tested. */
  readonly run: (sql: string) => Promise<readonly (readonly unknown[])[]>;
  readonly folder: string;
}

export const ADMIN_PASSWORD = 'admin-password';

export async function startMariadb(): Promise<TestMariadb> {
  const folder = temporaryFolder();
  giveTo(folder.path);
  const data = join(folder.path, 'data');
  runProgram('mariadb-install-db', [
    '--no-defaults',
    `--datadir=${data}`,
    '--auth-root-authentication-method=normal',
    '--skip-test-db',
    '--skip-name-resolve',
  ]);
  const begin = join(folder.path, 'begin.sql');
  writeFileSync(
    begin,
    `CREATE USER 'admin'@'%' IDENTIFIED BY '${ADMIN_PASSWORD}';
GRANT ALL PRIVILEGES ON *.* TO 'admin'@'%' WITH GRANT OPTION;
CREATE DATABASE shop;
`,
    { mode: 0o644 },
  );
  const port = await freePort();
  const program = await startProgram(
    'mariadbd',
    [
      '--no-defaults',
      `--datadir=${data}`,
      `--socket=${join(folder.path, 'socket')}`,
      `--pid-file=${join(folder.path, 'pid')}`,
      `--init-file=${begin}`,
      `--port=${port}`,
      '--bind-address=127.0.0.1',
      '--skip-name-resolve',
      '--innodb-flush-log-at-trx-commit=0',
      '--innodb-buffer-pool-size=16M',
    ],
    /ready for connections/,
  );
  const admin = await createConnection({
    host: '127.0.0.1',
    port,
    user: 'admin',
    password: ADMIN_PASSWORD,
    database: 'shop',
    rowsAsArray: true,
    multipleStatements: true,
  });
  return {
    port,
    folder: folder.path,
    run: async (sql) => {
      const [rows] = await admin.query(sql);
      return Array.isArray(rows) ? (rows as unknown[][]) : [];
    },
    [Symbol.asyncDispose]: async () => {
      admin.destroy();
      await program[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}
