-- From here on search_row.terms may hold a checksum in place of the terms, which older code would take for the terms themselves.
--
-- What a transaction adds to the index is one segment, and sixteen segments of a size are merged into one instead of four, little by little
-- with each write: a third of the time that indexing takes. The defaults would cut an import's write into a dozen segments of 1 MiB each,
-- and merge all sixteen at once in the middle of somebody's write.
INSERT INTO search(search, rank) VALUES('hashsize', 16777216);
INSERT INTO search(search, rank) VALUES('automerge', 16);
INSERT INTO search(search, rank) VALUES('crisismerge', 64);
