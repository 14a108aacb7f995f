"""Leases: fencing tokens that keep out whoever lost the right to write."""

from __future__ import annotations

import pytest

from turnfold.errors import InvalidInput, LeaseLost, SessionNotFound
from turnfold.limits import LEASE_TTL_S_MAX
from turnfold.model.session import Lease
from turnfold.testing.contract import build
from turnfold.testing.contract.base import SECOND_US, ContractBase, only_errors


class LeaseCases(ContractBase):
    """acquire, renew, release, and commits with and without a token."""

    def test_life_of_a_lease(self) -> None:
        key = self.create()
        lease = self.store.acquire_lease(key, "worker-1", 30)
        assert (lease.tenant, lease.session_id, lease.holder) == (key.tenant, key.session_id, "worker-1")
        assert lease.expires_at_us == self.clock() + 30 * SECOND_US
        assert self.append(key, "with token", lease=lease.fence).first_seq == 2
        self.refused(LeaseLost, build.commit(key, "without token"))
        self.refused(LeaseLost, build.commit(key, "wrong token", lease=lease.fence + 1))
        self.store.release_lease(lease)
        self.refused(LeaseLost, build.commit(key, "spent token", lease=lease.fence))
        assert self.append(key, "unleased again").first_seq == 3

    def test_token_on_a_session_never_leased(self) -> None:
        self.refused(LeaseLost, build.commit(self.create(), "x", lease=1))

    def test_held_lease_keeps_others_out(self) -> None:
        key = self.create()
        lease = self.store.acquire_lease(key, "one", 30)
        with pytest.raises(LeaseLost):
            self.store.acquire_lease(key, "two", 30)
        assert self.append(key, "still mine", lease=lease.fence).first_seq == 2

    def test_same_holder_gets_a_new_fence(self) -> None:
        key = self.create()
        first = self.store.acquire_lease(key, "one", 30)
        second = self.store.acquire_lease(key, "one", 30)
        assert second.fence > first.fence
        self.refused(LeaseLost, build.commit(key, "late", lease=first.fence))
        assert self.append(key, "x", lease=second.fence).first_seq == 2

    def test_expired_lease_is_anybodys(self) -> None:
        key = self.create()
        dead = self.store.acquire_lease(key, "dead", 10)
        self.clock.advance(10 * SECOND_US)
        heir = self.store.acquire_lease(key, "heir", 10)
        assert heir.fence > dead.fence
        self.refused(LeaseLost, build.commit(key, "from the dead", lease=dead.fence))
        with pytest.raises(LeaseLost):
            self.store.renew_lease(dead, 10)
        self.store.release_lease(dead)  # no error, and not the heir's
        assert self.append(key, "x", lease=heir.fence).first_seq == 2

    def test_renewing_moves_the_expiry(self) -> None:
        key = self.create()
        lease = self.store.acquire_lease(key, "one", 10)
        self.clock.advance(9 * SECOND_US)
        renewed = self.store.renew_lease(lease, 10)
        assert (renewed.fence, renewed.expires_at_us) == (lease.fence, self.clock() + 10 * SECOND_US)
        self.clock.advance(9 * SECOND_US)
        with pytest.raises(LeaseLost):
            self.store.acquire_lease(key, "two", 10)

    def test_expired_or_released_lease_is_not_renewed(self) -> None:
        key = self.create()
        lease = self.store.acquire_lease(key, "one", 10)
        self.clock.advance(10 * SECOND_US)
        with pytest.raises(LeaseLost):
            self.store.renew_lease(lease, 10)
        lease = self.store.acquire_lease(key, "one", 10)
        self.store.release_lease(lease)
        with pytest.raises(LeaseLost):
            self.store.renew_lease(lease, 10)

    def test_fences_rise_over_release_and_creation(self) -> None:
        key = self.create()
        fences: list[int] = []
        for _ in range(2):
            lease = self.store.acquire_lease(key, "one", 10)
            self.store.release_lease(lease)
            fences.append(lease.fence)
        self.store.delete_session(key)
        self.create()
        fences.append(self.store.acquire_lease(key, "one", 10).fence)
        assert fences == sorted(set(fences))
        self.refused(LeaseLost, build.commit(key, "from the dead", lease=fences[0]))

    def test_one_of_many_gets_it(self) -> None:
        key = self.create()
        results = self.together(10, lambda index: self.store.acquire_lease(key, f"worker-{index}", 30))
        assert sum(isinstance(item, Lease) for item in results) == 1
        assert all(isinstance(error, LeaseLost) for error in only_errors(results))

    def test_lease_is_no_event(self) -> None:
        key = self.create()
        before = self.head(key)
        self.store.release_lease(self.store.acquire_lease(key, "one", 10))
        assert self.head(key) == before

    def test_no_lease_on_what_is_not_there(self) -> None:
        with pytest.raises(SessionNotFound):
            self.store.acquire_lease(self.key("missing"), "one", 10)
        self.store.release_lease(Lease("default", "missing", "one", 1, 0))

    @pytest.mark.parametrize("ttl_s", [0, -1, LEASE_TTL_S_MAX + 1])
    def test_time_to_live_has_bounds(self, ttl_s: float) -> None:
        key = self.create()
        with pytest.raises(InvalidInput):
            self.store.acquire_lease(key, "one", ttl_s)

    def test_leased_session_refuses_tokenless_lifecycle_steps_too(self) -> None:
        key = self.create()
        lease = self.store.acquire_lease(key, "one", 10)
        self.refused(LeaseLost, build.commit(key, build.status_event("completed"), lifecycle=True))
        self.step(key, "completed", lease=lease.fence)
