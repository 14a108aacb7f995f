"""The fault suite on a Redis that writes every commit to its disk before it answers."""

from __future__ import annotations

from pathlib import Path

from turnfold.ports.store import Clock, Store
from turnfold.stores.redis import RedisStore
from turnfold.testing.faults import FaultCases, Place, RedisPlace


class TimedRedis(RedisPlace):
    """With less patience than usual, so that the cases in which the server stays away are quick."""

    @property
    def url(self) -> str:
        return f"{super().url}?wait_s=2&answer_s=3"

    def open_with_clock(self, clock: Clock) -> Store:
        return RedisStore(self.url, clock=clock)


class TestRedis(FaultCases):
    def make_place(self, folder: Path) -> Place:
        return TimedRedis(folder)
