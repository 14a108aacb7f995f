"""Parts of the importer: the file, the cursor, the batch, the look-up of native ids, the result."""
