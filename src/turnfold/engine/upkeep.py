"""Followers of the log: the search index, the seals and what is cold, kept by one lazily started thread per client.

Theory of operation. A follower asks the store for sessions that moved past its cursor, reads the new events, writes its rows or seal and moves
the cursor, all restartable at any point: the cursor is compared and set with the rows, a seal with its predecessor. Nothing depends on it for
correctness: a search catches up first, up to ``CATCH_UP_MS_MAX``, and says how many sessions still lag. The thread works only while the
client is idle, or when the backlog is old, so that it does not compete with appends.
"""

from __future__ import annotations

import threading
import time

from turnfold.codec.seal import leaf, seal_root
from turnfold.errors import SessionNotFound, TurnfoldError
from turnfold.ids import now_us
from turnfold.limits import COMPACT_EVERY_S, COMPACT_QUIET_S, FOLLOWER_BATCH_EVENTS, SEAL_EVENTS
from turnfold.model.event import Event, RangeTombstone, Seal
from turnfold.model.query import ChangedSession, EventPage, EventQuery
from turnfold.model.session import SessionKey
from turnfold.ports.store import COMPACTS, SEARCH_INDEX, Store

SEARCH = "search"
SEALS = "seals"
IDLE_S = 1.0
"""How long no commit came before the thread works."""
LAG_S_MAX = 30.0
"""How long it waits for such a pause at most."""
_SESSIONS = 64


class Upkeep:
    """Keeps index and seals of one store up to date."""

    def __init__(self, store: Store, key: bytes | None) -> None:
        """Bind the store and the key that seals are made with."""
        self._store = store
        self._key = key
        self._lock = threading.Lock()
        self._working = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._since: float | None = None
        self._last = 0.0
        self._compact_at = time.monotonic() + COMPACT_QUIET_S
        self.enabled = True

    def touched(self) -> None:
        """Note a commit; starts the thread with the first."""
        self._last = time.monotonic()
        if self._since is None:
            self._since = self._last
            if self._thread is None and self.enabled:
                self._start()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None and not self._stop.is_set():
                self._thread = threading.Thread(target=self._run, name="turnfold-upkeep", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(IDLE_S):
            since = self._since
            now = time.monotonic()
            if since is not None and now - self._last < IDLE_S and now - since < LAG_S_MAX:
                continue
            try:
                if since is not None:
                    self._since = None
                    self.catch_up(None)
                    self.seal_changed()
                self.compact_cold()
            except TurnfoldError:  # the store is closed, full or away: the next commit starts again
                continue

    def catch_up(self, deadline_s: float | None) -> int:
        """Index what is new, until the monotonic ``deadline_s``; return the number of sessions that still lag."""
        if SEARCH_INDEX not in self._store.capabilities:
            return 0
        with self._working:
            while changed := self._store.changed_sessions(SEARCH, _SESSIONS):
                moved = False
                for item in changed:
                    if deadline_s is not None and time.monotonic() >= deadline_s:
                        return len(self._store.changed_sessions(SEARCH, 1_000))
                    moved = self._index(item) or moved
                if not moved or (self._stop.is_set() and deadline_s is None):  # others are at it, or the client closes
                    return len(changed)
        return 0

    def _index(self, item: ChangedSession) -> bool:
        """Index one session to its end; whether the cursor moved."""
        from turnfold.core.search import index_rows  # who only appends is spared it

        at = item.follower_seq
        while at < item.last_seq:
            try:
                page = _read(self._store, item.key, item.incarnation, at)
            except SessionNotFound:  # deleted meanwhile
                return False
            rows = index_rows(page.events)
            through = page.through_seq
            if through <= at or not self._store.advance(
                SEARCH, item.key, incarnation=item.incarnation, from_seq=at, to_seq=through, rows=rows
            ):
                return False  # another process indexes this session
            at = through
        return True

    def seal_changed(self) -> None:
        """Seal every session with at least ``SEAL_EVENTS`` events since its last seal."""
        with self._working:
            for item in self._store.changed_sessions(SEALS, 1_000):
                if item.last_seq - item.follower_seq >= SEAL_EVENTS and not self._stop.is_set():
                    seal_session(self._store, item.key, self._key)

    def compact_cold(self) -> None:
        """Let the store compact what is cold, now and then, in small steps, until somebody commits."""
        if COMPACTS not in self._store.capabilities or time.monotonic() < self._compact_at:
            return
        last_at, self._compact_at = self._compact_at, time.monotonic() + COMPACT_EVERY_S  # also where it is refused
        more = True
        while more and self._since is None and not self._stop.is_set():
            more = self._store.compact(sessions_max=1).more
        if more:
            self._compact_at = last_at

    def seal(self, key: SessionKey) -> Seal | None:
        """Seal one session now."""
        with self._working:
            return seal_session(self._store, key, self._key)

    def close(self) -> None:
        """Stop the thread; index what this client wrote if that is quick."""
        self._stop.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        if self._since is not None and self.enabled:
            try:
                self.catch_up(time.monotonic() + IDLE_S)
            except TurnfoldError:
                return


def _read(store: Store, key: SessionKey, incarnation: str, after: int) -> EventPage:
    return store.read_events(EventQuery(key=key, after=after, limit=FOLLOWER_BATCH_EVENTS, incarnation=incarnation))


def seal_session(store: Store, key: SessionKey, mac_key: bytes | None) -> Seal | None:
    """Seal everything since the last seal; None where there is nothing new or another process was faster."""
    try:
        seals = store.read_seals(key)
        previous, after = (seals[-1].root, seals[-1].upto_seq) if seals else (b"", 0)
        leaves: list[bytes] = []
        at, incarnation = after, ""
        while True:
            page = store.read_events(EventQuery(key=key, after=at, limit=FOLLOWER_BATCH_EVENTS))
            incarnation = page.incarnation
            leaves += leaves_of(page.events, page.ranges, at, page.through_seq)
            if page.through_seq <= at:
                break
            at = page.through_seq
            if not page.more:
                break
        if at <= after:
            return None
        seal = Seal(at, previous, seal_root(previous, at, leaves, mac_key), now_us())
        if not store.add_seal(key, seal, incarnation=incarnation):
            return None
        store.advance(SEALS, key, incarnation=incarnation, from_seq=store.follower_seq(SEALS, key), to_seq=at)
    except SessionNotFound:
        return None
    return seal


def leaves_of(events: list[Event], ranges: tuple[RangeTombstone, ...], after: int, through: int) -> list[bytes]:
    """Seal leaves of the places after < seq ≤ through in order, those of pruned events from their range tombstones."""
    items: list[tuple[int, bytes]] = [(event.seq, leaf(event)) for event in events]
    for pruned in ranges:
        for offset in range(pruned.last_seq - pruned.first_seq + 1):
            seq = pruned.first_seq + offset
            if after < seq <= through:
                items.append((seq, pruned.leaves[32 * offset : 32 * offset + 32]))
    items.sort()
    return [item for _, item in items]
