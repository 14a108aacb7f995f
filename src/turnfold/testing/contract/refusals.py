"""The order of the checks: a commit that violates several raises the first of ids, lease, expected_seq, status, limits."""

from __future__ import annotations

from typing import Any

import pytest

from turnfold.errors import (
    AlreadyExists,
    IdempotencyConflict,
    LeaseLost,
    LimitExceeded,
    NotFound,
    SequenceConflict,
    SessionClosed,
    SessionNotFound,
    TurnfoldError,
)
from turnfold.model.commit import Commit, LimitCheck
from turnfold.model.event import NewEvent
from turnfold.model.session import SessionKey
from turnfold.testing.contract import build
from turnfold.testing.contract.base import ContractBase

NO_MORE = (LimitCheck("SESSION_EVENTS_MAX", "last_seq", 2),)
VIOLATIONS: tuple[tuple[type[TurnfoldError], dict[str, Any]], ...] = (
    (SessionNotFound, {"owner": "mallory"}),
    (IdempotencyConflict, {"ids": True}),
    (LeaseLost, {"lease": 99}),
    (SequenceConflict, {"expected_seq": 1}),
    (SessionClosed, {"status": True}),
    (LimitExceeded, {"limits": NO_MORE}),
)
PAIRS = [(first, second) for at, first in enumerate(VIOLATIONS) for second in VIOLATIONS[at + 1 :]]


class RefusalCases(ContractBase):
    """Which refusal a caller sees."""

    @pytest.mark.parametrize(
        ("first", "second"),
        PAIRS,
        ids=[f"{first[0].code}-before-{second[0].code}" for first, second in PAIRS],
    )
    def test_the_earlier_check_speaks(self, first: tuple[Any, dict[str, Any]], second: tuple[Any, dict[str, Any]]) -> None:
        key = self.create(owner="alice")
        self.append(key, build.event("known", id="known"))
        self.refused(first[0], self._violating(key, {**first[1], **second[1]}))

    def _violating(self, key: SessionKey, fields: dict[str, Any]) -> Commit:
        if fields.pop("status", False):
            self.step(key, "completed")
            if "expected_seq" not in fields:
                fields["expected_seq"] = 3
        items = [build.event("other text", id="known")] if fields.pop("ids", False) else ["new"]
        return build.commit(key, *items, **fields)

    @pytest.mark.parametrize(("error", "fields"), VIOLATIONS, ids=[item[0].code for item in VIOLATIONS])
    def test_each_check_alone(self, error: type[TurnfoldError], fields: dict[str, Any]) -> None:
        key = self.create(owner="alice")
        self.append(key, build.event("known", id="known"))
        self.refused(error, self._violating(key, dict(fields)))

    def test_sequence_conflict_says_where_the_session_is(self) -> None:
        key = self.create()
        self.append(key, "a", "b")
        error = self.refused(SequenceConflict, build.commit(key, "c", expected_seq=1))
        assert (error.current_seq, error.retryable) == (3, True)
        assert self.append(key, "c", expected_seq=3).first_seq == 4

    def test_expected_seq_of_a_session_to_create(self) -> None:
        key = self.key()
        assert self.refused(SequenceConflict, build.commit(key, "x", genesis=build.genesis(), expected_seq=1)).current_seq == 0
        assert self.append(key, "x", genesis=build.genesis(), expected_seq=0).created

    def test_one_of_many_conditional_appends_wins(self) -> None:
        key = self.create()
        results = self.together(12, lambda index: self.append(key, f"{index}", expected_seq=1))
        errors = [item for item in results if isinstance(item, SequenceConflict)]
        assert len(errors) == 11
        assert {error.current_seq for error in errors} == {2}
        assert self.head(key).info.last_seq == 2

    def test_guard_that_something_is_not_there(self) -> None:
        key = self.create()
        self.append(key, "x", build.branch_event("b", "main", 2), build.checkpoint_event("c", "main", 2))
        self.refused(AlreadyExists, build.commit(key, build.branch_event("b", "main", 1)))
        self.refused(AlreadyExists, build.commit(key, "text", build.checkpoint_event("c", "main", 1)))
        self.refused(AlreadyExists, build.commit(key, build.branch_event("main", "main", 1)))

    def test_guard_that_something_is_there(self) -> None:
        key = self.create()
        self.refused(NotFound, build.commit(key, build.checkpoint_event("c", "main", 1, deleted=True)))
        self.append(key, build.checkpoint_event("c", "main", 1))
        self.append(key, build.checkpoint_event("c", "main", 1, deleted=True))
        self.refused(NotFound, build.commit(key, build.checkpoint_event("c", "main", 1, deleted=True)))
        self.append(key, build.checkpoint_event("c", "main", 1))
        assert self.head(key).entry("checkpoint", "c") is not None

    def test_guards_within_one_commit(self) -> None:
        key = self.create()
        self.append(key, build.checkpoint_event("c", "main", 1), build.checkpoint_event("c", "main", 1, deleted=True))
        assert self.head(key).entry("checkpoint", "c") is None

    def test_guards_come_after_expected_seq_and_before_limits(self) -> None:
        key = self.create()
        self.append(key, build.checkpoint_event("c", "main", 1))
        again = build.checkpoint_event("c", "main", 1)
        self.refused(SequenceConflict, build.commit(key, again, expected_seq=1))
        self.refused(AlreadyExists, build.commit(key, again, limits=NO_MORE))

    def test_unknown_branch_is_refused(self) -> None:
        key = self.create()
        self.refused(NotFound, build.commit(key, "x", branch="nowhere"))
        self.refused(NotFound, build.commit(key, NewEvent(type="note", branch="nowhere")))
        self.refused(NotFound, build.commit(key, build.switch_event("nowhere")))

    def test_racing_guards_let_one_through(self) -> None:
        key = self.create()
        results = self.together(10, lambda index: self.append(key, build.branch_event("b", "main", 1), f"{index}"))
        assert sum(isinstance(item, AlreadyExists) for item in results) == 9
        assert self.head(key).info.branch_count == 2
