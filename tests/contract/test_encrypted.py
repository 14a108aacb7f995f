"""The contract suite on encrypted stores: the wrapper around each of the others."""

from __future__ import annotations

import secrets

from turnfold.ports.store import Store
from turnfold.stores.encrypted import EncryptedStore
from turnfold.stores.encrypted.derived import DerivedKeyring
from turnfold.stores.encrypted.filering import FileKeyring
from turnfold.stores.files import FilesStore
from turnfold.stores.memory import MemoryStore
from turnfold.stores.sqlite import SqliteStore
from turnfold.testing.clock import FakeClock
from turnfold.testing.contract import StoreContract


class TestEncryptedMemoryStore(StoreContract):
    """With keys derived from a master key, and a search that opens every session."""

    def make_store(self, clock: FakeClock) -> Store:
        return EncryptedStore(MemoryStore(clock=clock), DerivedKeyring([secrets.token_bytes(32)], "a test"), search="tokens")


class TestEncryptedSqliteStore(StoreContract):
    """With a keyring file, and an index of tokens."""

    def make_store(self, clock: FakeClock) -> Store:
        keyring = FileKeyring.create_file(self.tmp_path / "keys")
        return EncryptedStore(SqliteStore(self.tmp_path / "sessions.db", clock=clock), keyring, search="tokens")


class TestEncryptedFilesStore(StoreContract):
    """On files."""

    def make_store(self, clock: FakeClock) -> Store:
        keyring = DerivedKeyring([secrets.token_bytes(32)], "a test")
        return EncryptedStore(FilesStore(self.tmp_path / "store", clock=clock), keyring, search="tokens")
