"""The fault suite on the stores that have a server; each class starts its own."""

from __future__ import annotations

from pathlib import Path

from turnfold.ports.store import Clock, Store
from turnfold.testing.faults import FaultCases, Place, PostgresPlace, RedisPlace, S3Place
from turnfold.testing.faults.cases.killing import FailoverCases
from turnfold.testing.faults.servers import StandbyPlace


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


class TestRedis(FaultCases):
    def make_place(self, folder: Path) -> Place:
        return TimedRedis(folder)


class TestPostgres(FaultCases):
    def make_place(self, folder: Path) -> Place:
        return TimedPostgres(folder)


class TestPostgresWithStandby(FailoverCases):
    def make_place(self, folder: Path) -> Place:
        return StandbyPlace(folder)


class TestS3(FaultCases):
    def make_place(self, folder: Path) -> Place:
        return TimedS3(folder)
