// The thread that holds tables and queries them.
import { TABLE_PROCESS_DATABASES } from '../../chat/limits.ts';
import { answerJobs } from '../../processes/work-thread.ts';
import { openTables, type TableDatabase } from './table-database.ts';
import type { TableJob, TableReply } from './table-protocol.ts';

/** Used longest ago first. */
const open = new Map<string, TableDatabase>();

function use(key: string, database: TableDatabase): TableDatabase {
  open.delete(key);
  open.set(key, database);
  for (const [oldest, { close }] of open) {
    if (open.size <= TABLE_PROCESS_DATABASES) break;
    open.delete(oldest);
    close();
  }
  return database;
}

function done(job: TableJob): TableReply {
  if (job.do === 'load') {
    const { key, tables } = job.set;
    use(key, open.get(key) ?? openTables(tables));
    return { is: 'loaded' };
  }
  const database = open.get(job.key);
  if (database === undefined) return { is: 'unknown' };
  return { is: 'answer', answer: use(job.key, database).query(job.sql) };
}

answerJobs(async (job: TableJob) => Promise.resolve(done(job)));
