-- Which migrations this file has. Files of version 1 came without it.
CREATE TABLE migration(
  number INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  checksum TEXT NOT NULL,
  applied_at_us INTEGER NOT NULL
) STRICT;
