-- From here on search_row.terms may hold a checksum in place of the terms, which older code would take for the terms themselves.
--
-- What a transaction adds to the index is one segment (with the default of 1 MiB an import's commit makes four), and sixteen segments are
-- merged into one instead of four: a third of the time that indexing takes.
INSERT INTO search(search, rank) VALUES('hashsize', 4194304);
INSERT INTO search(search, rank) VALUES('automerge', 16);
