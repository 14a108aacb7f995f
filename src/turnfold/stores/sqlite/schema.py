"""The database file: its tables, its version, and what brings it there. The tables are in ``migrations/``, and so is why they look as they do.

``application_id`` says whose file it is. ``user_version`` is the number of the oldest code that may use it (``stores.sql.migrations`` calls it
``needs``); which migrations were applied is in the table ``migration``.
"""

from __future__ import annotations

from typing import Final

from turnfold.stores.sql.migrations import number_of

APPLICATION_ID: Final = 0x54464C44
"""``TFLD``, in the database's header."""

MIGRATIONS: Final = (
    "0001.pre.initial",
    "0002.pre.migration",
    "0003.post.search_segments",
    "0004.pre.block",
    "0005.post.compact",
)
"""Each is a file in ``migrations/``; one that was released is never edited."""

COMPACT_MIGRATION: Final = 5
"""The one that allows blocks."""
SCHEMA_VERSION: Final = number_of(MIGRATIONS[-1])
"""The number of this code."""
