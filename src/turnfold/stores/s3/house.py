"""What all parts of one open store share: the bucket, the clock, the sessions it knows, and threads for several requests at a time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from turnfold.errors import LeaseLost, TurnfoldError
from turnfold.limits import OBJECT_PARALLEL_MAX, OBJECT_SESSIONS_MAX
from turnfold.model.commit import Commit, Committed
from turnfold.model.session import SessionKey
from turnfold.objectstorage import Bucket
from turnfold.ports.store import Clock
from turnfold.stores.s3.manifest import decode_commit
from turnfold.stores.s3.segments import Segments
from turnfold.stores.s3.session import Session
from turnfold.stores.s3.staging import Context

_FIRST_ROUND_TRIP_S = 0.01


class House:
    """The inside of an open store."""

    def __init__(self, bucket: Bucket, *, clock: Clock, monotonic_us: Clock, integrity_key: bytes | None) -> None:
        """Wire it; no request is made.

        Args:
            bucket: Where the objects are.
            clock: The wall clock.
            monotonic_us: What leases are timed with.
            integrity_key: HMAC key of the digests.
        """
        self.bucket = bucket
        self.clock = clock
        self.monotonic_us = monotonic_us
        self.round_trip_s = _FIRST_ROUND_TRIP_S
        self.segments = Segments(bucket, self.parallel)
        self._key = integrity_key
        self._lock = threading.Lock()
        self._sessions: OrderedDict[SessionKey, Session] = OrderedDict()
        self._pool: ThreadPoolExecutor | None = None
        self._here = threading.local()

    def session(self, key: SessionKey) -> Session:
        """The session of a key; those that were not used for long are forgotten."""
        with self._lock:
            found = self._sessions.get(key)
            if found is None:
                found = self._sessions[key] = Session(self, key)
                if len(self._sessions) > OBJECT_SESSIONS_MAX:
                    self._sessions.popitem(last=False)
            else:
                self._sessions.move_to_end(key)
            return found

    def peek(self, key: SessionKey) -> Session | None:
        """The session of a key if it is known."""
        with self._lock:
            return self._sessions.get(key)

    def context(self, *, thorough: bool = False) -> Context:
        """What staging needs now."""
        return Context(self.clock(), self._key, self.segments.events_at, self.segments.all_ids, thorough)

    def deliver(self, waiting: Sequence[bytes]) -> list[bytes]:
        """Write commits that waited in an outbox to their logs, and return those that are settled: written, there already, or refused for good.

        Those that are there already are found, however long ago they were written.
        """
        if getattr(self._here, "delivers", False):  # two sessions that write to each other would go round in a circle
            return []
        self._here.delivers = True
        try:
            return [body for body in waiting if self._is_settled(decode_commit(body))]
        finally:
            self._here.delivers = False

    def _is_settled(self, commit: Commit) -> bool:
        result: Committed | Exception
        try:
            (result,) = self.session(commit.key).commit([commit], thorough=True)
        except TurnfoldError as error:
            result = error
        passing = isinstance(result, LeaseLost) or (isinstance(result, TurnfoldError) and result.retryable)
        return not passing

    def note_round_trip(self, took_s: float) -> None:
        """Keep a running mean of how long a write takes: what contenders wait for."""
        self.round_trip_s += (min(took_s, 1.0) - self.round_trip_s) / 8

    def parallel(self, work: Callable[[Any], Any], values: Sequence[Any]) -> list[Any]:
        """Call ``work`` with each value, several at a time; in order, the first error raised."""
        if len(values) < 2 or getattr(self._here, "inside", False):
            return [work(value) for value in values]
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(OBJECT_PARALLEL_MAX, "turnfold-objects", self._enter)
            pool = self._pool
        return list(pool.map(work, values))

    def _enter(self) -> None:
        self._here.inside = True  # a worker that waited for other workers could wait for ever

    def close(self) -> None:
        """Let go of threads and memory."""
        with self._lock:
            pool, self._pool = self._pool, None
            self._sessions.clear()
        if pool is not None:
            pool.shutdown()
