"""What all faults share: a place per class, a ledger per test, and the check at its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from turnfold.client import Client
from turnfold.errors import TurnfoldError
from turnfold.model.commit import Committed
from turnfold.ports.store import Store
from turnfold.testing.faults.children import Writer
from turnfold.testing.faults.ledger import Found, Ledger, Offer
from turnfold.testing.faults.place import CannotBreak, Place
from turnfold.testing.writers import insist

T = TypeVar("T")
_LOOK_S = 0.02
RETRY_S = 60.0
"""How long a writer insists while a server is away."""


class FaultBase:
    """One place per class; each test writes to sessions of its own in it. Subclasses say how it is made."""

    place: Place
    ledger: Ledger

    def make_place(self, folder: Path) -> Place:
        """Return a place that keeps what it keeps in ``folder``; it is started and stopped here."""
        raise NotImplementedError(f"{type(self).__name__}.make_place")

    def without_server(self, reason: str) -> None:
        """Called where the place cannot be started on this machine; skips, unless a subclass knows better (CI that must have it)."""
        pytest.skip(reason)

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _with_place(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        place = cls().make_place(tmp_path_factory.mktemp("place"))
        try:
            place.start()
        except CannotBreak as error:
            cls().without_server(str(error))
        cls.place = place
        try:
            yield
        finally:
            place.stop()

    @pytest.fixture(autouse=True)
    def _with_ledger(self, request: pytest.FixtureRequest) -> Iterator[None]:
        self.ledger = Ledger()
        self.session_id = request.node.name.removeprefix("test_")
        self._children: list[Writer] = []
        self._stores: list[Store] = []
        try:
            yield
        finally:
            for child in self._children:
                child.close()
            for store in self._stores:
                store.close()

    def can(self, weakness: Callable[[], T]) -> T:
        """Ask a place for a weakness; skip the test where it has none."""
        try:
            return weakness()
        except CannotBreak as error:
            pytest.skip(str(error))

    def need_processes(self) -> None:
        """Skip the test on a store that lives in one process."""
        if not self.place.shared:
            pytest.skip(f"{self.place.name} lives in one process")

    def opened(self, url: str | None = None) -> Store:
        """Open the store; it is closed after the test."""
        store = self.place.open(url)
        self._stores.append(store)
        return store

    def writer(self, name: str, *, url: str | None = None, count: int | None = None, retry_s: float = 0.0, single: bool = False) -> Writer:
        """Start a writer in a process of its own."""
        child = Writer(self.place.url if url is None else url, self.session_id, name, count=count, retry_s=retry_s, single=single)
        self._children.append(child)
        return child

    def offer(self, number: int, name: str = "self") -> Offer:
        """The numbered commit of this process."""
        return Offer(self.session_id, name, number)

    def attempt(self, store: Store, offer: Offer) -> Committed | TurnfoldError:
        """Send a commit; an error must be one of ours that says trying again can help."""
        try:
            return self.ledger.write(store, offer)
        except TurnfoldError as error:
            assert error.retryable, f"{error!r} says that trying again cannot help"
            assert error.fault == "store", f"{error!r} blames {error.fault}"
            return error

    def insist(self, store: Store, offer: Offer, wait_s: float = RETRY_S) -> Committed:
        """Send a commit until it is taken."""
        done = insist(store, self.ledger.offer(offer), wait_s)
        self.ledger.acknowledge(offer, done.first_seq, done.last_seq)
        return done

    def check(self, store: Store | None = None) -> Found:
        """Check everything that was offered, in a store that is opened for it."""
        for child in self._children:
            child.report(self.ledger)
        return self.ledger.check(self.opened() if store is None else store)

    def beside(self, work: Callable[[], object]) -> threading.Thread:
        """Run something in a thread."""
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        return thread

    def follow(self, client: Client, seen: list[int]) -> None:
        """Follow the test's session to its end, beginning again at the cursor after an error; note each seq in ``seen``."""
        while True:
            try:
                for event in client.open(self.session_id, create=False).follow(after=seen[-1] if seen else 0):
                    seen.append(event.seq)  # noqa: PERF401  # others look at it meanwhile
            except TurnfoldError as error:
                assert error.retryable, repr(error)
                time.sleep(_LOOK_S)
            else:
                return

    def wait_until(self, holds: Callable[[], bool], wait_s: float) -> None:
        """Wait until something holds, or for so long; the caller looks what came of it."""
        end = time.monotonic() + wait_s
        while not holds() and time.monotonic() < end:
            time.sleep(_LOOK_S)
