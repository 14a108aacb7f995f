"""Names of the migrations, and whether a schema has them. The tables are in ``migrations/``."""

from __future__ import annotations

from typing import Final

from turnfold.stores.sql.migrations import number_of

MIGRATIONS: Final = ("0001.pre.initial", "0002.pre.block", "0003.post.compact")
"""Each is a file in ``migrations/``; one that was released is never edited."""

COMPACT_MIGRATION: Final = 3
"""The one that allows blocks."""
SCHEMA_VERSION: Final = number_of(MIGRATIONS[-1])
"""The number of this code."""
