// The tables of the list. A change here is a new version: the old file is thrown away and made again
// from the log.

export const SCHEMA_VERSION = 4;

export const SCHEMA = `
CREATE TABLE position (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  store_id TEXT NOT NULL,
  commands INTEGER NOT NULL,
  events INTEGER NOT NULL
);
CREATE TABLE chats (
  tenant TEXT NOT NULL,
  stream_id TEXT NOT NULL,
  created_at_ms INTEGER NOT NULL DEFAULT 0,
  expires_at_ms INTEGER NOT NULL DEFAULT 0,
  model TEXT NOT NULL DEFAULT '',
  priority INTEGER NOT NULL DEFAULT 0,
  start_sequence INTEGER NOT NULL DEFAULT 0,
  correlation_id TEXT NOT NULL DEFAULT '',
  metadata TEXT NOT NULL DEFAULT '{}',
  status INTEGER NOT NULL DEFAULT 1,
  attempt INTEGER NOT NULL DEFAULT 0,
  latest_sequence INTEGER NOT NULL DEFAULT 0,
  started_at_ms INTEGER NOT NULL DEFAULT 0,
  run_due_ms INTEGER,
  ends_at_ms INTEGER,
  results INTEGER NOT NULL DEFAULT 0,
  answered_at_ms INTEGER,
  continued INTEGER NOT NULL DEFAULT 0,
  pending TEXT NOT NULL DEFAULT '[]',
  terminal BLOB,
  started INTEGER NOT NULL DEFAULT 0,
  deleted INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (tenant, stream_id)
) WITHOUT ROWID;
CREATE INDEX newest ON chats (tenant, created_at_ms DESC, stream_id DESC)
  WHERE deleted = 0 AND started = 1;
CREATE INDEX by_status ON chats (tenant, status, created_at_ms DESC, stream_id DESC)
  WHERE deleted = 0 AND started = 1;
CREATE INDEX by_correlation ON chats (tenant, correlation_id, created_at_ms DESC, stream_id DESC)
  WHERE deleted = 0 AND started = 1 AND correlation_id <> '';
CREATE INDEX unfinished ON chats (tenant, status, created_at_ms)
  WHERE status < 3 AND deleted = 0 AND started = 1;
CREATE INDEX expiry ON chats (expires_at_ms);
CREATE TABLE labels (
  tenant TEXT NOT NULL,
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  created_at_ms INTEGER NOT NULL,
  stream_id TEXT NOT NULL,
  PRIMARY KEY (tenant, key, value, created_at_ms DESC, stream_id DESC)
) WITHOUT ROWID;
`;

/** What the places in the queue are kept by. */
const PLACE = 'RETURNING priority, start_sequence, status, deleted';

export const START = `
INSERT INTO chats (tenant, stream_id, created_at_ms, expires_at_ms, model, priority, start_sequence,
  correlation_id, metadata, started)
VALUES (:tenant, :stream_id, :created_at_ms, :expires_at_ms, :model, :priority, :start_sequence,
  :correlation_id, :metadata, 1)
ON CONFLICT (tenant, stream_id) DO UPDATE SET created_at_ms = excluded.created_at_ms,
  expires_at_ms = excluded.expires_at_ms, model = excluded.model, priority = excluded.priority,
  start_sequence = excluded.start_sequence, correlation_id = excluded.correlation_id,
  metadata = excluded.metadata, started = 1
${PLACE}`;

/** By a continue: which results record it names. */
export const CONTINUE = `
INSERT INTO chats (tenant, stream_id, expires_at_ms, continued)
VALUES (:tenant, :stream_id, :expires_at_ms, :continued)
ON CONFLICT (tenant, stream_id) DO UPDATE SET continued = max(continued, excluded.continued)
`;

export const LABEL = `
INSERT OR IGNORE INTO labels (tenant, key, value, created_at_ms, stream_id)
SELECT :tenant, key, value, :created_at_ms, :stream_id FROM json_each(:metadata)
`;

const LABELS_OF = `
DELETE FROM labels WHERE (tenant, key, value, created_at_ms, stream_id) IN (
  SELECT chats.tenant, each.key, each.value, chats.created_at_ms, chats.stream_id
  FROM chats, json_each(chats.metadata) AS each WHERE`;

/** By what the chat says of itself: a look through all labels would take as long as there are many. */
export const UNLABEL = `${LABELS_OF} chats.tenant = :tenant AND chats.stream_id = :stream_id)`;

const EXPIRED = `
SELECT tenant, stream_id FROM chats WHERE expires_at_ms < :now
ORDER BY expires_at_ms, tenant, stream_id LIMIT :limit
`;

export const UNLABEL_EXPIRED = `${LABELS_OF} (chats.tenant, chats.stream_id) IN (${EXPIRED}))`;

/** Gone from the queue too, if it was in it. */
export const DROP_EXPIRED = `DELETE FROM chats WHERE (tenant, stream_id) IN (${EXPIRED})
RETURNING priority, start_sequence, status, 1 AS deleted`;

/** Deletion is sticky: no later change takes it back. */
export const DELETE = `
INSERT INTO chats (tenant, stream_id, expires_at_ms, deleted)
VALUES (:tenant, :stream_id, :expires_at_ms, 1)
ON CONFLICT (tenant, stream_id) DO UPDATE SET deleted = 1, metadata = '{}', correlation_id = '',
  pending = '[]', terminal = NULL
${PLACE}`;

/**
 * May come before the start: the two streams are read side by side. run_due_ms is NULL while the run's
 * time stands still, ends_at_ms but in a wait, answered_at_ms unless all results of one are there.
 */
export const STATUS = `
INSERT INTO chats (tenant, stream_id, created_at_ms, expires_at_ms, model, priority, status, attempt,
  latest_sequence, started_at_ms, run_due_ms, ends_at_ms, results, answered_at_ms, pending, terminal)
VALUES (:tenant, :stream_id, :created_at_ms, :expires_at_ms, :model, :priority, :status, :attempt,
  :latest_sequence, :started_at_ms, :run_due_ms, :ends_at_ms, :results, :answered_at_ms, :pending,
  :terminal)
ON CONFLICT (tenant, stream_id) DO UPDATE SET status = excluded.status, attempt = excluded.attempt,
  latest_sequence = excluded.latest_sequence, started_at_ms = excluded.started_at_ms,
  run_due_ms = excluded.run_due_ms, ends_at_ms = excluded.ends_at_ms, results = excluded.results,
  answered_at_ms = excluded.answered_at_ms,
  pending = CASE WHEN chats.deleted = 1 THEN '[]' ELSE excluded.pending END,
  terminal = CASE WHEN chats.deleted = 1 THEN NULL ELSE excluded.terminal END
${PLACE}`;
