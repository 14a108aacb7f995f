"""A clock that stands still until it is told to move."""

from __future__ import annotations

import threading


class FakeClock:
    """A wall clock in microseconds since the epoch for stores and engines; safe to share between threads."""

    def __init__(self, at_us: int = 1_750_000_000_000_000) -> None:
        """Stand at ``at_us``."""
        self._at_us = at_us
        self._lock = threading.Lock()

    def __call__(self) -> int:
        """Return the time."""
        return self._at_us

    def advance(self, us: int) -> int:
        """Move on by so many microseconds and return the new time; a negative number turns the clock back."""
        with self._lock:
            self._at_us += us
            return self._at_us
