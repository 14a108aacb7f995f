"""One step of ``compact``: compressing the segments of cold logs.

Theory of operation. Whoever compacts is a follower (``COMPACT``): its cursor says which logs it has seen the end of. A log that is idle is rolled,
so that its last segment is never written again, and all its segments are compressed; of a long one that is in use, those segments are whose
events are all cold. A segment is read and compressed without the log's OS lock, and put in place under it, if it is still the same file.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from turnfold.core.cold import cold_through, is_idle
from turnfold.errors import SessionNotFound
from turnfold.limits import BLOCK_BYTES, BLOCK_RATIO_MAX, COMPACT_STEP_S, KIB
from turnfold.model.query import ChangedSession, Compacted
from turnfold.ports.store import Clock
from turnfold.stores.files import layout
from turnfold.stores.files.followers import Follower
from turnfold.stores.files.log import SessionLog
from turnfold.stores.files.open_logs import OpenLogs
from turnfold.stores.files.replay import Moved
from turnfold.stores.files.sealed import pack
from turnfold.stores.files.state import LogState
from turnfold.stores.files.writing import Writer

COMPACT: Final = "compact"
FILE_BYTES_MIN: Final = 8 * KIB
"""A smaller segment takes as many blocks of a disk compressed, or one less."""


class _Tally:
    """What a step did."""

    def __init__(self) -> None:
        self.session_count = self.segment_count = self.event_count = self.bytes_before = self.bytes_after = 0

    def result(self, *, more: bool) -> Compacted:
        return Compacted(**vars(self), more=more)


class Compactor:
    """Goes round the logs that may have become cold."""

    def __init__(
        self, logs: OpenLogs, writer: Writer, changed: Callable[[], list[ChangedSession]], follower: Callable[[], Follower], clock: Clock
    ) -> None:
        """Bind the store's parts; ``changed`` lists what the follower has not seen the end of."""
        self._logs = logs
        self._writer = writer
        self._changed = changed
        self._follower = follower
        self._clock = clock
        self._lock = threading.Lock()
        self._todo: list[ChangedSession] = []

    def step(self, sessions_max: int) -> Compacted:
        """Compact at most so many sessions, as long as a step lasts."""
        with self._lock:
            end = time.monotonic() + COMPACT_STEP_S
            tally = _Tally()
            if not self._todo:
                self._todo = self._changed()[::-1]
            while self._todo and tally.session_count < sessions_max and time.monotonic() < end:
                self._session(self._todo.pop(), tally)
            return tally.result(more=bool(self._todo))

    def _session(self, item: ChangedSession, tally: _Tally) -> None:
        before = tally.segment_count
        try:
            if self._compact(item, tally):
                self._follower().advance(item.key, item.incarnation, item.follower_seq, item.last_seq)
        except (SessionNotFound, Moved, FileNotFoundError):  # deleted or rewritten meanwhile: the next pass looks again
            return
        finally:
            tally.session_count += int(tally.segment_count > before)

    def _compact(self, item: ChangedSession, tally: _Tally) -> bool:
        """Compress what is cold of one log; whether that was all of it."""
        log = self._logs.at(layout.relative_path(item.key)).log
        with log.lock:
            state = log.refresh()
            if state is None or state.incarnation != item.incarnation or state.last_seq != item.last_seq:
                return False
            cold_seq = self._cold_seq(log, state)
            idle = cold_seq == state.last_seq and is_idle(state.fields["updated_at_us"], self._clock())
            worth = idle and _is_worth_rolling(log)
        if worth:
            with self._writer.holding(item.key) as (held, now):
                if now.last_seq != item.last_seq:
                    return False
                held.roll()
        for number in self._plain(log, cold_seq):
            self._seal(log, item, number, tally)
        return idle

    def _cold_seq(self, log: SessionLog, state: LogState) -> int:
        last = log.read([state.last_seq], with_source=False)[0]
        return cold_through(
            last_seq=state.last_seq,
            sealed_seq=state.seals[-1].upto_seq if state.seals else 0,
            updated_at_us=state.fields["updated_at_us"],
            recorded_at_us=0 if last is None else last.recorded_at_us,
            now_us=self._clock(),
        )

    def _plain(self, log: SessionLog, cold_seq: int) -> list[int]:
        """The rolled segments that are plain and hold nothing but cold events."""
        with log.lock:
            state = log.refresh()
            if state is None:
                return []
            ends = [first - 1 for first in state.segment_firsts[1:]] + [state.last_seq]
            last_seqs = dict(zip(state.segment_numbers, ends, strict=True))
            return [number for number in log.plain_segments() if last_seqs.get(number, cold_seq) <= cold_seq]

    def _seal(self, log: SessionLog, item: ChangedSession, number: int, tally: _Tally) -> None:
        """Compress one segment."""
        with log.lock:
            if log.refresh() is None:
                return
            sign, content = log.content_of(number)
            firsts = dict(zip(log.known.segment_numbers, log.known.segment_firsts, strict=True)) if log.known is not None else {}
        packed = pack(content)
        if len(packed) > len(content) * BLOCK_RATIO_MAX:
            return
        with self._writer.holding(item.key) as (held, state):
            if not held.seal(number, sign, packed):
                return
        after = [first for first in (*firsts.values(), state.last_seq + 1) if first > firsts.get(number, state.last_seq)]
        tally.segment_count += 1
        tally.event_count += min(after) - firsts.get(number, min(after))
        tally.bytes_before += len(content)
        tally.bytes_after += len(packed)


def _is_worth_rolling(log: SessionLog) -> bool:
    """Whether the last segment would shrink, by its beginning. Call it with ``lock`` held, after a look."""
    _, size = log.place
    if size < FILE_BYTES_MIN:
        return False
    sample = log.beginning(BLOCK_BYTES)
    return len(pack(sample)) <= len(sample) * BLOCK_RATIO_MAX
