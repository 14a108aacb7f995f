"""Sessions as files that people can read: one directory per session, one JSON line per commit."""

from __future__ import annotations

from turnfold.stores.files.store import FilesStore

__all__ = ["FilesStore"]
