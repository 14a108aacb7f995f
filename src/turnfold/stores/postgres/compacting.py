"""Moving what is cold into blocks: which sessions one step takes, and what it writes for each, under the session's lock.

Theory of operation as in ``stores.sqlite.compacting``: rows stay, slim. A run of events is read and compressed without any lock; the lock is then
taken for as long as the block is put in place, after a look whether the rows are still those that were read: a redaction empties the salt,
pruning takes the row. Only ``compact`` does this, called by somebody: with many machines on one database, a thread of each would look for
the same. What rows were is freed by the server's own vacuum.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, TypeVar

from turnfold.core.cold import cold_through, is_idle
from turnfold.limits import BLOCK_EVENTS_MAX, COMPACT_STEP_S
from turnfold.model.query import ChangedSession, Compacted
from turnfold.stores.postgres.lookup import lock
from turnfold.stores.postgres.transaction import transaction
from turnfold.stores.postgres.upkeep import changed_sessions, move_cursor
from turnfold.stores.postgres.values import original_or_none
from turnfold.stores.postgres.wire import Wire
from turnfold.stores.sql.blocks import Bulky, Cold, Run, gather

T = TypeVar("T")

COMPACT: Final = "compact"
LISTED_MAX: Final = 100_000
"""Sessions that one pass looks at."""

_OF: Final = "tenant = $1 AND session_id = $2 AND gen = $3"
_STATE: Final = (
    "SELECT c.gen::bigint, c.incarnation, c.last_seq, c.updated_at_us, clock_us(), "
    "(SELECT e.recorded_at_us FROM event e WHERE e.tenant = c.tenant AND e.session_id = c.session_id AND e.gen = c.gen AND e.seq = c.last_seq), "
    "(SELECT s.upto_seq FROM seal s WHERE s.tenant = c.tenant AND s.session_id = c.session_id AND s.gen = c.gen ORDER BY s.place DESC LIMIT 1) "
    "FROM counter c WHERE c.tenant = $1 AND c.session_id = $2"
)
_RUN: Final = (
    "SELECT e.seq, e.data, x.line, e.meta, e.usage, e.message_id, e.parent_id, length(e.salt)::bigint FROM event e "
    "LEFT JOIN event_source x ON x.tenant = e.tenant AND x.session_id = e.session_id AND x.gen = e.gen AND x.seq = e.seq "
    f"WHERE e.tenant = $1 AND e.session_id = $2 AND e.gen = $3 AND e.seq > $4 AND e.seq <= $5 ORDER BY e.seq LIMIT {BLOCK_EVENTS_MAX}"
)
_SAME: Final = f"SELECT seq, length(salt)::bigint FROM event WHERE {_OF} AND seq BETWEEN $4 AND $5 ORDER BY seq"
_SLIM: Final = (
    f"UPDATE event SET data = '', meta = NULL, usage = NULL, message_id = NULL, parent_id = NULL WHERE {_OF} AND seq BETWEEN $4 AND $5"
)
_INSERT: Final = "INSERT INTO block(tenant, session_id, gen, last_seq, first_seq, event_count, body) VALUES($1, $2, $3, $4, $5, $6, $7)"


class Running(Protocol):
    """Does work on a connection of the pool."""

    def __call__(self, work: Callable[[Wire], T], /) -> T:
        """Return what the work returns."""
        ...


class Compactor:
    """Goes round the sessions that may have become cold, of every tenant."""

    def __init__(self, run: Running, now_us: Callable[[], int | None]) -> None:
        """Bind the store; ``now_us`` gives None for the server's clock."""
        self._run = run
        self._now_us = now_us
        self._lock = threading.Lock()
        self._todo: list[ChangedSession] = []

    def step(self, sessions_max: int) -> Compacted:
        """Compact at most so many sessions, as long as a step lasts; a session is done to its end."""
        with self._lock:
            end = time.monotonic() + COMPACT_STEP_S
            if not self._todo:
                self._todo = self._run(lambda wire: changed_sessions(wire, COMPACT, LISTED_MAX))[::-1]
            sessions = 0
            runs: list[Run] = []
            while self._todo and sessions < sessions_max and time.monotonic() < end:
                done = self._session(self._todo.pop())
                sessions += bool(done)
                runs += done
            return Compacted(
                session_count=sessions,
                segment_count=len(runs),
                event_count=sum(run.event_count for run in runs),
                bytes_before=sum(run.size_bytes for run in runs),
                bytes_after=sum(len(run.body) for run in runs),
                more=bool(self._todo),
            )

    def _session(self, item: ChangedSession) -> list[Run]:
        """Compact what is cold of one session; return the blocks."""
        rows = self._run(lambda wire: wire.read(item.key.tenant, [(_STATE, item.key)]))[0]
        if not rows or original_or_none(rows[0][1]) != item.incarnation:
            return []
        gen, _, last_seq, updated_at_us, clock_us, recorded_at_us, sealed_seq = rows[0]
        now_us = self._now_us() or clock_us
        through = cold_through(
            last_seq=last_seq,
            sealed_seq=sealed_seq or 0,
            updated_at_us=updated_at_us,
            recorded_at_us=recorded_at_us or 0,
            now_us=now_us,
        )
        cold = Cold(through, idle=through == last_seq and is_idle(updated_at_us, now_us))
        done: list[Run] = []
        after_seq = item.follower_seq
        while True:
            values = (*item.key, gen, after_seq, cold.through_seq)
            found = self._run(lambda wire, of=values: wire.read(of[0], [(_RUN, of)]))[0]  # type: ignore[misc]
            run = gather(((row[0], _bulky(row)) for row in found), cold, after_seq)
            if run is None or not self._run(lambda wire, one=run, of=found: _write(wire, item, one, of)):  # type: ignore[misc]
                return done
            after_seq = run.last_seq
            if run.body:
                done.append(run)
            if cold.idle and after_seq >= cold.through_seq:
                return done


def _bulky(row: Sequence[Any]) -> Bulky:
    _, data, line, meta, usage, message_id, parent_id, _ = row
    return Bulky(data, line, meta, usage, original_or_none(message_id), original_or_none(parent_id))


def _write(wire: Wire, item: ChangedSession, run: Run, found: Sequence[Sequence[Any]]) -> bool:
    """Put a block in place of its rows' bulk, and move the cursor; False where the session is another one by now."""
    with transaction(wire, item.key.tenant) as opened:
        live = lock(opened, item.key)
        if live is None or live.incarnation != item.incarnation:
            return False
        of = (*item.key, live.gen)
        seen = opened.row(f"SELECT seq FROM follower_seq WHERE {_OF} AND name = $4", *of, COMPACT)
        if run.after_seq != (0 if seen is None else seen[0]):  # another process was faster
            return False
        if run.body:
            read = [(row[0], row[7]) for row in found if row[0] <= run.last_seq]
            if opened.rows(_SAME, *of, run.first_seq, run.last_seq) != read:
                return False
            opened.later(_SLIM, *of, run.first_seq, run.last_seq)
            opened.later(f"DELETE FROM event_source WHERE {_OF} AND seq BETWEEN $4 AND $5", *of, run.first_seq, run.last_seq)
            opened.later(_INSERT, *of, run.last_seq, run.first_seq, run.event_count, run.body)
        move_cursor(opened, item.key, live, COMPACT, run.last_seq)
        return True
