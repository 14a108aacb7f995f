CREATE TABLE block(
  last_pos INTEGER PRIMARY KEY,
  first_pos INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  event_count INTEGER NOT NULL,
  body BLOB NOT NULL
) STRICT;
CREATE TABLE changed(name TEXT NOT NULL, sn INTEGER NOT NULL, PRIMARY KEY(name, sn)) STRICT, WITHOUT ROWID;
CREATE TABLE counter(
  sn INTEGER PRIMARY KEY,
  version INTEGER NOT NULL DEFAULT 0,
  last_seq INTEGER NOT NULL DEFAULT 0,
  status TEXT NOT NULL,
  end_reason TEXT,
  message_count INTEGER NOT NULL DEFAULT 0,
  turn_count INTEGER NOT NULL DEFAULT 0,
  token_count INTEGER NOT NULL DEFAULT 0,
  branch_count INTEGER NOT NULL DEFAULT 1,
  checkpoint_count INTEGER NOT NULL DEFAULT 0,
  active_branch TEXT NOT NULL DEFAULT 'main',
  updated_at_us INTEGER NOT NULL DEFAULT 0,
  expires_at_us INTEGER,
  ttl_us INTEGER,
  input_tokens INTEGER NOT NULL DEFAULT 0,
  output_tokens INTEGER NOT NULL DEFAULT 0,
  cache_read_input_tokens INTEGER NOT NULL DEFAULT 0,
  cache_creation_input_tokens INTEGER NOT NULL DEFAULT 0,
  reasoning_output_tokens INTEGER NOT NULL DEFAULT 0,
  cost_microusd INTEGER NOT NULL DEFAULT 0,
  fence INTEGER NOT NULL DEFAULT 0,
  lease_holder TEXT,
  lease_expires_at_us INTEGER NOT NULL DEFAULT 0,
  forked_seq INTEGER,
  pruned INTEGER NOT NULL DEFAULT 0,
  clean_seq INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE entry(
  sn INTEGER NOT NULL,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  branch TEXT NOT NULL,
  value BLOB, -- NULL: removed, kept for branch-keyed kinds alone
  seq INTEGER NOT NULL,
  PRIMARY KEY(sn, kind, name, branch)
) STRICT, WITHOUT ROWID;
CREATE INDEX entry_tag ON entry(name, sn) WHERE kind = 'tag';
CREATE TABLE event(
  pos INTEGER PRIMARY KEY,
  id TEXT NOT NULL,
  type TEXT NOT NULL,
  at_us INTEGER NOT NULL,
  recorded_at_us INTEGER NOT NULL,
  branch TEXT,
  run_id TEXT,
  message_id TEXT,
  parent_id TEXT,
  visibility TEXT,
  message_count INTEGER NOT NULL,
  turn_count INTEGER NOT NULL,
  token_count INTEGER NOT NULL,
  usage BLOB,
  extra BLOB,
  salt BLOB NOT NULL,
  digest BLOB NOT NULL,
  meta BLOB,
  data BLOB NOT NULL
) STRICT;
CREATE INDEX event_branch ON event(pos >> 32, branch, pos) WHERE branch IS NOT NULL;
CREATE UNIQUE INDEX event_id ON event(id, pos >> 32);
CREATE INDEX event_rare ON event(pos >> 32, type, pos)
  WHERE type <> 'message' AND type <> 'message.delta' AND type <> 'tool.progress' AND type <> 'usage'
    AND type <> 'session.created' AND type <> 'branch.created';
CREATE TABLE event_source(pos INTEGER PRIMARY KEY, line BLOB NOT NULL) STRICT;
CREATE TABLE follower(name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
CREATE TABLE follower_seq(sn INTEGER NOT NULL, name TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY(sn, name)) STRICT, WITHOUT ROWID;
CREATE TABLE migration(
  number INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  checksum TEXT NOT NULL,
  applied_at_us INTEGER NOT NULL
) STRICT;
CREATE TABLE part(rowid INTEGER PRIMARY KEY, sn INTEGER NOT NULL, ref TEXT NOT NULL, body BLOB NOT NULL, form INTEGER NOT NULL DEFAULT 0, UNIQUE(sn, ref)) STRICT;
CREATE TABLE pruned_id(sn INTEGER NOT NULL, id TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY(sn, id)) STRICT, WITHOUT ROWID;
CREATE TABLE purge(sn INTEGER PRIMARY KEY) STRICT;
CREATE TABLE range_tombstone(
  sn INTEGER NOT NULL,
  first_seq INTEGER NOT NULL,
  last_seq INTEGER NOT NULL,
  ids BLOB NOT NULL,
  leaves BLOB NOT NULL,
  reason TEXT NOT NULL,
  at_us INTEGER NOT NULL,
  PRIMARY KEY(sn, last_seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE run(
  sn INTEGER NOT NULL,
  id TEXT NOT NULL,
  status TEXT NOT NULL,
  body BLOB NOT NULL,
  PRIMARY KEY(sn, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE seal(
  sn INTEGER NOT NULL,
  upto_seq INTEGER NOT NULL,
  previous BLOB NOT NULL,
  root BLOB NOT NULL,
  at_us INTEGER NOT NULL,
  signature BLOB NOT NULL,
  place INTEGER NOT NULL,
  PRIMARY KEY(sn, place)
) STRICT, WITHOUT ROWID;
CREATE VIRTUAL TABLE search USING fts5(terms, content='', detail=full, columnsize=0, tokenize="ascii tokenchars '_'");
CREATE TABLE session(
  sn INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant TEXT NOT NULL,
  session_id TEXT NOT NULL,
  dead INTEGER NOT NULL DEFAULT 0,
  incarnation TEXT NOT NULL,
  owner TEXT,
  agent TEXT NOT NULL,
  kind TEXT NOT NULL,
  parent_id TEXT,
  listed_at_us INTEGER NOT NULL,
  touched INTEGER NOT NULL DEFAULT 0,
  created_at_us INTEGER NOT NULL,
  deleted_at_us INTEGER,
  fence INTEGER NOT NULL DEFAULT 0,
  info BLOB
) STRICT;
CREATE INDEX session_by_agent ON session(tenant, kind, agent, touched, listed_at_us, session_id) WHERE dead = 0;
CREATE INDEX session_by_owner ON session(tenant, kind, owner, touched, listed_at_us, session_id) WHERE dead = 0 AND owner IS NOT NULL;
CREATE INDEX session_by_owner_agent ON session(tenant, kind, owner, agent, touched, listed_at_us, session_id) WHERE dead = 0 AND owner IS NOT NULL;
CREATE INDEX session_by_parent ON session(tenant, parent_id) WHERE dead = 0 AND parent_id IS NOT NULL;
CREATE INDEX session_dead ON session(deleted_at_us) WHERE deleted_at_us IS NOT NULL;
CREATE UNIQUE INDEX session_key ON session(tenant, session_id, dead);
CREATE INDEX session_listed ON session(tenant, kind, touched, listed_at_us, session_id) WHERE dead = 0;
CREATE TABLE sqlite_sequence(name,seq);
CREATE TABLE usage_by_model(
  sn INTEGER NOT NULL,
  model TEXT NOT NULL,
  input_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  cache_read_input_tokens INTEGER NOT NULL,
  cache_creation_input_tokens INTEGER NOT NULL,
  reasoning_output_tokens INTEGER NOT NULL,
  cost_microusd INTEGER NOT NULL,
  PRIMARY KEY(sn, model)
) STRICT, WITHOUT ROWID;
