"""Clocks that jump forward and back: sessions and leases are not lost, and two holders never write at once."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from turnfold.errors import LeaseLost
from turnfold.model.session import Lease, SessionKey
from turnfold.ports.store import Store
from turnfold.testing.clock import FakeClock
from turnfold.testing.faults.cases.base import FaultBase
from turnfold.testing.faults.ledger import Ledger, Offer
from turnfold.testing.writers import TENANT

HOUR_US = 3_600_000_000
YEAR_US = 365 * 24 * HOUR_US
JUMPS_US = (-YEAR_US, -HOUR_US, -1, 1, 5_000_000, 31_000_000, HOUR_US, YEAR_US)
STEPS = 150
HOLDERS = ("a", "b", "c")
TTL_S = 30.0


class ClockCases(FaultBase):
    """With a clock of the test's own."""

    @pytest.fixture
    def clock(self) -> FakeClock:
        """The clock."""
        return FakeClock()

    @pytest.fixture
    def timed(self, clock: FakeClock) -> Iterator[Store]:
        """A store that goes by it."""
        store = self.can(lambda: self.place.open_with_clock(clock))
        try:
            yield store
        finally:
            store.close()

    def test_jumps_between_commits(self, timed: Store, clock: FakeClock) -> None:
        """A session without an end of its own outlives every jump; its order is that of the commits."""
        for number, jump in enumerate((*JUMPS_US, *reversed(JUMPS_US))):
            self.ledger.write(timed, self.offer(number))
            clock.advance(jump)
        assert timed.get_session(SessionKey(TENANT, self.session_id)).info.status == "active"
        self.ledger.check(timed)

    def test_clock_turned_back_under_a_lease(self, timed: Store, clock: FakeClock) -> None:
        """Who holds a lease goes on writing and renewing; nobody else gets it early."""
        key = self._session(timed)
        lease = timed.acquire_lease(key, "a", TTL_S)
        clock.advance(-YEAR_US)
        with pytest.raises(LeaseLost):
            timed.acquire_lease(key, "b", TTL_S)
        self._write(timed, 1, lease)
        renewed = timed.renew_lease(lease, TTL_S)
        self._write(timed, 2, renewed)
        clock.advance(int(TTL_S * 1_000_000) + 1)  # by the clock as it is now the lease is over
        heir = timed.acquire_lease(key, "b", TTL_S)
        with pytest.raises(LeaseLost):
            self._write(timed, 3, renewed)
        self._write(timed, 4, heir)
        timed.release_lease(heir)
        self._check(timed, 5)

    def test_clock_turned_forward_under_a_lease(self, timed: Store, clock: FakeClock) -> None:
        """The lease is over, as for a holder that slept; the fence keeps it out, and its session is there."""
        key = self._session(timed)
        lease = timed.acquire_lease(key, "a", TTL_S)
        clock.advance(YEAR_US)
        heir = timed.acquire_lease(key, "b", TTL_S)
        assert heir.fence > lease.fence
        clock.advance(-YEAR_US)  # and back: the first holder's time would hold again, its fence does not
        with pytest.raises(LeaseLost):
            timed.renew_lease(lease, TTL_S)
        with pytest.raises(LeaseLost):
            self._write(timed, 1, lease)
        self._write(timed, 2, heir)
        timed.release_lease(heir)
        self._check(timed, 3)

    @pytest.mark.parametrize("seed", range(4))
    def test_fences_under_any_jumps(self, timed: Store, clock: FakeClock, seed: int) -> None:
        """Whatever clock and holders do: fences rise, only the newest one writes, and what it wrote is there."""
        chance = random.Random(seed)
        key = self._session(timed)
        held: dict[str, Lease] = {}
        newest, number = 0, 0
        for _ in range(STEPS):
            holder = chance.choice(HOLDERS)
            action = chance.choice(("acquire", "renew", "write", "write", "write", "release", "jump"))
            mine = held.get(holder)
            if action == "jump":
                clock.advance(chance.choice(JUMPS_US))
            elif action == "acquire":
                try:
                    held[holder] = timed.acquire_lease(key, holder, TTL_S)
                except LeaseLost:
                    continue
                assert held[holder].fence > newest, "a fence was given out twice"
                newest = held[holder].fence
            elif mine is not None:
                number += action == "write"
                self._act(action, timed, mine, newest, number)
                if action == "release":
                    del held[holder]
        for lease in held.values():
            timed.release_lease(lease)
        self._check(timed, number + 1)

    def _act(self, action: str, timed: Store, lease: Lease, newest: int, number: int) -> None:
        try:
            if action == "write":
                self._write(timed, number, lease)
            elif action == "renew":
                assert timed.renew_lease(lease, TTL_S).fence == lease.fence
            else:
                timed.release_lease(lease)
                return
        except LeaseLost:
            return
        assert lease.fence == newest, f"fence {lease.fence} did {action} after {newest} was given out"

    def _session(self, timed: Store) -> SessionKey:
        self.ledger.write(timed, self.offer(0))
        return SessionKey(TENANT, self.session_id)

    def _write(self, timed: Store, number: int, lease: Lease) -> None:
        import msgspec

        offer = Offer(self.session_id, "self", number)
        done = timed.commit(msgspec.structs.replace(offer.commit(), lease=lease.fence))
        self.ledger.offer(offer)
        self.ledger.acknowledge(offer, done.first_seq, done.last_seq)

    def _check(self, timed: Store, beyond: int) -> None:
        """Nothing but what was taken is there; and the session takes events from everybody again."""
        acknowledged = Ledger()
        acknowledged.offers = dict(self.ledger.offers)
        acknowledged.check(timed)
        assert timed.commit(self.offer(beyond, "after").commit()).first_seq
