"""Expiry by the store's clock, on every read, list and commit, without a sweeper."""

from __future__ import annotations

from turnfold.errors import LimitExceeded, SessionExpired
from turnfold.model.event import NewEvent
from turnfold.model.query import SessionQuery
from turnfold.testing.contract import build
from turnfold.testing.contract.base import SECOND_US, ContractBase


class ExpiryCases(ContractBase):
    """``expires_at`` and sliding time to live."""

    def test_fixed_expiry(self) -> None:
        key = self.create(expires_at_us=self.clock() + 10 * SECOND_US)
        self.clock.advance(10 * SECOND_US - 1)
        self.append(key, "in time")
        self.clock.advance(1)
        self.refused(SessionExpired, build.commit(key, "late"))
        info = self.head(key).info
        assert (info.status, info.expires_at_us, info.last_seq) == ("expired", self.clock(), 2)
        assert self.seqs(key) == [1, 2]

    def test_sliding_time_to_live(self) -> None:
        key = self.create(ttl_s=10)
        assert self.head(key).info.expires_at_us == self.clock() + 10 * SECOND_US
        for _ in range(3):
            self.clock.advance(9 * SECOND_US)
            self.append(key, "still here")
        assert self.head(key).info.expires_at_us == self.clock() + 10 * SECOND_US
        assert self.head(key).ttl_s == 10
        self.clock.advance(10 * SECOND_US)
        self.refused(SessionExpired, build.commit(key, "late"))

    def test_reading_does_not_slide(self) -> None:
        key = self.create(ttl_s=10)
        self.clock.advance(9 * SECOND_US)
        self.seqs(key)
        self.head(key)
        self.clock.advance(SECOND_US)
        assert self.head(key).info.status == "expired"

    def test_lists_say_expired(self) -> None:
        self.create("short", ttl_s=10)
        self.create("long", ttl_s=1_000)
        self.create("ever")
        self.clock.advance(10 * SECOND_US)
        rows, _ = self.store.list_sessions(SessionQuery(tenant="default", status="expired"))
        assert [(row.id, row.status) for row in rows] == [("short", "expired")]
        rows, _ = self.store.list_sessions(SessionQuery(tenant="default", status="active"))
        assert {row.id for row in rows} == {"long", "ever"}

    def test_expiry_may_be_moved_and_cleared(self) -> None:
        key = self.create(expires_at_us=self.clock() + 10 * SECOND_US)
        self.append(key, NewEvent(type="session.updated", data={"expires_at_us": self.clock() + 20 * SECOND_US}))
        self.clock.advance(15 * SECOND_US)
        self.append(key, NewEvent(type="session.updated", data={"expires_at_us": 0}))
        assert self.head(key).info.expires_at_us is None
        self.clock.advance(1_000 * SECOND_US)
        self.append(key, "ever")

    def test_expired_session_may_be_archived_or_marked_only(self) -> None:
        for name, status in (("a", "archived"), ("b", "expired")):
            key = self.create(name, ttl_s=10)
            self.clock.advance(11 * SECOND_US)
            self.refused(SessionExpired, build.commit(key, build.status_event("completed"), lifecycle=True))
            self.step(key, status)
            assert self.head(key).info.status == status

    def test_suspended_sessions_expire_and_ended_ones_do_not(self) -> None:
        for name, status, later in (("a", "suspended", "expired"), ("b", "completed", "completed")):
            key = self.create(name, ttl_s=10)
            self.step(key, status)
            self.clock.advance(11 * SECOND_US)
            assert self.head(key).info.status == later

    def test_expired_session_is_erasable(self) -> None:
        key = self.create(ttl_s=10)
        self.clock.advance(11 * SECOND_US)
        self.append(key, NewEvent(type="redaction", data={"targets": []}), lifecycle=True)

    def test_expired_sessions_do_not_count_against_the_owner(self) -> None:
        def create(name: str) -> None:
            self.write(build.commit(self.key(name), genesis=build.genesis(owner="alice", ttl_s=10, owner_sessions_max=1)))

        create("one")
        error = None
        try:
            create("two")
        except LimitExceeded as caught:
            error = caught
        assert error is not None
        self.clock.advance(10 * SECOND_US)
        create("two")
