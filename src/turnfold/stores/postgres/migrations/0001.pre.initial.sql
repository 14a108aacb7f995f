-- The schema is on the search path, so no name is qualified. Tenant and session id lead every key: the tables can be sharded or partitioned by
-- them. `gen` tells the creations of one session id apart, so that the rows of a dead one can be purged behind a living one.
-- Names are compared by bytes (COLLATE "C"), which is the order of code points that every store has.

CREATE TABLE migration(
  number integer PRIMARY KEY,
  name text NOT NULL,
  checksum text NOT NULL,
  needs integer NOT NULL,
  applied_at_us bigint NOT NULL
);

CREATE TABLE session(
  tenant text COLLATE "C" NOT NULL,
  session_id text COLLATE "C" NOT NULL,
  gen integer NOT NULL,
  dead boolean NOT NULL DEFAULT false,
  incarnation text COLLATE "C" NOT NULL,
  owner text COLLATE "C",
  agent text COLLATE "C" NOT NULL,
  kind text COLLATE "C" NOT NULL,
  parent_id text COLLATE "C",
  listed_at_us bigint NOT NULL,
  touched boolean NOT NULL DEFAULT false,
  created_at_us bigint NOT NULL,
  deleted_at_us bigint,
  fence bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (tenant, session_id, gen)
);
CREATE INDEX session_listed ON session(tenant, kind, touched, listed_at_us, session_id) WHERE NOT dead;
CREATE INDEX session_by_agent ON session(tenant, kind, agent, touched, listed_at_us, session_id) WHERE NOT dead;
CREATE INDEX session_by_owner ON session(tenant, kind, owner, touched, listed_at_us, session_id) WHERE NOT dead AND owner IS NOT NULL;
CREATE INDEX session_by_owner_agent ON session(tenant, kind, owner, agent, touched, listed_at_us, session_id)
  WHERE NOT dead AND owner IS NOT NULL;
CREATE INDEX session_by_parent ON session(tenant, parent_id) WHERE NOT dead AND parent_id IS NOT NULL;

-- What changes with each event. No index but its key, and room on the page, so that an update stays on it (HOT).
CREATE TABLE counter(
  tenant text COLLATE "C" NOT NULL,
  session_id text COLLATE "C" NOT NULL,
  gen integer NOT NULL,
  incarnation text COLLATE "C" NOT NULL,
  owner text COLLATE "C",
  last_seq bigint NOT NULL DEFAULT 0,
  status text COLLATE "C" NOT NULL,
  end_reason text,
  message_count bigint NOT NULL DEFAULT 0,
  turn_count bigint NOT NULL DEFAULT 0,
  token_count bigint NOT NULL DEFAULT 0,
  branch_count bigint NOT NULL DEFAULT 1,
  checkpoint_count bigint NOT NULL DEFAULT 0,
  active_branch text COLLATE "C" NOT NULL DEFAULT 'main',
  updated_at_us bigint NOT NULL,
  listed_at_us bigint NOT NULL,
  touched boolean NOT NULL DEFAULT false,
  relisted boolean NOT NULL DEFAULT false, -- the last commit moved it in the lists: RETURNING cannot say so by itself
  expires_at_us bigint,
  ttl_us bigint,
  input_tokens bigint NOT NULL DEFAULT 0,
  output_tokens bigint NOT NULL DEFAULT 0,
  cache_read_input_tokens bigint NOT NULL DEFAULT 0,
  cache_creation_input_tokens bigint NOT NULL DEFAULT 0,
  reasoning_output_tokens bigint NOT NULL DEFAULT 0,
  cost_microusd bigint NOT NULL DEFAULT 0,
  fence bigint NOT NULL DEFAULT 0,
  lease_holder text,
  lease_expires_at_us bigint NOT NULL DEFAULT 0,
  forked_seq bigint,
  pruned boolean NOT NULL DEFAULT false,
  clean_seq bigint NOT NULL DEFAULT 0,
  watched_until_us bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (tenant, session_id)
) WITH (fillfactor = 50);

CREATE TABLE event(
  tenant text COLLATE "C" NOT NULL,
  session_id text COLLATE "C" NOT NULL,
  gen integer NOT NULL,
  seq bigint NOT NULL,
  id text COLLATE "C" NOT NULL,
  type text COLLATE "C" NOT NULL,
  rare text COLLATE "C", -- the type again where it is a rare one (see `rare_of`)
  at_us bigint NOT NULL,
  recorded_at_us bigint NOT NULL,
  branch text COLLATE "C", -- NULL while the session has never forked
  run_id text COLLATE "C",
  message_id text COLLATE "C",
  parent_id text COLLATE "C",
  visibility text COLLATE "C", -- NULL: both
  message_count integer NOT NULL,
  turn_count integer NOT NULL,
  token_count bigint NOT NULL,
  usage bytea,
  extra bytea,
  salt bytea NOT NULL,
  digest bytea NOT NULL,
  meta bytea,
  data bytea NOT NULL,
  PRIMARY KEY (tenant, session_id, gen, seq),
  CONSTRAINT event_id UNIQUE (tenant, session_id, gen, id)
);
CREATE INDEX event_branch ON event(tenant, session_id, gen, branch, seq) WHERE branch IS NOT NULL;
CREATE INDEX event_rare ON event(tenant, session_id, gen, rare, seq) WHERE rare IS NOT NULL;

-- What is appended most is left out of the index of types. As a condition of the index this cost each append 4 µs: PostgreSQL plans an index's
-- condition anew with every statement that inserts.
CREATE FUNCTION rare_of(p_type text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN p_type IN ('message', 'message.delta', 'tool.progress', 'usage', 'session.created', 'branch.created') THEN NULL
    ELSE p_type END
$$;

CREATE TABLE event_source(
  tenant text COLLATE "C" NOT NULL,
  session_id text COLLATE "C" NOT NULL,
  gen integer NOT NULL,
  seq bigint NOT NULL,
  line bytea NOT NULL,
  PRIMARY KEY (tenant, session_id, gen, seq)
);

CREATE TABLE entry(
  tenant text COLLATE "C" NOT NULL,
  session_id text COLLATE "C" NOT NULL,
  gen integer NOT NULL,
  kind text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  branch text COLLATE "C" NOT NULL,
  value bytea, -- NULL: removed, kept for branch-keyed kinds alone
  seq bigint NOT NULL,
  PRIMARY KEY (tenant, session_id, gen, kind, name, branch)
);

CREATE TABLE usage_by_model(
  tenant text COLLATE "C" NOT NULL,
  session_id text COLLATE "C" NOT NULL,
  gen integer NOT NULL,
  model text COLLATE "C" NOT NULL,
  input_tokens bigint NOT NULL,
  output_tokens bigint NOT NULL,
  cache_read_input_tokens bigint NOT NULL,
  cache_creation_input_tokens bigint NOT NULL,
  reasoning_output_tokens bigint NOT NULL,
  cost_microusd bigint NOT NULL,
  PRIMARY KEY (tenant, session_id, gen, model)
) WITH (fillfactor = 70);

CREATE TABLE run(
  tenant text COLLATE "C" NOT NULL,
  session_id text COLLATE "C" NOT NULL,
  gen integer NOT NULL,
  id text COLLATE "C" NOT NULL,
  status text COLLATE "C" NOT NULL,
  body bytea NOT NULL,
  PRIMARY KEY (tenant, session_id, gen, id)
);

CREATE TABLE part(
  tenant text COLLATE "C" NOT NULL,
  session_id text COLLATE "C" NOT NULL,
  gen integer NOT NULL,
  ref text COLLATE "C" NOT NULL,
  body bytea NOT NULL,
  PRIMARY KEY (tenant, session_id, gen, ref)
);

CREATE TABLE range_tombstone(
  tenant text COLLATE "C" NOT NULL,
  session_id text COLLATE "C" NOT NULL,
  gen integer NOT NULL,
  first_seq bigint NOT NULL,
  last_seq bigint NOT NULL,
  ids bytea NOT NULL,
  leaves bytea NOT NULL,
  reason text NOT NULL,
  at_us bigint NOT NULL,
  PRIMARY KEY (tenant, session_id, gen, last_seq)
);
CREATE TABLE pruned_id(
  tenant text COLLATE "C" NOT NULL,
  session_id text COLLATE "C" NOT NULL,
  gen integer NOT NULL,
  id text COLLATE "C" NOT NULL,
  seq bigint NOT NULL,
  PRIMARY KEY (tenant, session_id, gen, id)
);

CREATE TABLE seal(
  tenant text COLLATE "C" NOT NULL,
  session_id text COLLATE "C" NOT NULL,
  gen integer NOT NULL,
  place integer NOT NULL,
  upto_seq bigint NOT NULL,
  previous bytea NOT NULL,
  root bytea NOT NULL,
  at_us bigint NOT NULL,
  signature bytea NOT NULL,
  PRIMARY KEY (tenant, session_id, gen, place)
);

CREATE TABLE follower(name text COLLATE "C" PRIMARY KEY);
CREATE TABLE follower_seq(
  tenant text COLLATE "C" NOT NULL,
  session_id text COLLATE "C" NOT NULL,
  gen integer NOT NULL,
  name text COLLATE "C" NOT NULL,
  seq bigint NOT NULL,
  PRIMARY KEY (tenant, session_id, gen, name)
) WITH (fillfactor = 70);
CREATE TABLE changed(
  tenant text COLLATE "C" NOT NULL,
  session_id text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  PRIMARY KEY (tenant, session_id, name)
);
CREATE INDEX changed_by_name ON changed(name);

CREATE TABLE purge(
  tenant text COLLATE "C" NOT NULL,
  session_id text COLLATE "C" NOT NULL,
  gen integer NOT NULL,
  PRIMARY KEY (tenant, session_id, gen)
);

-- `hashes` are 64-bit hashes of (tenant, term), each once: the index knows tenants apart, and no term is too long for it.
CREATE TABLE search_row(
  tenant text COLLATE "C" NOT NULL,
  session_id text COLLATE "C" NOT NULL,
  gen integer NOT NULL,
  seq bigint NOT NULL,
  terms text COLLATE "C" NOT NULL,
  hashes bigint[] NOT NULL,
  visible_to text[] COLLATE "C",
  hidden_from text[] COLLATE "C",
  PRIMARY KEY (tenant, session_id, gen, seq)
);
CREATE INDEX search_hashes ON search_row USING gin(hashes);

-- The second lock: whatever a statement forgets to say, only rows of the tenant that the transaction set are there. The owner of the tables is
-- exempt, so the application has a role of its own (`grant_to`).
DO $$
DECLARE name text;
BEGIN
  FOREACH name IN ARRAY ARRAY['session', 'counter', 'event', 'event_source', 'entry', 'usage_by_model', 'run', 'part', 'range_tombstone',
      'pruned_id', 'seal', 'follower_seq', 'changed', 'purge', 'search_row'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY tenant_only ON %I USING (tenant = current_setting(''turnfold.tenant'', true)) '
      'WITH CHECK (tenant = current_setting(''turnfold.tenant'', true))', name);
  END LOOP;
END $$;

CREATE FUNCTION clock_us() RETURNS bigint LANGUAGE sql VOLATILE AS $$
  SELECT (date_part('epoch', clock_timestamp()) * 1000000)::bigint -- a double has the microseconds; extract's numeric costs 1 µs more
$$;

-- Wake those who listen, if a hub said lately that it watches the session. A NOTIFY takes a lock of the whole database until the commit is done.
CREATE FUNCTION wake(p_watched_until_us bigint, p_session text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF p_watched_until_us > clock_us() THEN
    PERFORM pg_notify('turnfold_' || current_schema(), md5(current_setting('turnfold.tenant') || '/' || p_session));
  END IF;
END $$;

-- The hottest call: one event, to the active branch, by anybody who may. It writes if every check holds, else it changes nothing and returns
-- no seq. An id that is there already is a unique violation, which undoes everything.
CREATE FUNCTION append(
  p_tenant text, p_session text, p_now bigint, p_owner text, p_incarnation text, p_branch text, p_expected bigint, p_lease bigint,
  p_id text, p_type text, p_data bytea, p_at bigint, p_run text, p_message text, p_parent text, p_visibility text,
  p_messages bigint, p_turns bigint, p_tokens bigint, p_usage bytea, p_extra bytea, p_meta bytea, p_salt bytea, p_digest bytea,
  p_numbers bigint[], p_model text,
  OUT o_seq bigint, OUT o_now bigint, OUT o_incarnation text, OUT o_branch text
) RETURNS record LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE -- single variables: a record's fields cost more to set and to read
  v_gen integer;
  v_seq bigint;
  v_incarnation text;
  v_branch text;
  v_forked bigint;
  v_pruned boolean;
  v_clean bigint;
  v_watched bigint;
  v_listed bigint;
  v_relisted boolean;
BEGIN
  o_branch := set_config('turnfold.tenant', p_tenant, true); -- an assignment: PERFORM would be a query of its own, 1 µs
  o_now := coalesce(p_now, clock_us());
  UPDATE counter SET
    last_seq = last_seq + 1, message_count = message_count + p_messages, turn_count = turn_count + p_turns,
    token_count = token_count + p_tokens, updated_at_us = greatest(updated_at_us, p_at),
    expires_at_us = CASE WHEN ttl_us IS NULL THEN expires_at_us ELSE o_now + ttl_us END,
    relisted = NOT touched OR p_at > listed_at_us + 60000000,
    listed_at_us = CASE WHEN touched AND p_at <= listed_at_us + 60000000 THEN listed_at_us ELSE greatest(updated_at_us, p_at) END,
    touched = true
  WHERE tenant = p_tenant AND session_id = p_session AND status = 'active'
    AND (p_owner IS NULL OR owner = p_owner) AND (p_incarnation IS NULL OR incarnation = p_incarnation)
    AND (p_expected IS NULL OR last_seq = p_expected)
    AND (CASE WHEN lease_holder IS NULL THEN p_lease IS NULL ELSE fence = p_lease END)
    AND (expires_at_us IS NULL OR expires_at_us > o_now)
    AND (p_branch IS NULL OR p_branch = active_branch)
  RETURNING gen, last_seq, incarnation, active_branch, forked_seq, pruned, clean_seq, watched_until_us, listed_at_us, relisted
  INTO v_gen, v_seq, v_incarnation, v_branch, v_forked, v_pruned, v_clean, v_watched, v_listed, v_relisted;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  INSERT INTO event(tenant, session_id, gen, seq, id, type, rare, data, at_us, recorded_at_us, branch, run_id, message_id, parent_id, visibility,
    message_count, turn_count, token_count, usage, extra, meta, salt, digest)
  VALUES (p_tenant, p_session, v_gen, v_seq, p_id, p_type, rare_of(p_type), p_data, p_at, o_now,
    CASE WHEN v_forked IS NULL THEN NULL ELSE v_branch END, p_run, p_message, p_parent, p_visibility,
    p_messages, p_turns, p_tokens, p_usage, p_extra, p_meta, p_salt, p_digest);
  IF v_pruned THEN -- an IF of its own: a condition with a query in it costs 10 µs, asked or not
    IF EXISTS (SELECT FROM pruned_id WHERE tenant = p_tenant AND session_id = p_session AND gen = v_gen AND id = p_id) THEN
      RAISE unique_violation;
    END IF;
  END IF;
  IF v_clean = v_seq - 1 THEN
    INSERT INTO changed(tenant, session_id, name) SELECT p_tenant, p_session, name FROM follower ON CONFLICT DO NOTHING;
  END IF;
  IF v_relisted THEN
    UPDATE session SET listed_at_us = v_listed, touched = true WHERE tenant = p_tenant AND session_id = p_session AND gen = v_gen;
  END IF;
  IF p_numbers IS NOT NULL THEN
    PERFORM add_usage(p_tenant, p_session, v_gen, p_numbers, ARRAY[p_model], p_numbers);
  END IF;
  IF v_watched > 0 THEN
    PERFORM wake(v_watched, p_session);
  END IF;
  o_seq := v_seq;
  o_incarnation := v_incarnation;
  o_branch := v_branch;
END $$;

-- Usage in total, and by model: `p_models` with six numbers each, one after the other.
CREATE FUNCTION add_usage(p_tenant text, p_session text, p_gen integer, p_total bigint[], p_models text[], p_numbers bigint[])
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE counter SET input_tokens = input_tokens + p_total[1], output_tokens = output_tokens + p_total[2],
    cache_read_input_tokens = cache_read_input_tokens + p_total[3],
    cache_creation_input_tokens = cache_creation_input_tokens + p_total[4],
    reasoning_output_tokens = reasoning_output_tokens + p_total[5], cost_microusd = cost_microusd + p_total[6]
  WHERE tenant = p_tenant AND session_id = p_session;
  INSERT INTO usage_by_model AS u
  SELECT p_tenant, p_session, p_gen, m, p_numbers[n * 6 - 5], p_numbers[n * 6 - 4], p_numbers[n * 6 - 3], p_numbers[n * 6 - 2],
    p_numbers[n * 6 - 1], p_numbers[n * 6]
  FROM unnest(p_models) WITH ORDINALITY AS t(m, n)
  ON CONFLICT (tenant, session_id, gen, model) DO UPDATE SET input_tokens = u.input_tokens + excluded.input_tokens,
    output_tokens = u.output_tokens + excluded.output_tokens,
    cache_read_input_tokens = u.cache_read_input_tokens + excluded.cache_read_input_tokens,
    cache_creation_input_tokens = u.cache_creation_input_tokens + excluded.cache_creation_input_tokens,
    reasoning_output_tokens = u.reasoning_output_tokens + excluded.reasoning_output_tokens,
    cost_microusd = u.cost_microusd + excluded.cost_microusd;
END $$;

-- Head entries. `p_at` is an index into the commit's events, whose first is `p_first`, and whose branches are `p_branches`.
CREATE FUNCTION put_entries(p_tenant text, p_session text, p_gen integer, p_first bigint, p_default text, p_branches text[],
  p_kind text[], p_name text[], p_branch text[], p_value bytea[], p_at bigint[])
RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  i integer;
  v_branch text;
BEGIN
  FOR i IN 1 .. cardinality(p_kind) LOOP
    v_branch := '';
    IF p_kind[i] IN ('state', 'pin') THEN
      v_branch := coalesce(nullif(p_branch[i], ''), nullif(p_branches[p_at[i] + 1], ''), p_default);
    END IF;
    IF p_value[i] IS NULL AND p_kind[i] NOT IN ('state', 'pin') THEN
      DELETE FROM entry WHERE tenant = p_tenant AND session_id = p_session AND gen = p_gen AND kind = p_kind[i] AND name = p_name[i]
        AND branch = '';
    ELSE
      INSERT INTO entry(tenant, session_id, gen, kind, name, branch, value, seq)
      VALUES (p_tenant, p_session, p_gen, p_kind[i], p_name[i], v_branch, p_value[i], p_first + p_at[i])
      ON CONFLICT (tenant, session_id, gen, kind, name, branch) DO UPDATE SET value = excluded.value, seq = excluded.seq;
    END IF;
  END LOOP;
END $$;

-- A new creation of a session with its genesis event, if there is none; returns whether it was made. Fences of dead ones stay spent.
CREATE FUNCTION create_session(
  p_tenant text, p_session text, p_now bigint, p_incarnation text, p_owner text, p_agent text, p_status text, p_kind text, p_ttl bigint,
  p_expires bigint, p_parent_session text,
  p_id text, p_type text, p_data bytea, p_at bigint, p_run text, p_message text, p_parent text, p_visibility text,
  p_messages bigint, p_turns bigint, p_tokens bigint, p_usage bytea, p_extra bytea, p_meta bytea, p_salt bytea, p_digest bytea,
  p_source bytea, n_kind text[], n_name text[], n_branch text[], n_value bytea[], n_at bigint[]
) RETURNS boolean LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  v_now bigint;
  v_gen integer;
  v_fence bigint;
BEGIN
  PERFORM set_config('turnfold.tenant', p_tenant, true);
  IF EXISTS (SELECT FROM counter WHERE tenant = p_tenant AND session_id = p_session) THEN
    RETURN false;
  END IF;
  v_now := coalesce(p_now, clock_us());
  SELECT coalesce(max(gen), 0) + 1, coalesce(max(fence), 0) INTO v_gen, v_fence FROM session
  WHERE tenant = p_tenant AND session_id = p_session;
  INSERT INTO counter(tenant, session_id, gen, incarnation, owner, status, updated_at_us, listed_at_us, expires_at_us, ttl_us, fence, last_seq)
  VALUES (p_tenant, p_session, v_gen, p_incarnation, p_owner, p_status, p_at, p_at,
    CASE WHEN p_ttl IS NULL OR p_id IS NULL THEN p_expires ELSE v_now + p_ttl END, p_ttl, v_fence, CASE WHEN p_id IS NULL THEN 0 ELSE 1 END);
  INSERT INTO session(tenant, session_id, gen, incarnation, owner, agent, kind, parent_id, listed_at_us, created_at_us)
  VALUES (p_tenant, p_session, v_gen, p_incarnation, p_owner, p_agent, p_kind, p_parent_session, p_at, p_at);
  INSERT INTO changed(tenant, session_id, name) SELECT p_tenant, p_session, name FROM follower ON CONFLICT DO NOTHING;
  IF p_id IS NULL THEN -- a log that comes from elsewhere, with its own genesis event
    RETURN true;
  END IF;
  INSERT INTO event(tenant, session_id, gen, seq, id, type, rare, data, at_us, recorded_at_us, branch, run_id, message_id, parent_id, visibility,
    message_count, turn_count, token_count, usage, extra, meta, salt, digest)
  VALUES (p_tenant, p_session, v_gen, 1, p_id, p_type, rare_of(p_type), p_data, p_at, v_now, NULL, p_run, p_message, p_parent, p_visibility,
    p_messages, p_turns, p_tokens, p_usage, p_extra, p_meta, p_salt, p_digest);
  IF p_source IS NOT NULL THEN
    INSERT INTO event_source(tenant, session_id, gen, seq, line) VALUES (p_tenant, p_session, v_gen, 1, p_source);
  END IF;
  PERFORM put_entries(p_tenant, p_session, v_gen, 1, 'main', ARRAY['main'], n_kind, n_name, n_branch, n_value, n_at);
  RETURN true;
END $$;

-- Any other regular commit. Arguments as of `append`; further:
-- p_created: create_session made the session in this transaction, or may have. A refusal is then an error, which undoes that too.
-- p_checked: everything was checked, under a lock. p_from: statuses that allow the commit, NULL: all. p_limits: highest last_seq, turns, messages, branches, checkpoints, each may be NULL.
-- p_sums: messages, turns, tokens, branches, checkpoints. p_forks: an entry makes a branch. e_*: events. n_*: entries. r_*: runs, with the
-- statuses that each may follow on, comma-parted, '' for none. t_*: parts.
CREATE FUNCTION commit_events(
  p_tenant text, p_session text, p_now bigint, p_owner text, p_genesis_owner text, p_incarnation text, p_branch text, p_expected bigint,
  p_lease bigint, p_created boolean, p_checked boolean, p_from text[], p_to text, p_end_reason text, p_active text, p_expires bigint, p_limits bigint[],
  p_sums bigint[], p_usage bigint[], p_models text[], p_model_numbers bigint[], p_forks boolean,
  e_id text[], e_type text[], e_data bytea[], e_at bigint[], e_branch text[], e_run text[], e_message text[], e_parent text[],
  e_visibility text[], e_messages bigint[], e_turns bigint[], e_tokens bigint[], e_usage bytea[], e_extra bytea[], e_meta bytea[],
  e_salt bytea[], e_digest bytea[], e_source bytea[],
  n_kind text[], n_name text[], n_branch text[], n_value bytea[], n_at bigint[],
  r_id text[], r_status text[], r_body bytea[], r_from text[], t_ref text[], t_body bytea[],
  OUT o_seq bigint, OUT o_now bigint, OUT o_incarnation text, OUT o_branch text
) RETURNS record LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  r record;
  v_count integer := cardinality(e_id);
  v_latest bigint;
  v_other boolean;
  v_first bigint;
  i integer;
BEGIN
  PERFORM set_config('turnfold.tenant', p_tenant, true);
  o_now := coalesce(p_now, clock_us());
  SELECT max(a) INTO v_latest FROM unnest(e_at) AS t(a);
  v_other := coalesce(p_branch, 'main') <> 'main'
    OR EXISTS (SELECT FROM unnest(e_branch) AS t(b) WHERE b NOT IN ('', 'main'));
  UPDATE counter AS c SET
    last_seq = last_seq + v_count, message_count = message_count + p_sums[1], turn_count = turn_count + p_sums[2],
    token_count = token_count + p_sums[3], branch_count = branch_count + p_sums[4], checkpoint_count = checkpoint_count + p_sums[5],
    updated_at_us = greatest(updated_at_us, v_latest),
    expires_at_us = CASE WHEN ttl_us IS NOT NULL AND v_count > 0 THEN o_now + ttl_us
      WHEN p_expires IS NOT NULL THEN nullif(p_expires, 0) ELSE expires_at_us END,
    relisted = NOT touched OR coalesce(v_latest > listed_at_us + 60000000, false),
    listed_at_us = CASE WHEN NOT touched OR v_latest > listed_at_us + 60000000 THEN greatest(updated_at_us, v_latest) ELSE listed_at_us END,
    touched = touched OR NOT p_created,
    status = coalesce(p_to, status), end_reason = CASE WHEN p_to IS NULL THEN end_reason ELSE p_end_reason END,
    active_branch = coalesce(p_active, active_branch),
    forked_seq = CASE WHEN forked_seq IS NULL AND (p_forks OR v_other) THEN last_seq + 1 ELSE forked_seq END
  WHERE tenant = p_tenant AND session_id = p_session
    AND (p_owner IS NULL OR owner = p_owner) AND (p_genesis_owner IS NULL OR owner = p_genesis_owner)
    AND (p_incarnation IS NULL OR incarnation = p_incarnation)
    AND (p_expected IS NULL OR last_seq = p_expected)
    AND (CASE WHEN lease_holder IS NULL THEN p_lease IS NULL ELSE fence = p_lease END)
    AND (p_from IS NULL OR (status = ANY(p_from) AND (expires_at_us IS NULL OR expires_at_us > o_now)))
    AND (p_limits IS NULL OR (
      (p_limits[1] IS NULL OR v_count = 0 OR last_seq + v_count <= p_limits[1])
      AND (p_limits[2] IS NULL OR p_sums[2] <= 0 OR turn_count + p_sums[2] <= p_limits[2])
      AND (p_limits[3] IS NULL OR p_sums[1] <= 0 OR message_count + p_sums[1] <= p_limits[3])
      AND (p_limits[4] IS NULL OR p_sums[4] <= 0 OR branch_count + p_sums[4] <= p_limits[4])
      AND (p_limits[5] IS NULL OR p_sums[5] <= 0 OR checkpoint_count + p_sums[5] <= p_limits[5])))
  RETURNING gen, last_seq, incarnation, active_branch, forked_seq, pruned, clean_seq, watched_until_us, listed_at_us, relisted, touched
  INTO r;
  IF NOT FOUND THEN
    IF p_created THEN
      RAISE EXCEPTION 'refused' USING ERRCODE = 'TF001';
    END IF;
    RETURN;
  END IF;
  v_first := r.last_seq - v_count + 1;
  o_branch := coalesce(p_branch, r.active_branch); -- who changes the active branch says where its events go
  IF v_other AND NOT p_checked THEN
    IF EXISTS (SELECT FROM unnest(array_append(e_branch, p_branch)) AS t(b) WHERE b NOT IN ('', 'main') AND NOT EXISTS (
        SELECT FROM entry WHERE tenant = p_tenant AND session_id = p_session AND gen = r.gen AND kind = 'branch' AND name = b
          AND branch = '')) THEN
      RAISE EXCEPTION 'refused' USING ERRCODE = 'TF001';
    END IF;
  END IF;
  IF v_count > 0 THEN
    INSERT INTO event(tenant, session_id, gen, seq, id, type, rare, data, at_us, recorded_at_us, branch, run_id, message_id, parent_id, visibility,
      message_count, turn_count, token_count, usage, extra, meta, salt, digest)
    SELECT p_tenant, p_session, r.gen, v_first + n - 1, x.id, x.type, rare_of(x.type), x.data, x.at, o_now,
      CASE WHEN r.forked_seq IS NULL THEN NULL ELSE coalesce(nullif(x.branch, ''), o_branch) END, x.run, x.message, x.parent, x.visibility,
      x.messages, x.turns, x.tokens, x.usage, x.extra, x.meta, x.salt, x.digest
    FROM unnest(e_id, e_type, e_data, e_at, e_branch, e_run, e_message, e_parent, e_visibility, e_messages, e_turns, e_tokens, e_usage,
      e_extra, e_meta, e_salt, e_digest) WITH ORDINALITY
      AS x(id, type, data, at, branch, run, message, parent, visibility, messages, turns, tokens, usage, extra, meta, salt, digest, n);
    IF r.pruned THEN
      IF EXISTS (SELECT FROM pruned_id WHERE tenant = p_tenant AND session_id = p_session AND gen = r.gen AND id = ANY(e_id)) THEN
        RAISE unique_violation;
      END IF;
    END IF;
    IF cardinality(e_source) > 0 THEN
      INSERT INTO event_source(tenant, session_id, gen, seq, line)
      SELECT p_tenant, p_session, r.gen, v_first + n - 1, line FROM unnest(e_source) WITH ORDINALITY AS t(line, n) WHERE line IS NOT NULL;
    END IF;
    IF r.clean_seq = v_first - 1 THEN
      INSERT INTO changed(tenant, session_id, name) SELECT p_tenant, p_session, name FROM follower ON CONFLICT DO NOTHING;
    END IF;
  END IF;
  IF r.relisted THEN
    UPDATE session SET listed_at_us = r.listed_at_us, touched = r.touched WHERE tenant = p_tenant AND session_id = p_session AND gen = r.gen;
  END IF;
  IF p_usage IS NOT NULL THEN
    PERFORM add_usage(p_tenant, p_session, r.gen, p_usage, p_models, p_model_numbers);
  END IF;
  IF cardinality(n_kind) > 0 THEN
    PERFORM put_entries(p_tenant, p_session, r.gen, v_first, o_branch, e_branch, n_kind, n_name, n_branch, n_value, n_at);
  END IF;
  FOR i IN 1 .. cardinality(r_id) LOOP
    INSERT INTO run AS u(tenant, session_id, gen, id, status, body) VALUES (p_tenant, p_session, r.gen, r_id[i], r_status[i], r_body[i])
    ON CONFLICT (tenant, session_id, gen, id) DO UPDATE SET status = excluded.status, body = excluded.body
      WHERE u.status = ANY(string_to_array(r_from[i], ','));
    IF NOT FOUND THEN
      RAISE EXCEPTION 'refused' USING ERRCODE = 'TF001';
    END IF;
  END LOOP;
  IF cardinality(t_ref) > 0 THEN
    INSERT INTO part(tenant, session_id, gen, ref, body) SELECT p_tenant, p_session, r.gen, t.ref, t.body
    FROM unnest(t_ref, t_body) AS t(ref, body) ON CONFLICT DO NOTHING;
  END IF;
  IF r.watched_until_us > 0 THEN
    PERFORM wake(r.watched_until_us, p_session);
  END IF;
  o_seq := r.last_seq;
  o_incarnation := r.incarnation;
END $$;

-- What followers across tenants may know: which sessions moved, and how far. It runs with its owner's rights, whom the policies do not bind.
CREATE FUNCTION changed_sessions(p_name text, p_limit integer)
RETURNS TABLE(o_tenant text, o_session text, o_incarnation text, o_from bigint, o_last bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM follower WHERE name = p_name) THEN
    -- whoever marks a session changed reads this table: those who read it before are waited for, those who come later see the new name
    LOCK TABLE follower IN ACCESS EXCLUSIVE MODE;
    INSERT INTO follower(name) VALUES (p_name) ON CONFLICT DO NOTHING;
    INSERT INTO changed(tenant, session_id, name)
    SELECT c.tenant, c.session_id, p_name FROM counter c
    LEFT JOIN follower_seq f ON f.tenant = c.tenant AND f.session_id = c.session_id AND f.gen = c.gen AND f.name = p_name
    WHERE c.last_seq > coalesce(f.seq, 0) ON CONFLICT DO NOTHING;
  END IF;
  RETURN QUERY SELECT l.tenant, l.session_id, c.incarnation, coalesce(f.seq, 0), c.last_seq FROM changed l
    JOIN counter c ON c.tenant = l.tenant AND c.session_id = l.session_id
    LEFT JOIN follower_seq f ON f.tenant = c.tenant AND f.session_id = c.session_id AND f.gen = c.gen AND f.name = l.name
    WHERE l.name = p_name AND c.last_seq > coalesce(f.seq, 0) LIMIT p_limit;
END $$;
REVOKE EXECUTE ON FUNCTION changed_sessions(text, integer) FROM PUBLIC;

-- The names of the tenants: for a check of the whole.
CREATE FUNCTION all_tenants() RETURNS TABLE(o_tenant text) LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
  WITH RECURSIVE t(tenant) AS (
    (SELECT c.tenant FROM counter c ORDER BY c.tenant LIMIT 1)
    UNION ALL SELECT (SELECT c.tenant FROM counter c WHERE c.tenant > t.tenant ORDER BY c.tenant LIMIT 1) FROM t WHERE t.tenant IS NOT NULL
  ) SELECT t.tenant FROM t WHERE t.tenant IS NOT NULL
$$;
REVOKE EXECUTE ON FUNCTION all_tenants() FROM PUBLIC;

-- Give a role what the application needs, and no more.
CREATE FUNCTION grant_to(p_role name) RETURNS void LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE s text := current_schema();
BEGIN
  EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', s, p_role);
  EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO %I', s, p_role);
  EXECUTE format('REVOKE INSERT, UPDATE, DELETE ON %I.migration, %I.follower FROM %I', s, s, p_role);
  EXECUTE format('GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA %I TO %I', s, p_role);
END $$;
