"""One step of ``compact``: which sessions it takes, how long it goes on, and where the next one begins."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Final, Protocol, TypeVar

import msgspec

from turnfold.limits import COMPACT_STEP_S
from turnfold.model.query import NOTHING_COMPACTED, Compacted
from turnfold.model.session import SessionKey
from turnfold.ports.store import Clock
from turnfold.stores.sql.blocks import Run
from turnfold.stores.sqlite import compacting
from turnfold.stores.sqlite.compacting import Candidate

T = TypeVar("T")
LOOKED_AT_MAX: Final = 200
"""Sessions that one step looks at."""

Reading = Callable[[], AbstractContextManager[sqlite3.Cursor]]


class Rewriting(Protocol):
    """Runs work that concerns one session in a write transaction."""

    def __call__(self, work: Callable[[sqlite3.Cursor], T], key: SessionKey, /) -> T:
        """Return what the work returns."""
        ...


class Compactor:
    """Goes round the list of the sessions that may have become cold."""

    def __init__(self, reading: Reading, rewriting: Rewriting, clock: Clock) -> None:
        """Bind the store.

        Args:
            reading: Lends a cursor that reads.
            rewriting: Runs work that writes.
            clock: The store's.
        """
        self._reading = reading
        self._rewriting = rewriting
        self._clock = clock
        self._lock = threading.Lock()
        self._after_sn = 0

    def step(self, sessions_max: int) -> Compacted:
        """Compact at most so many sessions, as long as a step lasts."""
        with self._lock:
            end = time.monotonic() + COMPACT_STEP_S
            with self._reading() as cursor:
                found = compacting.candidates(cursor, self._after_sn, LOOKED_AT_MAX, self._clock())
            total = NOTHING_COMPACTED
            for item in found:
                step, finished = self._session(item, end)
                total = _sum(total, step)
                if finished:
                    self._after_sn = item.sn
                if not finished or total.session_count >= sessions_max or time.monotonic() > end:
                    return msgspec.structs.replace(total, more=True)
            more = len(found) == LOOKED_AT_MAX
            if not more:
                self._after_sn = 0
            return msgspec.structs.replace(total, more=more)

    def _session(self, item: Candidate, end: float) -> tuple[Compacted, bool]:
        """Compact one session until the step is over; whether there is nothing left to do in it now."""
        total = NOTHING_COMPACTED
        if item.idle:
            total, finished = self._parts(item, end)
            if not finished:
                return total, False
        after_seq = item.done_seq
        while True:
            with self._reading() as cursor:
                run = compacting.read_run(cursor, item, after_seq)
            if run is None or not self._rewriting(partial(compacting.write_run, item=item, run=run), item.key):
                break  # nothing more is cold, or somebody else is at it
            after_seq = run.last_seq
            total = _sum(total, _of(run))
            if item.idle and after_seq >= item.cold_seq:
                break
            if time.monotonic() > end:
                return total, False
        return msgspec.structs.replace(total, session_count=int(total.segment_count > 0)), True

    def _parts(self, item: Candidate, end: float) -> tuple[Compacted, bool]:
        total = NOTHING_COMPACTED
        while True:
            with self._reading() as cursor:
                parts = compacting.read_parts(cursor, item.sn)
            if not parts:
                return total, True
            self._rewriting(partial(compacting.write_parts, parts=parts), item.key)
            packed = [part for part in parts if part[1] == compacting.ZLIB_FORM]
            step = Compacted(
                segment_count=len(packed), bytes_before=sum(part[3] for part in packed), bytes_after=sum(len(part[2]) for part in packed)
            )
            total = _sum(total, step)
            if time.monotonic() > end:
                return total, False


def _of(run: Run) -> Compacted:
    if not run.body:
        return NOTHING_COMPACTED
    return Compacted(segment_count=1, event_count=run.event_count, bytes_before=run.size_bytes, bytes_after=len(run.body))


def _sum(one: Compacted, other: Compacted) -> Compacted:
    return Compacted(
        session_count=one.session_count + other.session_count,
        segment_count=one.segment_count + other.segment_count,
        event_count=one.event_count + other.event_count,
        bytes_before=one.bytes_before + other.bytes_before,
        bytes_after=one.bytes_after + other.bytes_after,
    )
