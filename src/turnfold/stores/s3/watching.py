"""Wake-ups: at once for commits of this process, by looking for those of others.

Object storage tells nobody anything. A watch wakes its callback every ``OBJECT_POLL_S``, and the callback asks ``last_seqs`` for the sessions
that somebody follows. What one such look may cost is bounded by ``OBJECT_POLL_REQUESTS_MAX`` requests, whatever the number of sessions: a few
are asked for one by one, many by one LIST of their tenant, and where that is too long the ones that were not looked at for longest come first.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from turnfold.limits import OBJECT_POLL_REQUESTS_MAX, OBJECT_POLL_S
from turnfold.model.session import SessionKey
from turnfold.stores.s3.catalog import Catalog
from turnfold.stores.s3.house import House


class Watching:
    """All watches of a store: one thread while there is any."""

    def __init__(self) -> None:
        """Begin with none."""
        self._lock = threading.Lock()
        self._watches: tuple[ObjectWatch, ...] = ()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, wake: Callable[[], None]) -> ObjectWatch:
        """Register a callback."""
        watch = ObjectWatch(self, wake)
        with self._lock:
            self._watches = (*self._watches, watch)
            if self._thread is None:
                self._stop = threading.Event()
                self._thread = threading.Thread(target=self._run, args=(self._stop,), name="turnfold-objects-watch", daemon=True)
                self._thread.start()
        return watch

    def _run(self, stop: threading.Event) -> None:
        while not stop.wait(OBJECT_POLL_S):
            self.wake()

    def wake(self) -> None:
        """Call every callback."""
        for watch in self._watches:  # no lock is held: a callback may close its watch
            wake = watch.wake
            if wake is not None:
                wake()

    def drop(self, watch: ObjectWatch) -> None:
        """Take a watch off the list; the last one ends the thread."""
        with self._lock:
            self._watches = tuple(item for item in self._watches if item is not watch)
            if not self._watches:
                self._stop.set()
                self._thread = None

    def close(self) -> None:
        """End all watches."""
        for watch in self._watches:
            watch.close()


class ObjectWatch:
    """One registered callback."""

    def __init__(self, watching: Watching, wake: Callable[[], None]) -> None:
        """Keep it."""
        self.wake: Callable[[], None] | None = wake
        self._watching = watching

    def close(self) -> None:
        """Stop; no wake-up begins afterwards."""
        self.wake = None
        self._watching.drop(self)


def last_seqs(house: House, catalog: Catalog, keys: Iterable[SessionKey]) -> dict[SessionKey, tuple[str, int]]:
    """Return (incarnation, last seq) of those that exist, with few requests; see the module."""
    wanted = list(dict.fromkeys(keys))
    found: dict[SessionKey, tuple[str, int]] = {}
    if len(wanted) > OBJECT_POLL_REQUESTS_MAX:
        rest: list[SessionKey] = []
        requests = 0
        for tenant in sorted({key.tenant for key in wanted}):
            here = [key for key in wanted if key.tenant == tenant]
            pages = catalog.folder(tenant).request_count
            if pages < len(here) and requests + pages <= OBJECT_POLL_REQUESTS_MAX:
                requests += pages
                rows = {SessionKey(info.tenant, info.id): (info.incarnation, info.last_seq) for info in catalog.infos(tenant)}
                found.update((key, rows[key]) for key in here if key in rows)
            else:
                rest += here
        rest.sort(key=lambda key: house.session(key).seen_s)
        asked = rest[: max(OBJECT_POLL_REQUESTS_MAX - requests, 1)]
        wanted = rest
    else:
        asked = wanted
    house.parallel(lambda key: house.session(key).fresh(), asked)
    for key in wanted:
        state = house.session(key).peek()
        if state is not None and state.deleted_at_us is None:
            found[key] = (state.incarnation, state.fixed.last_seq)
    return found
