// The thread that queries databases: one job after the other, each on a connection of its own.
import { parentPort } from 'node:worker_threads';
import type { DatabaseJob, DatabaseReply, Target } from './database-protocol.ts';
import { type Session, SqlFailure } from './session.ts';

let current: Session | undefined;

/** Drivers are large, and most processes need one of them. */
async function open(target: Target): Promise<Session> {
  switch (target.kind) {
    case 'postgres':
      return (await import('./postgres.ts')).openPostgres(target);
    case 'mysql':
      return (await import('./mysql.ts')).openMysql(target);
    case 'sqlite':
      return (await import('./sqlite.ts')).openSqlite(target);
  }
}

async function done(job: Exclude<DatabaseJob, { do: 'cancel' }>): Promise<DatabaseReply> {
  try {
    const session = await open(job.target);
    current = session;
    try {
      if (job.do === 'list') {
        return { is: 'tables', listed: await session.list(job.find, job.allowed) };
      }
      return { is: 'rows', text: await session.query(job.sql, job.allowed) };
    } finally {
      current = undefined;
      session.close();
    }
  } catch (error) {
    if (error instanceof SqlFailure) return { is: 'failed', why: error.message };
    throw error;
  }
}

async function answer(job: DatabaseJob): Promise<void> {
  if (job.do !== 'cancel') return parentPort?.postMessage(await done(job));
  await current?.cancel();
  const reply: DatabaseReply = { is: 'failed', why: 'cancelled' };
  parentPort?.postMessage(reply);
}

parentPort?.on('message', (job: DatabaseJob) => void answer(job));
