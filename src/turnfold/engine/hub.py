"""Followers without a thread each: one waiter per store that tells sync and async followers when to read on.

Theory of operation. The store's ``watch`` calls ``wake`` after any commit, perhaps too often. A dispatcher thread then asks ``last_seqs`` for
the sessions that somebody follows, in one read, and wakes those followers whose session moved past what they have. A follower subscribes
before its first read, reads from its cursor, and waits for "past this seq"; so it never misses, and the cursor keeps it from repeating.
A store that wakes only for sessions that are followed is told which these are, before they are looked at.
Commits of this process are told directly, without the read. The dispatcher and the watch run only while somebody follows. The fallback
when a wake-up is lost or a store has no channel is a look every second: one read per store, whatever the number of followers.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from turnfold.errors import StoreClosed, TurnfoldError
from turnfold.limits import POLL_INTERVAL_S
from turnfold.ports.store import FollowingWatch

if TYPE_CHECKING:
    import asyncio

    from turnfold.model.session import SessionKey
    from turnfold.ports.store import Store, Watch

_LOOK_S = POLL_INTERVAL_S * 4


class Subscription:
    """One follower of one session."""

    __slots__ = ("_asked_seq", "_deadline", "_event", "_hub", "_incarnation", "_loop", "_told", "_vain", "key", "last_seq")

    def __init__(self, hub: Hub, key: SessionKey, loop: asyncio.AbstractEventLoop | None) -> None:
        self._hub = hub
        self.key = key
        self.last_seq = 0
        self._incarnation = ""
        self._loop = loop
        self._asked_seq = -1
        self._deadline: float | None = None
        self._told = self._vain = ("", 0)
        self._event: asyncio.Event | threading.Event = threading.Event() if loop is None else _asyncio_event()

    def wait(self, seq: int, timeout_s: float | None) -> bool:
        """Block until the session is past ``seq`` (True) or the time is over (False)."""
        event = self._event
        assert isinstance(event, threading.Event)
        deadline = self._ask(seq, timeout_s)
        while not self._is_past(seq):
            event.clear()
            if self._is_past(seq):
                break
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return False
            rung = event.wait(left)
            self._hub.check_open()
            if rung:  # moved on, or something is wrong: the follower's own read will tell
                return self._wakes()
        return self._wakes()

    async def wait_async(self, seq: int, timeout_s: float | None) -> bool:
        """Wait in the event loop that subscribed."""
        import asyncio

        event = self._event
        assert isinstance(event, asyncio.Event)
        deadline = self._ask(seq, timeout_s)
        while not self._is_past(seq):
            event.clear()
            if self._is_past(seq):
                break
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return False
            try:
                await asyncio.wait_for(event.wait(), left)
            except TimeoutError:
                return self._is_past(seq) and self._wakes()
            self._hub.check_open()
            return self._wakes()
        return self._wakes()

    def _ask(self, seq: int, timeout_s: float | None) -> float | None:
        """Return when the wait ends.

        Who asks for the same seq again has read and found nothing: the session is another owner's, and for this one it is not there. Such a
        wake-up was in vain: it neither wakes a second time (that would be a loop without a pause) nor begins the wait anew.
        """
        if seq == self._asked_seq:
            self._vain = self._told
        else:
            self._asked_seq, self._vain = seq, ("", 0)
            self._deadline = None if timeout_s is None else time.monotonic() + timeout_s
        return self._deadline

    def _is_past(self, seq: int) -> bool:
        """Whether the session is past ``seq``, and not just as far as the last read knew it to be."""
        return self.last_seq > seq and (self._incarnation, self.last_seq) != self._vain

    def _wakes(self) -> bool:
        """Note what the follower is woken with, before it reads; true."""
        self._told = (self._incarnation, self.last_seq)
        return True

    def tell(self, incarnation: str, last_seq: int) -> None:
        """Note where the session is; called by the hub from any thread."""
        if incarnation != self._incarnation:  # a new creation of the session begins at 1 again
            self._incarnation, self.last_seq = incarnation, 0
        if last_seq > self.last_seq:
            self.last_seq = last_seq
            self.ring()

    def ring(self) -> None:
        """Wake the follower to look again."""
        if self._loop is None:
            self._event.set()
        else:
            try:
                self._loop.call_soon_threadsafe(self._event.set)
            except RuntimeError:  # its loop is closed; the subscription dies with it
                self._hub.drop(self)

    def close(self) -> None:
        """End the subscription."""
        self._hub.drop(self)


def _asyncio_event() -> asyncio.Event:
    from asyncio import Event  # a sync client never imports asyncio: it costs more than everything else together

    return Event()


class Hub:
    """Tells followers that their session moved."""

    def __init__(self, store: Store) -> None:
        """Bind the store; nothing runs before the first subscription."""
        self._store = store
        self._lock = threading.Lock()
        self._by_key: dict[SessionKey, set[Subscription]] = {}
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._closed = False
        self.active = False
        """Whether anybody follows; committers look at it before they call ``committed``."""

    def subscribe(self, key: SessionKey, loop: asyncio.AbstractEventLoop | None = None) -> Subscription:
        """Begin to follow a session; with ``loop`` the subscription is waited for in that event loop."""
        subscription = Subscription(self, key, loop)
        with self._lock:
            self.check_open()
            self._by_key.setdefault(key, set()).add(subscription)
            self.active = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="turnfold-hub", daemon=True)
                self._thread.start()
        self._wake.set()
        return subscription

    def drop(self, subscription: Subscription) -> None:
        """Forget a subscription."""
        with self._lock:
            group = self._by_key.get(subscription.key)
            if group is not None:
                group.discard(subscription)
                if not group:
                    del self._by_key[subscription.key]
            self.active = bool(self._by_key)
            if not self.active:
                self._wake.set()

    def committed(self, key: SessionKey, incarnation: str, last_seq: int) -> None:
        """Tell the followers of a session in this process."""
        with self._lock:
            group = tuple(self._by_key.get(key, ()))
        for subscription in group:
            subscription.tell(incarnation, last_seq)

    def check_open(self) -> None:
        """Raise StoreClosed after ``close``."""
        if self._closed:
            raise StoreClosed("the client was closed while following")

    def _run(self) -> None:
        watch: Watch | None = None
        try:
            watch = self._store.watch(self._wake.set)
            while True:
                self._wake.wait(_LOOK_S)
                self._wake.clear()
                with self._lock:
                    if self._closed or not self._by_key:
                        self._thread = None
                        return
                    keys = list(self._by_key)
                if isinstance(watch, FollowingWatch):
                    watch.follow(keys)
                self._look(keys)
        finally:
            if watch is not None:
                watch.close()

    def _look(self, keys: list[SessionKey]) -> None:
        try:
            found = self._store.last_seqs(keys)
        except TurnfoldError:  # the followers' own reads meet the same error and report it; looking again costs little
            for key in keys:
                for subscription in tuple(self._by_key.get(key, ())):
                    subscription.ring()
            return
        for key, (incarnation, last_seq) in found.items():
            self.committed(key, incarnation, last_seq)

    def close(self) -> None:
        """Wake all followers (they raise StoreClosed) and stop."""
        with self._lock:
            self._closed = True
            thread = self._thread
            groups = [subscription for group in self._by_key.values() for subscription in group]
        self._wake.set()
        for subscription in groups:
            subscription.ring()
        if thread is not None and thread is not threading.current_thread():
            thread.join(5)
