"""Idempotency: a repeated commit gives the original places, anything half-known is refused, per session."""

from __future__ import annotations

from turnfold.errors import IdempotencyConflict
from turnfold.limits import IDEMPOTENCY_EVENTS
from turnfold.model.commit import Committed
from turnfold.model.event import NewEvent
from turnfold.ports.store import IDEMPOTENCY_WINDOW
from turnfold.testing.contract import build
from turnfold.testing.contract.base import ContractBase, only_errors


class IdempotencyCases(ContractBase):
    """What the ids of events do."""

    def test_repeated_commit_gives_the_original_places(self) -> None:
        key = self.create()
        commit = build.commit(key, "a", "b")
        first = self.write(commit)
        self.append(key, "c")
        again = self.write(commit)
        assert (again.first_seq, again.last_seq, again.repeated, again.seqs) == (first.first_seq, first.last_seq, True, None)
        assert again.incarnation == first.incarnation
        assert self.seqs(key) == [1, 2, 3, 4]

    def test_repeated_creating_commit(self) -> None:
        commit = build.commit(self.key(), "a", genesis=build.genesis())
        first, again = self.write(commit), self.write(commit)
        assert (first.created, again.created, again.repeated) == (True, False, True)
        assert (first.first_seq, again.first_seq) == (2, 2)

    def test_prepared_anew_with_another_salt_is_a_repeat(self) -> None:
        key = self.create()
        self.append(key, build.event("a", id="x"))
        again = self.append(key, build.event("a", id="x"))
        assert (again.first_seq, again.repeated) == (2, True)

    def test_repeat_in_other_commits_names_each_place(self) -> None:
        key = self.create()
        a, b, c = (build.event(text, id=text) for text in "abc")
        self.append(key, a, b, c)
        again = self.append(key, c, a)
        assert (again.repeated, again.seqs) == (True, (4, 2))

    def test_partly_known_commit_is_refused(self) -> None:
        key = self.create()
        known = build.event("a")
        self.append(key, known)
        self.refused(IdempotencyConflict, build.commit(key, known, "new"))
        self.refused(IdempotencyConflict, build.commit(key, "new", known))

    def test_other_content_is_refused(self) -> None:
        key = self.create()
        self.append(key, build.event("a", id="x"))
        self.refused(IdempotencyConflict, build.commit(key, build.event("b", id="x")))
        self.refused(IdempotencyConflict, build.commit(key, build.event("a", id="x", actor="somebody")))
        self.refused(IdempotencyConflict, build.commit(key, build.event("a", id="x", at_us=1)))
        self.refused(IdempotencyConflict, build.commit(key, build.event(NewEvent(type="other", data={}), id="x")))

    def test_one_id_twice_in_a_commit_is_refused(self) -> None:
        key = self.create()
        self.refused(IdempotencyConflict, build.commit(key, build.event("a", id="x"), build.event("b", id="x")))

    def test_same_id_in_two_sessions_and_tenants(self) -> None:
        keys = [self.create("s1"), self.create("s2"), self.create("s1", "other")]
        for key in keys:
            assert self.append(key, build.event(f"for {key}", id="same")).repeated is False
        assert [self.log(key)[1].data["parts"][0]["content"] for key in keys] == [f"for {key}" for key in keys]

    def test_repeat_wins_over_everything_else(self) -> None:
        key = self.create()
        commit = build.commit(key, "a", expected_seq=1)
        self.write(commit)
        self.step(key, "completed")
        assert self.write(commit).repeated

    def test_ids_are_known_however_long_ago(self) -> None:
        """On a store that says so, for the last ``IDEMPOTENCY_EVENTS`` events."""
        key = self.create()
        old = build.commit(key, "old")
        self.write(old)
        after = IDEMPOTENCY_EVENTS - 1 if IDEMPOTENCY_WINDOW in self.store.capabilities else IDEMPOTENCY_EVENTS + 100
        self.fill(key, after)
        assert (self.write(old).repeated, self.head(key).info.last_seq) == (True, after + 2)

    def test_repeat_of_more_events_than_a_store_remembers(self) -> None:
        key = self.create()
        large = build.commit(key, *(f"{index}" for index in range(IDEMPOTENCY_EVENTS + 200)))
        self.write(large)
        again = self.write(large)
        assert (again.repeated, again.first_seq, again.last_seq, again.seqs) == (True, 2, IDEMPOTENCY_EVENTS + 201, None)
        self.refused(IdempotencyConflict, build.commit(key, "new", *large.events))

    def test_id_of_genesis_counts(self) -> None:
        key = self.key()
        genesis = build.genesis()
        self.write(build.commit(key, genesis=genesis))
        assert self.append(key, genesis.event).first_seq == 1

    def test_racing_repeats_write_once(self) -> None:
        key = self.create()
        commit = build.commit(key, "a", "b")
        results = self.together(10, lambda _index: self.write(commit))
        assert only_errors(results) == []
        assert sum(item.repeated for item in results if isinstance(item, Committed)) == 9
        assert self.seqs(key) == [1, 2, 3]
