"""What runs behind the log: follower cursors, the list of changed sessions, seals, wake-ups; and the end of a store."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from turnfold.codec.residual import part_ref
from turnfold.codec.seal import leaf, seal_root
from turnfold.errors import SessionNotFound, StoreClosed
from turnfold.model.event import NewEvent, Seal
from turnfold.model.query import ChangedSession, EventQuery, SearchQuery, SessionQuery
from turnfold.model.run import Run
from turnfold.model.session import Lease, SessionKey
from turnfold.ports.store import FollowingWatch
from turnfold.testing.contract import build
from turnfold.testing.contract.base import SECOND_US, ContractBase

WAKE_S = 1.0


class FollowerCases(ContractBase):
    """Cursors move by compare-and-set; no changed session is missed."""

    def _advance(self, key: SessionKey, from_seq: int, to_seq: int, follower: str = "f", incarnation: str | None = None) -> bool:
        if incarnation is None:
            incarnation = self.head(key).info.incarnation
        return self.store.advance(follower, key, incarnation=incarnation, from_seq=from_seq, to_seq=to_seq)

    def _changed(self, follower: str = "f", limit: int = 100) -> dict[SessionKey, tuple[int, int]]:
        return {item.key: (item.follower_seq, item.last_seq) for item in self.store.changed_sessions(follower, limit)}

    def test_cursor(self) -> None:
        key = self.create()
        self.append(key, "a", "b")
        assert self.store.follower_seq("f", key) == 0
        assert self._advance(key, 0, 2)
        assert self.store.follower_seq("f", key) == 2
        assert not self._advance(key, 0, 3)
        assert self.store.follower_seq("f", key) == 2
        assert self._advance(key, 2, 3)
        assert self.store.follower_seq("g", key) == 0

    def test_cursor_of_what_is_not_there(self) -> None:
        key = self.key("missing")
        assert self.store.follower_seq("f", key) == 0
        assert not self._advance(key, 0, 1, incarnation="x")

    def test_cursor_of_a_dead_incarnation(self) -> None:
        key = self.create()
        dead = self.head(key).info.incarnation
        self.store.delete_session(key)
        self.create()
        assert not self._advance(key, 0, 1, incarnation=dead)
        assert self._changed() == {key: (0, 1)}

    def test_racing_followers_move_once(self) -> None:
        key = self.create()
        incarnation = self.head(key).info.incarnation
        assert self.together(8, lambda _index: self._advance(key, 0, 1, incarnation=incarnation)).count(True) == 1

    def test_changed_sessions(self) -> None:
        first, second = self.create("a"), self.create("b", "other")
        self.append(first, "x")
        assert self._changed() == {first: (0, 2), second: (0, 1)}
        assert self._advance(first, 0, 2)
        assert self._changed() == {second: (0, 1)}
        self.append(first, "y")
        assert self._changed() == {first: (2, 3), second: (0, 1)}
        assert self._advance(first, 2, 3)
        assert self._advance(second, 0, 1)
        assert self._changed() == {}

    def test_changed_says_which_creation(self) -> None:
        key = self.create()
        incarnation = self.head(key).info.incarnation
        assert self.store.changed_sessions("f", 1) == [ChangedSession(key, incarnation, 0, 1)]

    def test_followers_are_independent(self) -> None:
        key = self.create()
        assert self._advance(key, 0, 1, "f")
        assert (self._changed("f"), self._changed("g")) == ({}, {key: (0, 1)})

    def test_partly_followed_session_stays(self) -> None:
        key = self.create()
        self.append(key, "a", "b", "c")
        self._changed()
        assert self._advance(key, 0, 2)
        assert self._changed() == {key: (2, 4)}

    def test_none_is_missed_whatever_the_page(self) -> None:
        keys = {self.create(f"s{index}") for index in range(25)}
        seen: set[SessionKey] = set()
        while changed := self._changed(limit=4):
            assert len(changed) <= 4
            for key, (at, last) in changed.items():
                assert self._advance(key, at, last)
                seen.add(key)
            if len(seen) == 8:  # meanwhile somebody writes
                self.append(min(seen), "late")
        assert seen == keys
        assert self.store.follower_seq("f", min(keys)) == self.head(min(keys)).info.last_seq

    @pytest.mark.parametrize("later_s", [0, 2 * 86_400])
    def test_none_is_missed_when_the_clock_is_turned_back(self, later_s: int) -> None:
        """Whatever the clock says: what changes while it is behind is found, at once and when it has caught up."""
        keys = [self.create(name) for name in ("a", "b")]
        for key in (*keys, *keys):
            self.clock.advance(7_200 * SECOND_US)
            self.append(key, "x")
            for item in self.store.changed_sessions("f", 10):
                assert self._advance(item.key, item.follower_seq, item.last_seq)
        assert self._changed() == {}
        self.clock.advance(-86_400 * SECOND_US)
        born = self.create("c")
        self.append(keys[0], "while the clock is behind")
        self.clock.advance(later_s * SECOND_US)
        assert self._changed() == {born: (0, 1), keys[0]: (3, 4)}

    def test_none_is_missed_while_many_write(self) -> None:
        keys = [self.create(f"s{index}") for index in range(5)]
        done = threading.Event()

        def follow() -> dict[SessionKey, int]:
            at: dict[SessionKey, int] = {}
            while True:
                finished = done.is_set()
                changed = self.store.changed_sessions("f", 3)
                for item in changed:
                    if self.store.advance("f", item.key, incarnation=item.incarnation, from_seq=item.follower_seq, to_seq=item.last_seq):
                        at[item.key] = item.last_seq
                if finished and not changed:
                    return at

        def work(index: int) -> dict[SessionKey, int] | None:
            if index == 0:
                return follow()
            for turn in range(20):
                self.append(keys[(index + turn) % 5], "x")
            if writing.wait() == 0:  # the last writer says so
                done.set()
            return None

        writing = threading.Barrier(4)
        followed = self.together(5, work)[0]
        assert followed == {key: self.head(key).info.last_seq for key in keys}


class SealCases(ContractBase):
    """Seals are appended by compare-and-set on the previous root."""

    def test_chain(self) -> None:
        key = self.create()
        self.fill(key, 4)
        incarnation = self.head(key).info.incarnation
        events = self.log(key)
        assert self.store.read_seals(key) == []
        first = Seal(2, b"", seal_root(b"", 2, (leaf(event) for event in events[:2])), 11)
        second = Seal(5, first.root, seal_root(first.root, 5, (leaf(event) for event in events[2:])), 12, b"signature")
        assert not self.store.add_seal(key, second, incarnation=incarnation)
        assert self.store.add_seal(key, first, incarnation=incarnation)
        assert not self.store.add_seal(key, first, incarnation=incarnation)
        assert self.store.add_seal(key, second, incarnation=incarnation)
        assert self.store.read_seals(key) == [first, second]

    def test_is_no_event(self) -> None:
        key = self.create()
        before = self.head(key)
        assert self.store.add_seal(key, Seal(1, b"", b"r" * 32), incarnation=before.info.incarnation)
        assert self.head(key) == before

    def test_dead_incarnation_and_missing_session(self) -> None:
        key = self.create()
        assert not self.store.add_seal(key, Seal(1, b"", b"r" * 32), incarnation="another")
        assert not self.store.add_seal(self.key("missing"), Seal(1, b"", b"r" * 32), incarnation="x")
        with pytest.raises(SessionNotFound):
            self.store.read_seals(SessionKey("default", "missing"))

    def test_racing_sealers(self) -> None:
        key = self.create()
        incarnation = self.head(key).info.incarnation
        seals = [Seal(1, b"", bytes([index]) * 32) for index in range(8)]
        results = self.together(8, lambda index: self.store.add_seal(key, seals[index], incarnation=incarnation))
        assert results.count(True) == 1
        assert self.store.read_seals(key) == [seals[results.index(True)]]


class WatchCases(ContractBase):
    """``wake`` comes after each commit became visible."""

    def test_wakes_after_the_commit_is_visible(self) -> None:
        key = self.create()
        woken = threading.Event()
        watch = self.store.watch(woken.set)
        try:
            for seq in (2, 3, 4):
                woken.clear()
                self.append(key, "x")
                assert woken.wait(WAKE_S), "no wake-up within a second"
                assert self.store.last_seqs([key])[key][1] == seq
        finally:
            watch.close()

    def test_wakes_of_every_kind_of_commit(self) -> None:
        key = self.create()
        woken = threading.Event()
        watch = self.store.watch(woken.set)
        try:
            for commit in (
                build.commit(self.key("new"), genesis=build.genesis()),
                build.commit(key, build.state_event(a=1)),
                build.commit(key, build.status_event("completed"), lifecycle=True),
            ):
                woken.clear()
                self.write(commit)
                assert woken.wait(WAKE_S)
        finally:
            watch.close()

    def test_wakes_for_the_sessions_that_are_followed(self) -> None:
        key, other = self.create(), self.key("later")
        woken = threading.Event()
        watch = self.store.watch(woken.set)
        try:
            if isinstance(watch, FollowingWatch):
                watch.follow([key, other])
            for target in (key, other, key):
                woken.clear()
                self.append(target, "x", **({"genesis": build.genesis()} if target is other else {}))
                if isinstance(watch, FollowingWatch):
                    watch.follow([key, other])
                assert woken.wait(WAKE_S), "no wake-up within a second"
        finally:
            watch.close()

    def test_several_watches_and_their_end(self) -> None:
        key = self.create()
        first, second = threading.Event(), threading.Event()
        one, two = self.store.watch(first.set), self.store.watch(second.set)
        one.close()
        one.close()
        first.clear()
        self.append(key, "x")
        assert second.wait(WAKE_S)
        assert not first.is_set()
        two.close()

    def test_reading_in_the_callback(self) -> None:
        key = self.create()
        seen: list[int] = []
        ready = threading.Event()

        def wake() -> None:
            seen.append(self.store.last_seqs([key])[key][1])
            if seen[-1] == 2:
                ready.set()

        watch = self.store.watch(wake)
        try:
            self.append(key, "x")
            assert ready.wait(WAKE_S)
        finally:
            watch.close()


class EndCases(ContractBase):
    """Checking and closing."""

    def test_check_of_a_sound_store(self) -> None:
        key = self.create()
        events = self.fill(key, 9)
        for some in (events[5:6], events[7:10]):
            self.append(key, prune=(build.range_of(some),), lifecycle=True, change=build.without_counts(some))
        assert self.store.add_seal(key, Seal(1, b"", b"root"), incarnation=self.head(key).info.incarnation)
        self._use_everything(key)
        assert self.store.check().problems == ()

    def _use_everything(self, key: SessionKey) -> None:
        """Leave a row of every kind, whatever it is kept in."""
        self.append(key, build.branch_event("b", "main", 2), build.checkpoint_event("mark", "main", 2), build.state_event("b", a=1))
        self.append(key, "x", runs=(Run(id="r", session_id="s1"),), parts=((part_ref(b"x"), b"x"),))
        self.append(key, NewEvent(type="note", data={}, source=b"line", visible_to=("a",)))
        self.store.acquire_lease(key, "worker", 60)
        self.index_all()
        self.store.advance("f", key, incarnation=self.head(key).info.incarnation, from_seq=0, to_seq=3)
        self.store.delete_session(self.create("deleted", owner="alice", tags=["tag"]))

    def test_what_it_says_of_itself(self) -> None:
        assert isinstance(self.store.url, str)
        assert isinstance(self.store.capabilities, frozenset)

    def test_close_is_idempotent_and_final(self) -> None:
        key = self.create()
        commit = build.commit(key, "x")
        watch = self.store.watch(lambda: None)
        self.store.close()
        self.store.close()
        watch.close()
        calls: list[Callable[[], object]] = [
            lambda: self.store.commit(commit),
            lambda: self.store.read_events(EventQuery(key=key)),
            lambda: self.store.get_session(key),
            lambda: self.store.list_sessions(SessionQuery(tenant="default")),
            lambda: self.store.last_seqs([key]),
            lambda: self.store.get_run(key, "r"),
            lambda: self.store.list_runs(key),
            lambda: self.store.read_part(key, "sha256:0"),
            lambda: self.store.search(SearchQuery(tenant="default", terms=("x",))),
            lambda: self.store.delete_session(key),
            lambda: self.store.acquire_lease(key, "h", 1),
            lambda: self.store.renew_lease(Lease(*key, "h", 1, 0), 1),
            lambda: self.store.release_lease(Lease(*key, "h", 1, 0)),
            lambda: self.store.changed_sessions("f", 1),
            lambda: self.store.advance("f", key, incarnation="i", from_seq=0, to_seq=1),
            lambda: self.store.follower_seq("f", key),
            lambda: self.store.read_seals(key),
            lambda: self.store.add_seal(key, Seal(1, b"", b""), incarnation="i"),
            lambda: self.store.watch(lambda: None),
            self.store.check,
            self.store.compact,
            self.store.migrate,
        ]
        for call in calls:
            with pytest.raises(StoreClosed):
                call()
        with pytest.raises(StoreClosed):  # as a whole, or each commit on its own
            for outcome in self.store.commit_many([commit]):
                assert isinstance(outcome, Exception)
                raise outcome
