"""The contract suite on a Redis and on a cluster of three."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.redis_servers import key_space, new_prefix, open_redis, redis_url_or_stop, with_options
from turnfold.ports.store import Store
from turnfold.testing.clock import FakeClock
from turnfold.testing.contract import StoreContract
from turnfold.testing.servers.redis import RedisCluster


class TestRedisStore(StoreContract):
    """See ``turnfold.testing.contract``."""

    url: str
    prefix: str

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _server(cls) -> Iterator[None]:
        cls.url = redis_url_or_stop()
        with key_space(cls.url) as cls.prefix:
            yield

    def make_store(self, clock: FakeClock) -> Store:
        return open_redis(with_options(self.url, prefix=f"{self.prefix}.{new_prefix()[-12:]}"), clock=clock)


class TestRedisClusterStore(StoreContract):
    """The same where every session is on a node of its own and nothing is in one place."""

    url: str

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _server(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        folder: Path = tmp_path_factory.mktemp("redis-cluster")
        with RedisCluster(folder, {"appendonly": "no"}) as cluster:
            cls.url = cluster.url
            yield

    def make_store(self, clock: FakeClock) -> Store:
        return open_redis(with_options(self.url, prefix=new_prefix()), clock=clock)
