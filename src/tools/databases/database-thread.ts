// The thread that queries databases: one job after the other, each on a connection of its own.
import {
  MAX_LISTED_TABLE_CHARS,
  MAX_LISTED_TABLES,
  MAX_SQL_ERROR_CHARS,
} from '../../chat/limits.ts';
import { answerJobs } from '../../processes/work-thread.ts';
import type { DatabaseJob, DatabaseReply, ListedTables, Target } from './database-protocol.ts';
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
        return { is: 'tables', listed: bounded(await session.list(job.find, job.allowed)) };
      }
      return { is: 'rows', text: await session.query(job.sql, job.allowed) };
    } finally {
      current = undefined;
      session.close();
    }
  } catch (error) {
    if (error instanceof SqlFailure) {
      return { is: 'failed', why: error.message.slice(0, MAX_SAID_CHARS).toWellFormed() };
    }
    throw error;
  }
}

/** Names are as long as a server likes, and whoever asked is the process that runs chats. */
function bounded({ product, lines, more }: ListedTables): ListedTables {
  return {
    product: product.slice(0, MAX_SQL_ERROR_CHARS),
    // One more than is shown, so that it is seen to be cut.
    lines: lines
      .slice(0, MAX_LISTED_TABLES)
      .map((line) => line.slice(0, MAX_LISTED_TABLE_CHARS + 1).toWellFormed()),
    more,
  };
}

/** What a server says, and our words around it. */
const MAX_SAID_CHARS = 2 * MAX_SQL_ERROR_CHARS;

let atWork = false;
let calledOff = false;

/** After a cancel that called something off the process is ended: its answer is the cancel's, once that is done. */
async function answer(job: DatabaseJob): Promise<DatabaseReply | undefined> {
  if (job.do === 'cancel') {
    calledOff = atWork;
    await current?.cancel();
    return { is: 'failed', why: 'cancelled' };
  }
  atWork = true;
  const reply = await done(job);
  atWork = false;
  return calledOff ? undefined : reply;
}

answerJobs(answer);
