"""Connections that are kept: few, last used first, thrown away together when one of them shows that the server went.

The driver's own pool costs as much per use (11 µs), and keeps four threads per store that a forked child would not have; here there is nothing to
keep running, and a connection that the server closed is found out before it is lent, without a round trip.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from turnfold.errors import StoreUnavailable
from turnfold.stores.postgres.options import Options
from turnfold.stores.postgres.wire import Lost, Wire

_FIRST_PAUSE_S: Final = 0.02
_PAUSE_GROWTH: Final = 1.6


class Pool:
    """At most ``options.connections_max`` connections lent at a time."""

    def __init__(self, options: Options) -> None:
        """Prepare; nothing is connected before it is needed."""
        self.options = options
        self._idle: list[Wire] = []
        self._room = threading.BoundedSemaphore(options.connections_max)
        self._pid = os.getpid()
        self._closed = False

    @contextmanager
    def lend(self, *, patient: bool = False) -> Iterator[Wire]:
        """Lend a connection; one that broke meanwhile does not come back.

        Args:
            patient: Wait for a server that is coming back.

        Raises:
            StoreUnavailable: All are in use for longer than a statement may take.
            Lost: None can be made.
        """
        wait_s = self.options.statement_timeout_s
        if not self._room.acquire(timeout=wait_s):
            most = self.options.connections_max
            raise StoreUnavailable(f"all {most} connections are in use for {wait_s:.0f} s", hint="raise connections_max in the store's URL")
        try:
            wire = self._take(patient=patient)
            try:
                yield wire
            except BaseException:
                self._give_back(wire, whole=not wire.is_broken() and wire.is_idle())
                raise
            self._give_back(wire, whole=True)
        finally:
            self._room.release()

    def _take(self, *, patient: bool) -> Wire:
        if self._pid != os.getpid():  # a forked child: the sockets are its parent's
            self._pid, self._idle = os.getpid(), []
        while self._idle:
            try:
                wire = self._idle.pop()
            except IndexError:
                break
            if not wire.is_broken():
                return wire
            wire.close()
        return self.patient() if patient else Wire(self.options)

    def _give_back(self, wire: Wire, *, whole: bool) -> None:
        if whole and not self._closed and not wire.is_worn() and wire.born_pid == os.getpid():
            self._idle.append(wire)
        else:
            wire.close()

    def patient(self) -> Wire:
        """Connect, and wait for a server that is coming back.

        Raises:
            Lost: It did not within ``options.reconnect_s``.
        """
        end = time.monotonic() + self.options.reconnect_s
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                return Wire(self.options)
            except Lost:
                if self._closed or time.monotonic() + pause_s > end:
                    raise
            time.sleep(pause_s)
            pause_s = min(pause_s * _PAUSE_GROWTH, 1.0)

    def close(self) -> None:
        """Close what is idle; what is lent is closed when it comes back."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()
