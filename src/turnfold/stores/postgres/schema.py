"""Names of the migrations, and whether a schema has them. The tables are in ``migrations/``."""

from __future__ import annotations

from typing import Final

from turnfold.stores.sql.migrations import number_of

MIGRATIONS: Final = ("0001.pre.initial",)
"""Each is a file in ``migrations/``; one that was released is never edited."""

SCHEMA_VERSION: Final = number_of(MIGRATIONS[-1])
"""The number of this code."""
