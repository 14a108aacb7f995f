-- What cold events hold, many together and compressed (stores.sql.blocks). Rows of events that are in a block keep what is looked up, and have
-- '' for data.
CREATE TABLE block(
  tenant text COLLATE "C" NOT NULL,
  session_id text COLLATE "C" NOT NULL,
  gen integer NOT NULL,
  last_seq bigint NOT NULL,
  first_seq bigint NOT NULL,
  event_count integer NOT NULL,
  body bytea NOT NULL,
  PRIMARY KEY (tenant, session_id, gen, last_seq)
);
ALTER TABLE block ALTER COLUMN body SET STORAGE EXTERNAL; -- it is compressed already
ALTER TABLE block ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant_only ON block USING (tenant = current_setting('turnfold.tenant', true))
  WITH CHECK (tenant = current_setting('turnfold.tenant', true));

-- Whoever may use the events may use their blocks.
DO $$
DECLARE r record;
BEGIN
  FOR r IN SELECT DISTINCT pg_get_userbyid(a.grantee) AS grantee
    FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a
    WHERE c.oid = to_regclass('event') AND a.privilege_type = 'INSERT' AND a.grantee NOT IN (0, c.relowner) LOOP
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON block TO %I', r.grantee);
  END LOOP;
END $$;
