-- What cold events hold, many together and compressed (stores.sql.blocks). The key is the place of the last event that was put in; revision
-- counts how often it was rewritten. Rows of events that are in a block keep what is looked up, and have x'' for data.
CREATE TABLE block(
  last_pos INTEGER PRIMARY KEY,
  first_pos INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  event_count INTEGER NOT NULL,
  body BLOB NOT NULL
) STRICT;
-- How the body is kept: 0 as it came, 1 compressed, 2 as it came, and compressing it is not worth it.
ALTER TABLE part ADD COLUMN form INTEGER NOT NULL DEFAULT 0;
