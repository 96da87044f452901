// A real PostgreSQL for a test, with a superuser "admin" and a database "shop"; gone with `await using`.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import { CERTIFICATE } from '../../tools/certificate.ts';
import { giveTo, needsPrograms, runProgram, startProgram } from './database-programs.ts';
import { freePort } from '../processes/free-port.ts';
import { temporaryFolder } from '../processes/nats.ts';

export const needsPostgres = (): string | false => needsPrograms('postgres', 'initdb');

export interface TestPostgres extends AsyncDisposable {
  readonly port: number;
  /** As the superuser, past everything that is tested. */
  readonly run: (sql: string) => Promise<readonly (readonly unknown[])[]>;
  readonly folder: string;
}

export const ADMIN_PASSWORD = 'admin-password';

export async function startPostgres(): Promise<TestPostgres> {
  const folder = temporaryFolder();
  giveTo(folder.path);
  const data = join(folder.path, 'data');
  const passwordFile = join(folder.path, 'password');
  writeFileSync(passwordFile, ADMIN_PASSWORD, { mode: 0o644 });
  const given = '--username admin --auth scram-sha-256 --encoding UTF8 --locale C --no-sync';
  runProgram('initdb', [...given.split(' '), '--pgdata', data, '--pwfile', passwordFile]);
  for (const [name, text] of [
    ['server.key', CERTIFICATE.key],
    ['server.crt', CERTIFICATE.cert],
  ] as const) {
    writeFileSync(join(data, name), text, { mode: 0o600 });
    giveTo(join(data, name));
  }
  const port = await freePort();
  const settings = ['listen_addresses=127.0.0.1', 'fsync=off', 'ssl=on', 'max_connections=20'];
  const program = await startProgram(
    'postgres',
    [
      '-D',
      data,
      '-p',
      String(port),
      '-k',
      folder.path,
      ...settings.flatMap((each) => ['-c', each]),
    ],
    /database system is ready to accept connections/,
  );
  const connect = async (database: string): Promise<Client> => {
    const client = new Client({
      host: '127.0.0.1',
      port,
      user: 'admin',
      password: ADMIN_PASSWORD,
      database,
    });
    await client.connect();
    return client;
  };
  const first = await connect('postgres');
  await first.query('CREATE DATABASE shop');
  await first.end();
  const admin = await connect('shop');
  // It is killed at the end.
  admin.on('error', () => undefined);
  return {
    port,
    folder: folder.path,
    run: async (sql) => (await admin.query({ text: sql, rowMode: 'array' })).rows as unknown[][],
    [Symbol.asyncDispose]: async () => {
      await admin.end();
      await program[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}
