"""Noticing commits of any process: LISTEN on one connection per store, whatever the number of followers.

Theory of operation. A NOTIFY takes a lock of the whole database until its transaction is done, so a commit notifies only if somebody said lately
that he watches the session (``counter.watched_until_us``): measured, NOTIFY in every commit brings 25,000 commits/s of many sessions down to
7,000. A hub names the sessions that somebody follows (``follow``); they are marked before it reads, and marked again three times in
``POSTGRES_WATCH_S``. What was committed before the mark, the hub reads; what is committed after it, wakes it. The notification names the session
by a hash, so that it wakes those alone that follow it, and tells others nothing.

Where there is no LISTEN (through PgBouncer without a direct URL, or while the server is away) and for watchers that never said what they
follow, everybody is woken every ``POLL_INTERVAL_S``.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable, Iterable
from hashlib import md5
from itertools import groupby
from operator import attrgetter
from typing import Final

from turnfold.errors import TurnfoldError
from turnfold.limits import POLL_INTERVAL_S, POSTGRES_WATCH_S
from turnfold.model.session import SessionKey
from turnfold.stores.postgres.options import Options, parse
from turnfold.stores.postgres.values import name, names, original
from turnfold.stores.postgres.wire import SET_TENANT, Lost, Refused, Step, Wire

_RENEW_S: Final = POSTGRES_WATCH_S / 3
_MARK: Final = (
    "UPDATE counter SET watched_until_us = clock_us() + $3::bigint WHERE tenant = $1 AND session_id = ANY($2) RETURNING session_id"
)
Ask = Callable[[list[Step]], "list[list[tuple[object, ...]]]"]


def _token(key: SessionKey) -> str:
    return md5(name(key.tenant) + b"/" + name(key.session_id), usedforsecurity=False).hexdigest()


class StoreWatch:
    """One registered callback, and the sessions that it is for."""

    def __init__(self, watcher: Watcher, wake: Callable[[], None]) -> None:
        """Keep the callback until it is closed."""
        self.wake: Callable[[], None] | None = wake
        self.keys: frozenset[SessionKey] | None = None
        self.tokens: frozenset[str] = frozenset()
        self.marked: frozenset[SessionKey] = frozenset()
        self._watcher = watcher

    def follow(self, keys: Iterable[SessionKey]) -> None:
        """See ``ports.store.FollowingWatch``."""
        wanted = frozenset(keys)
        if wanted != self.keys:
            self.tokens = frozenset(map(_token, wanted))
            self.keys = wanted
        missing = wanted - self.marked
        if missing:  # new ones, and those that were not there when they were marked
            self.marked = (self.marked & wanted) | self._watcher.mark(missing)

    def close(self) -> None:
        """Stop; no wake-up begins afterwards."""
        self.wake = None
        self._watcher.remove(self)


class Watcher:
    """Calls everybody who watches after each commit that becomes visible."""

    def __init__(self, options: Options, ask: Ask) -> None:
        """Prepare; nothing runs before the first ``add``.

        Args:
            options: Of the store.
            ask: Runs statements on a connection of the store's pool.
        """
        self._options = options
        self._ask = ask
        self._lock = threading.Lock()
        self._watches: tuple[StoreWatch, ...] = ()
        self._stop: int | None = None
        self._thread: threading.Thread | None = None

    @property
    def watched(self) -> bool:
        """Whether anybody in this process watches."""
        return bool(self._watches)

    def add(self, wake: Callable[[], None]) -> StoreWatch:
        """Begin to call ``wake``; commits from now on are noticed.

        Raises:
            Lost: The server cannot be reached.
        """
        watch = StoreWatch(self, wake)
        with self._lock:
            if self._stop is None:
                self._start()
            self._watches = (*self._watches, watch)
        return watch

    def notify(self) -> None:
        """Call everybody: this process has committed."""
        for watch in self._watches:
            _wake(watch)

    def remove(self, watch: StoreWatch) -> None:
        """Stop calling it; the thread ends with the last one."""
        with self._lock:
            self._watches = tuple(item for item in self._watches if item is not watch)
            if not self._watches:
                self._end()

    def close(self) -> None:
        """Stop everything, and wait for the thread to let go of its connection."""
        with self._lock:
            self._watches = ()
            thread = self._thread
            self._end()
        if thread is not None and thread is not threading.current_thread():
            thread.join(5)

    def mark(self, keys: Iterable[SessionKey]) -> frozenset[SessionKey]:
        """Ask commits to these sessions to notify; return those that are there."""
        steps: list[Step] = []
        tenants: list[str] = []
        for tenant, group in groupby(sorted(keys), key=attrgetter("tenant")):
            tenants.append(tenant)
            ids = names(sorted(key.session_id for key in group))
            steps += [(SET_TENANT, (tenant,)), (_MARK, (tenant, ids, int(POSTGRES_WATCH_S * 1_000_000)))]
        try:
            found = self._ask(steps)[1::2] if steps else []
        except TurnfoldError:  # the follower's own read says what is wrong; it is marked at the next look
            return frozenset()
        return frozenset(SessionKey(tenant, original(str(row[0]))) for tenant, rows in zip(tenants, found, strict=True) for row in rows)

    # ---- the thread ------------------------------------------------------------------------------------------------------------------
    def _start(self) -> None:
        wire = self._listening()
        stop_read, self._stop = os.pipe()
        self._thread = threading.Thread(target=self._run, args=(wire, stop_read), name="turnfold watch postgresql", daemon=True)
        self._thread.start()

    def _end(self) -> None:
        if self._stop is not None:
            os.close(self._stop)
            self._stop = self._thread = None

    def _listening(self) -> Wire | None:
        options = self._options
        if options.pgbouncer and options.listen is None:
            return None
        server = None if options.listen is None else parse(options.listen).server
        wire = Wire(options, server)
        wire.script(f'LISTEN "turnfold_{options.schema}"')
        return wire

    def _run(self, wire: Wire | None, stop: int) -> None:
        renewed = time.monotonic()
        try:
            while True:
                blind = wire is None or any(watch.keys is None for watch in self._watches)
                ready = _wait(wire, stop, POLL_INTERVAL_S if blind else _RENEW_S)
                if stop in ready:
                    return
                if wire is None and not (self._options.pgbouncer and self._options.listen is None):
                    wire = self._again()
                if wire is not None and ready:
                    wire = self._take(wire)
                if not ready or wire is None:
                    for watch in self._watches:
                        if wire is None or watch.keys is None:
                            _wake(watch)
                if time.monotonic() - renewed > _RENEW_S:
                    renewed = time.monotonic()
                    for watch in self._watches:
                        watch.marked = self.mark(watch.keys or ())
        finally:
            if wire is not None:
                wire.close()
            os.close(stop)

    def _again(self) -> Wire | None:
        try:
            wire = self._listening()
        except (Lost, Refused):
            return None
        self.notify()  # what was missed is read now
        return wire

    def _take(self, wire: Wire) -> Wire | None:
        """Wake those whose sessions moved; None where the connection broke."""
        try:
            tokens = wire.notified()
        except Lost:
            return None
        for watch in self._watches:
            if watch.keys is None or not watch.tokens.isdisjoint(tokens):
                _wake(watch)
        return wire


def _wake(watch: StoreWatch) -> None:
    wake = watch.wake
    if wake is not None:
        wake()


def _wait(wire: Wire | None, stop: int, wait_s: float) -> set[int]:
    poll = select.poll()
    poll.register(stop, select.POLLIN | select.POLLHUP)
    if wire is not None:
        poll.register(wire.pg.socket, select.POLLIN)
    return {file for file, _ in poll.poll(wait_s * 1_000)}
