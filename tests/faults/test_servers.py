"""The fault suite on the stores that have a server; each class starts its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import skip_or_fail
from turnfold.ports.store import Clock, Store
from turnfold.testing.faults import FaultCases, Place, PostgresPlace, RedisPlace, S3Place
from turnfold.testing.faults.cases.base import FaultBase
from turnfold.testing.faults.cases.killing import FailoverCases, KilledClientCases, KilledServerCases
from turnfold.testing.faults.cases.many import ManyWriterCases
from turnfold.testing.faults.servers import RedisClusterPlace, StandbyPlace


class WithServer(FaultBase):
    def without_server(self, reason: str) -> None:
        skip_or_fail(reason)


class TimedRedis(RedisPlace):
    def open_with_clock(self, clock: Clock) -> Store:
        from turnfold.stores.redis import RedisStore

        return RedisStore(self.url, clock=clock)


class TimedPostgres(PostgresPlace):
    def open_with_clock(self, clock: Clock) -> Store:
        from turnfold.stores.postgres import PostgresStore

        return PostgresStore(self.url, clock=clock)


class TimedS3(S3Place):
    def open_with_clock(self, clock: Clock) -> Store:
        from turnfold.stores.s3 import S3Store

        return S3Store(self.url, clock=clock)


class TestRedis(WithServer, FaultCases):
    def make_place(self, folder: Path) -> Place:
        return TimedRedis(folder)


class TestRedisCluster(WithServer, KilledClientCases, KilledServerCases, ManyWriterCases):
    def make_place(self, folder: Path) -> Place:
        return RedisClusterPlace(folder)


class TestPostgres(WithServer, FaultCases):
    def make_place(self, folder: Path) -> Place:
        return TimedPostgres(folder)


class TestPostgresWithStandby(WithServer, FailoverCases):
    def make_place(self, folder: Path) -> Place:
        return StandbyPlace(folder)


class TestS3(WithServer, FaultCases):
    def make_place(self, folder: Path) -> Place:
        return TimedS3(folder)

    @pytest.fixture(autouse=True)
    def _short_silence(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The store waits a minute for an answer; the suite does not."""
        monkeypatch.setattr("turnfold.objectstorage.OBJECT_REQUEST_S_MAX", 5)
