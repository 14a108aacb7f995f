"""Whose turn it is to follow some folders: one process of a machine holds a lease in the store, the others wait for it to end."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from turnfold.engine.importing.batch import Target
from turnfold.engine.scopes import scope_genesis, scope_id
from turnfold.errors import LeaseLost, SessionNotFound
from turnfold.model.commit import Commit
from turnfold.model.session import Lease

TURN_TTL_S = 15.0
"""How long a turn lasts without being renewed."""
RENEW_S = 5.0


class Turn:
    """The right to follow, for one process at a time."""

    def __init__(self, target: Target, roots: Iterable[Path]) -> None:
        """Name what is followed: processes that follow the same have one turn between them."""
        self._target = target
        self._holder = f"{os.getpid()}@{socket.gethostname()}"[:200]
        name = "\0".join([_machine(), *sorted(str(root.absolute()) for root in roots)])
        self._key = target.key(scope_id("follow", hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:32]))
        self._lease: Lease | None = None
        self._renew_at = 0.0
        self._lock = threading.Lock()

    @property
    def renew_in_s(self) -> float:
        """How long until ``take`` has something to do."""
        return max(self._renew_at - time.monotonic(), 0.0)

    def take(self) -> str | None:
        """Take or keep the turn; cheap while it is ours.

        Returns:
            None, or who has it: ``<process>@<machine>``.
        """
        with self._lock:  # imports of several files may ask at once
            return None if self._lease is not None and self.renew_in_s > 0 else self._take()

    def _take(self) -> str | None:
        if self._lease is not None:
            try:
                self._lease = self._target.store.renew_lease(self._lease, TURN_TTL_S)
            except (LeaseLost, SessionNotFound):  # this process slept for long
                self._lease = None
        if self._lease is None:
            try:
                self._lease = self._acquire()
            except LeaseLost as error:
                holder = str(error.details.get("holder") or "another process")
                if not _is_dead(holder):
                    return holder
                self._bury(holder)
                return self._take()
        self._renew_at = time.monotonic() + RENEW_S
        return None

    def end(self) -> None:
        """Give the turn up."""
        if self._lease is not None:
            self._target.store.release_lease(self._lease)
            self._lease = None

    def _acquire(self) -> Lease:
        store, owner = self._target.store, self._target.owner
        try:
            return store.acquire_lease(self._key, self._holder, TURN_TTL_S, owner=owner)
        except SessionNotFound:
            store.commit(Commit(key=self._key, owner=owner, genesis=scope_genesis(owner, self._target.hmac_key)))
            return store.acquire_lease(self._key, self._holder, TURN_TTL_S, owner=owner)

    def _bury(self, holder: str) -> None:
        """End the lease of a process that is no more, in its name: nobody else can, before it expires."""
        store = self._target.store
        try:
            store.release_lease(store.acquire_lease(self._key, holder, TURN_TTL_S, owner=self._target.owner))
        except LeaseLost:  # somebody was faster
            return


def _machine() -> str:
    """Host, and its process namespace where there is one: a process number means something only inside it."""
    try:
        return f"{socket.gethostname()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


def _is_dead(holder: str) -> bool:
    number = holder.partition("@")[0]
    if not number.isdigit() or os.name != "posix":
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
