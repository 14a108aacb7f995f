"""The memory store: the reference, first-class, thread-safe, gone with its process."""

from __future__ import annotations

from turnfold.stores.memory.store import MemoryStore

__all__ = ["MemoryStore"]
