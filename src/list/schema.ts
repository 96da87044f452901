// The tables of the list. A change here is a new version: the old file is thrown away and made again
// from the log.

export const SCHEMA_VERSION = 1;

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
  correlation_id TEXT NOT NULL DEFAULT '',
  metadata TEXT NOT NULL DEFAULT '{}',
  status INTEGER NOT NULL DEFAULT 1,
  attempt INTEGER NOT NULL DEFAULT 0,
  latest_sequence INTEGER NOT NULL DEFAULT 0,
  started_at_ms INTEGER NOT NULL DEFAULT 0,
  terminal BLOB,
  started INTEGER NOT NULL DEFAULT 0,
  deleted INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (tenant, stream_id)
) WITHOUT ROWID;
CREATE INDEX newest ON chats (tenant, created_at_ms DESC, stream_id DESC);
CREATE INDEX by_correlation ON chats (tenant, correlation_id, created_at_ms DESC, stream_id DESC)
  WHERE correlation_id <> '';
CREATE INDEX unfinished ON chats (tenant, status, created_at_ms)
  WHERE status < 3 AND deleted = 0 AND started = 1;
CREATE INDEX expiry ON chats (expires_at_ms);
CREATE TABLE labels (
  tenant TEXT NOT NULL,
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  stream_id TEXT NOT NULL,
  PRIMARY KEY (tenant, key, value, stream_id)
) WITHOUT ROWID;
`;

export const START = `
INSERT INTO chats (tenant, stream_id, created_at_ms, expires_at_ms, model, priority, correlation_id,
  metadata, started)
VALUES (:tenant, :stream_id, :created_at_ms, :expires_at_ms, :model, :priority, :correlation_id,
  :metadata, 1)
ON CONFLICT (tenant, stream_id) DO UPDATE SET created_at_ms = excluded.created_at_ms,
  expires_at_ms = excluded.expires_at_ms, model = excluded.model, priority = excluded.priority,
  correlation_id = excluded.correlation_id, metadata = excluded.metadata, started = 1
`;

export const LABEL = `
INSERT OR IGNORE INTO labels (tenant, key, value, stream_id) VALUES (?, ?, ?, ?)
`;

/** Deletion is sticky: no later change takes it back. */
export const DELETE = `
INSERT INTO chats (tenant, stream_id, expires_at_ms, deleted)
VALUES (:tenant, :stream_id, :expires_at_ms, 1)
ON CONFLICT (tenant, stream_id) DO UPDATE SET deleted = 1, metadata = '{}', correlation_id = '',
  terminal = NULL
`;

/** May come before the start: the two streams are read side by side. */
export const STATUS = `
INSERT INTO chats (tenant, stream_id, created_at_ms, expires_at_ms, model, priority, status, attempt,
  latest_sequence, started_at_ms, terminal)
VALUES (:tenant, :stream_id, :created_at_ms, :expires_at_ms, :model, :priority, :status, :attempt,
  :latest_sequence, :started_at_ms, :terminal)
ON CONFLICT (tenant, stream_id) DO UPDATE SET status = excluded.status, attempt = excluded.attempt,
  latest_sequence = excluded.latest_sequence, started_at_ms = excluded.started_at_ms,
  terminal = CASE WHEN chats.deleted = 1 THEN NULL ELSE excluded.terminal END
`;
