"""Noticing commits of any process: one connection that is subscribed to the store's channel, one thread, and only while somebody watches.

Each commit's script publishes on the channel; in a cluster the nodes pass it on, so any node will do. A message that is lost with its
connection is made up for by a wake-up after the next connection is made: whoever is woken looks for itself.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from redis.exceptions import RedisError

from turnfold.errors import TurnfoldError
from turnfold.stores.redis.links import Links

LOOK_S: Final = 1.0
"""How often the thread looks whether it is to end, when nothing else happens."""
SILENCE_S_MAX: Final = 10.0
"""After so long without a message the connection is tried."""
AGAIN_S: Final = 0.05
"""Pause before the next connection; it doubles while connections fail at once."""
AGAIN_S_MAX: Final = 2.0
READY_S_MAX: Final = 5.0


class Watcher:
    """Calls everybody who watches after each commit."""

    def __init__(self, links: Links, channel: bytes) -> None:
        """Prepare; nothing runs before the first ``add``."""
        self._links = links
        self._channel = channel
        self._lock = threading.Lock()
        self._watches: tuple[RedisWatch, ...] = ()
        self._run: _Run | None = None

    def add(self, wake: Callable[[], None]) -> RedisWatch:
        """Begin to call ``wake``; commits from now on are noticed."""
        watch = RedisWatch(self, wake)
        with self._lock:
            self._watches = (*self._watches, watch)
            run = self._run
            if run is None:
                run = self._run = _Run(self._links, self._channel, self.notify)
        run.ready.wait(READY_S_MAX)
        return watch

    def notify(self) -> None:
        """Call everybody."""
        for watch in self._watches:
            wake = watch.wake
            if wake is not None:
                wake()

    def remove(self, watch: RedisWatch) -> None:
        """Stop calling it; the thread ends with the last one."""
        with self._lock:
            self._watches = tuple(item for item in self._watches if item is not watch)
            run = None
            if not self._watches:
                run, self._run = self._run, None
        if run is not None:
            run.stop()

    def close(self) -> None:
        """Stop everything."""
        for watch in self._watches:
            watch.close()


class RedisWatch:
    """One registered callback."""

    def __init__(self, watcher: Watcher, wake: Callable[[], None]) -> None:
        """Keep the callback until it is closed."""
        self.wake: Callable[[], None] | None = wake
        self._watcher = watcher

    def close(self) -> None:
        """Stop; no wake-up begins afterwards."""
        if self.wake is not None:
            self.wake = None
            self._watcher.remove(self)


class _Run:
    """The thread and its connection."""

    def __init__(self, links: Links, channel: bytes, notify: Callable[[], None]) -> None:
        self.ready = threading.Event()
        self._links = links
        self._channel = channel
        self._notify = notify
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="turnfold-redis-watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread: with a message, or within ``LOOK_S``."""
        self._stopped.set()
        if self._thread is threading.current_thread():
            return
        with contextlib.suppress(TurnfoldError):
            self._links.ask(self._links.masters()[0], b"PUBLISH", self._channel, b"")
        self._thread.join(2 * LOOK_S)

    def _listen(self) -> None:
        turn = 0
        pause_s = AGAIN_S
        while not self._stopped.is_set():
            began = time.monotonic()
            try:
                nodes = self._links.masters()
                link = self._links.link_of(nodes[turn % len(nodes)])
            except TurnfoldError:
                self._stopped.wait(AGAIN_S)
                continue
            turn += 1
            try:
                self._subscribed(link)
            except (RedisError, OSError):
                pause_s = AGAIN_S if time.monotonic() - began > SILENCE_S_MAX else min(2 * pause_s, AGAIN_S_MAX)
                self.ready.set()  # as far as it gets: the hub's own looks go on
                self._stopped.wait(pause_s)
            finally:
                link.disconnect()

    def _subscribed(self, link: Any) -> None:
        """Listen on one connection until it breaks or the end."""
        link.send_command("SUBSCRIBE", self._channel)
        link.read_response()
        self.ready.set()
        self._notify()
        heard = tried = time.monotonic()
        while not self._stopped.is_set():
            if link.can_read(timeout=LOOK_S):
                answer = link.read_response()
                heard = time.monotonic()
                if answer and answer[0] == b"message" and not self._stopped.is_set():
                    self._notify()
            elif time.monotonic() - max(heard, tried) > SILENCE_S_MAX:
                if tried > heard:
                    return  # it did not even answer that
                link.send_command("PING")
                tried = time.monotonic()
