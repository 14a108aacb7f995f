"""The encrypted store: a wrapper for any other one, and the keyrings that it takes its keys from."""

from __future__ import annotations

from turnfold.stores.encrypted.store import EncryptedStore

__all__ = ["EncryptedStore"]
