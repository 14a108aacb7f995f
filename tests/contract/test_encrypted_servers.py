"""The contract suite on encrypted stores that need a server."""

from __future__ import annotations

import secrets
from typing import Any

from tests.contract import test_composite, test_postgres, test_redis, test_s3
from turnfold.stores.encrypted import EncryptedStore
from turnfold.stores.encrypted.derived import DerivedKeyring
from turnfold.testing.clock import FakeClock
from turnfold.testing.contract import ContractBase

database = test_postgres.database
application = test_postgres.application
bucket_url = test_s3.bucket_url


class Encrypted(ContractBase):
    """Wraps whatever store the class beside it makes."""

    def make_store(self, clock: FakeClock) -> Any:  # the class beside it says which store
        keyring = DerivedKeyring([secrets.token_bytes(32)], "a test")
        return EncryptedStore(super().make_store(clock), keyring, search="tokens")


class TestEncryptedPostgresStore(Encrypted, test_postgres.TestPostgresStore):
    pass


class TestEncryptedRedisStore(Encrypted, test_redis.TestRedisStore):
    pass


class TestEncryptedRedisClusterStore(Encrypted, test_redis.TestRedisClusterStore):
    pass


class TestEncryptedS3Store(Encrypted, test_s3.TestS3Store):
    pass


class TestEncryptedCompositeStore(Encrypted, test_composite.TestSqliteSessionsAndFolder):
    """Parts go sealed to the artifact store."""
