"""The SQLite store: the embedded default."""

from turnfold.stores.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
