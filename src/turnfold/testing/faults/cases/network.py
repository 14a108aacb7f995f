"""A network that cuts, swallows, refuses and is slow; a proxy stands before the server."""

from __future__ import annotations

import time

import pytest

from turnfold.client import Client
from turnfold.errors import TurnfoldError
from turnfold.model.query import EventQuery
from turnfold.model.session import SessionKey
from turnfold.ports.store import Store
from turnfold.testing.faults.cases.base import FaultBase
from turnfold.testing.faults.ledger import Offer
from turnfold.testing.faults.proxy import Fault, Proxy
from turnfold.testing.writers import TENANT, event_id

CUTS = 12
SLOW_BYTES_PER_S = 300_000.0


class NetworkCases(FaultBase):
    """What a commit can meet on its way."""

    @pytest.mark.parametrize("fault", [Fault.CUT_BEFORE, Fault.CUT_AFTER], ids=["before", "after"])
    def test_cut(self, fault: Fault) -> None:
        """The connection is cut before the server has a commit, or after it has answered."""
        with self._proxy() as proxy:
            store = self._warm(proxy)
            for number in range(1, 4):
                self._strike(proxy, fault, store, number)
                self.insist(store, self.offer(number))
            self.check()

    @pytest.mark.slow
    @pytest.mark.timeout(180)
    @pytest.mark.parametrize("fault", [Fault.SILENCE_BEFORE, Fault.SILENCE_AFTER], ids=["before", "after"])
    def test_silence(self, fault: Fault) -> None:
        """No answer comes, and no error either: the client gives up by itself."""
        with self._proxy() as proxy:
            store = self._warm(proxy)
            self._strike(proxy, fault, store, 1)
            proxy.cut()
            self.insist(store, self.offer(1))
            self.check()

    def test_refused(self) -> None:
        """Nobody listens: an error that says so, and the same store works when somebody does again."""
        with self._proxy() as proxy:
            store = self._warm(proxy)
            proxy.refuse()
            error = self.attempt(store, self.offer(1))
            assert isinstance(error, TurnfoldError), "a commit was taken by nobody"
            proxy.accept()
            self.insist(store, self.offer(1))
            self.check()

    def test_slow(self) -> None:
        """Each packet is late, and few go through: slower, and right."""
        with self._proxy() as proxy:
            store = self._warm(proxy)
            proxy.delay_s, proxy.bytes_per_s = 0.02, SLOW_BYTES_PER_S
            for number in range(1, 9):
                self.ledger.write(store, self.offer(number))
            proxy.delay_s, proxy.bytes_per_s = 0.0, None
            self.check()

    def test_cut_while_many_write(self) -> None:
        """Connections are cut again and again under four threads that insist; each commit is taken once."""
        with self._proxy() as proxy:
            store = self._warm(proxy)
            errors: list[BaseException] = []

            def write(name: str) -> None:
                try:
                    for number in range(25):
                        self.insist(store, self.offer(number, name))
                except (TurnfoldError, AssertionError) as error:
                    errors.append(error)

            threads = [self.beside(lambda name=name: write(name)) for name in "abcd"]  # type: ignore[misc]
            for _ in range(CUTS):
                time.sleep(0.03)
                proxy.cut()
            for thread in threads:
                thread.join(60)
            assert errors == []
            assert self.check().acknowledged_count == 101

    def test_follower_is_cut(self) -> None:
        """A follower that begins again at its cursor after an error misses nothing and gets nothing twice."""
        with self._proxy() as proxy:
            direct = self.opened()
            self.ledger.write(direct, self.offer(0))
            with Client(self._warm(proxy), close_store=False) as client:
                seen: list[int] = []
                follower = self.beside(lambda: self.follow(client, seen))
                self.wait_until(lambda: bool(seen), 10)
                for number in range(1, 21):
                    self.ledger.write(direct, self.offer(number))
                    if number % 5 == 0:
                        proxy.cut()
                last = direct.last_seqs([SessionKey(TENANT, self.session_id)])[SessionKey(TENANT, self.session_id)][1]
                self.wait_until(lambda: seen[-1] >= last, 20)
                assert seen == list(range(1, last + 1))
                client.open(self.session_id).close()
                follower.join(20)
                assert not follower.is_alive()

    def _proxy(self) -> Proxy:
        return Proxy(self.can(lambda: self.place.port))

    def _warm(self, proxy: Proxy) -> Store:
        """A store behind the proxy that has written already, so that the next request is a commit."""
        store = self.opened(self.place.through(proxy.port))
        self.insist(store, self.offer(0))
        return store

    def _strike(self, proxy: Proxy, fault: Fault, store: Store, number: int) -> None:
        """Let a fault meet a commit; the client hears of it in time, or gets over it by itself."""
        offer = self.offer(number)
        proxy.arm(fault, self.place.needle or event_id(offer.writer, number, 0).encode())
        begin = time.monotonic()
        self.attempt(store, offer)
        took_s = time.monotonic() - begin
        assert proxy.struck.is_set(), "the fault met no commit"
        assert took_s < self.place.answer_s_max, f"a call took {took_s:.1f} s"
        if self.place.commits_at_once and fault in {Fault.CUT_AFTER, Fault.SILENCE_AFTER}:
            assert self._is_there(offer), "the server had answered, and the commit is not there"

    def _is_there(self, offer: Offer) -> bool:
        ids = {event.id for event in offer.commit().events}
        query = EventQuery(key=SessionKey(TENANT, offer.session_id), descending=True, limit=50)
        return ids <= {event.id for event in self.opened().read_events(query).events}
