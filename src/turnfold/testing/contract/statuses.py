"""The lifecycle table, limits, expiry and run rows: everything a commit is guarded by beside its place in the log."""

from __future__ import annotations

import pytest

from turnfold.core.lifecycle import APPENDABLE, RUN, SESSION, STATUSES, refusal
from turnfold.errors import (
    InvalidTransition,
    LimitExceeded,
    NotFound,
    SessionClosed,
    SessionExpired,
    SessionSuspended,
)
from turnfold.model.commit import LimitCheck, StatusChange
from turnfold.model.event import NewEvent
from turnfold.model.message import assistant, user
from turnfold.model.run import Run
from turnfold.model.session import SessionKey
from turnfold.model.usage import Usage
from turnfold.testing.contract import build
from turnfold.testing.contract.base import ContractBase, only_errors

PATHS: dict[str, tuple[str, ...]] = {
    "pending": (),
    "active": (),
    "suspended": ("suspended",),
    "completed": ("completed",),
    "failed": ("failed",),
    "cancelled": ("cancelled",),
    "expired": ("expired",),
    "archived": ("archived",),
}


class LifecycleCases(ContractBase):
    """Every pair of the table, through the store."""

    def _in_status(self, status: str) -> SessionKey:
        key = self.create(f"in-{status}", status="pending" if status == "pending" else "active")
        for step in PATHS[status]:
            self.step(key, step)
        return key

    @pytest.mark.parametrize("current", STATUSES)
    def test_every_step_from(self, current: str) -> None:
        for target in STATUSES:
            key = self._in_status(current)
            commit = build.commit(key, build.status_event(target, reason="because"), lifecycle=True)
            if target in SESSION[current]:
                self.write(commit)
                info = self.head(key).info
                assert (info.status, info.end_reason) == (target, "because")
            else:
                self.refused(InvalidTransition, commit)
                assert self.head(key).info.status == current
            self.store.delete_session(key)

    @pytest.mark.parametrize("current", STATUSES)
    def test_ordinary_events_need_an_active_session(self, current: str) -> None:
        key = self._in_status(current)
        if current in APPENDABLE:
            assert self.append(key, "x").first_seq == 2
        else:
            self.refused(type(refusal("s", current)), build.commit(key, "x"))

    def test_which_refusal_it_is(self) -> None:
        self.refused(SessionSuspended, build.commit(self._in_status("suspended"), "x"))
        self.refused(SessionSuspended, build.commit(self._in_status("pending"), "x"))
        self.refused(SessionExpired, build.commit(self._in_status("expired"), "x"))
        self.refused(SessionClosed, build.commit(self._in_status("archived"), "x"))

    def test_status_change_that_is_no_lifecycle_step_needs_an_active_session(self) -> None:
        key = self._in_status("suspended")
        self.refused(SessionSuspended, build.commit(key, "x", build.status_event("active")))

    def test_steps_within_one_commit(self) -> None:
        key = self.create()
        self.append(key, build.status_event("suspended"), build.status_event("active"), build.status_event("completed"), lifecycle=True)
        assert self.head(key).info.status == "completed"

    def test_lifecycle_commit_without_a_status_change_is_always_allowed(self) -> None:
        key = self._in_status("completed")
        assert self.append(key, NewEvent(type="redaction", data={"targets": []}), lifecycle=True).first_seq == 3

    def test_terminal_session_is_readable(self) -> None:
        key = self._in_status("completed")
        assert self.seqs(key) == [1, 2]

    def test_racing_steps_let_one_through(self) -> None:
        key = self.create()
        targets = ("completed", "failed", "cancelled", "expired")
        results = self.together(8, lambda index: self.step(key, targets[index % 4]))
        errors = only_errors(results)
        assert len(errors) == 7
        assert all(isinstance(error, InvalidTransition) for error in errors)

    def test_complete_a_pending_session(self) -> None:
        """B2: nothing completes that never was active."""
        self.refused(InvalidTransition, build.commit(self._in_status("pending"), build.status_event("completed"), lifecycle=True))

    def test_guard_is_the_commits_own(self) -> None:
        key = self.create()
        change = build.commit(key, build.status_event("suspended")).change
        never = StatusChange("suspended", frozenset({"pending"}))
        guarded = build.commit(key, build.status_event("suspended"), lifecycle=True)
        self.refused(InvalidTransition, build.replace(guarded, change=build.replace(change, status=never)))


class LimitCases(ContractBase):
    """Limits are enforced inside the commit, and exact."""

    def test_each_counter(self) -> None:
        cases: list[tuple[str, int, build.Item, build.Item]] = [
            ("turn_count", 1, user("x"), assistant("x")),
            ("message_count", 2, assistant("x"), NewEvent(type="note")),
            ("branch_count", 2, build.branch_event("b2", "main", 2), "x"),
            ("checkpoint_count", 1, build.checkpoint_event("c2", "main", 2), "x"),
        ]
        for counter, at, over, under in cases:
            key = self.create(counter)
            self.append(key, user("one"), assistant("two"), build.branch_event("b", "main", 2), build.checkpoint_event("c", "main", 2))
            check = (LimitCheck(f"SESSION_{counter.upper()}_MAX", counter, at),)
            error = self.refused(LimitExceeded, build.commit(key, over, limits=check))
            assert error.details["limit"] == check[0].limit
            assert error.details["value"] == at
            self.append(key, over, limits=(LimitCheck("roomy", counter, at + 1),))
            self.append(key, under, limits=(LimitCheck("roomy", counter, 1_000),))

    def test_last_seq(self) -> None:
        key = self.create()
        limit = (LimitCheck("SESSION_EVENTS_MAX", "last_seq", 3),)
        self.refused(LimitExceeded, build.commit(key, "a", "b", "c", limits=limit))
        self.append(key, "a", "b", limits=limit)
        self.refused(LimitExceeded, build.commit(key, "c", limits=limit))

    def test_what_does_not_count_is_not_limited(self) -> None:
        key = self.create()
        self.append(key, "a", "b")
        self.append(key, NewEvent(type="note"), limits=(LimitCheck("lowered", "message_count", 1),))

    def test_genesis_counts(self) -> None:
        limit = (LimitCheck("SESSION_EVENTS_MAX", "last_seq", 2),)
        key = self.key()
        self.refused(LimitExceeded, build.commit(key, "a", "b", genesis=build.genesis(), limits=limit))
        assert self.append(key, "a", genesis=build.genesis(), limits=limit).created

    def test_deleting_a_checkpoint_makes_room(self) -> None:
        key = self.create()
        limit = (LimitCheck("SESSION_CHECKPOINTS_MAX", "checkpoint_count", 1),)
        self.append(key, build.checkpoint_event("a", "main", 1), limits=limit)
        self.refused(LimitExceeded, build.commit(key, build.checkpoint_event("b", "main", 1), limits=limit))
        self.append(key, build.checkpoint_event("a", "main", 1, deleted=True), limits=limit)
        self.append(key, build.checkpoint_event("b", "main", 1), limits=limit)

    def test_a_checkpoint_takes_anothers_place_in_one_commit(self) -> None:
        key = self.create()
        limit = (LimitCheck("SESSION_CHECKPOINTS_MAX", "checkpoint_count", 2),)
        self.append(key, build.checkpoint_event("a", "main", 1), build.checkpoint_event("b", "main", 1), limits=limit)

        def replace(index: int) -> object:
            gone = build.checkpoint_event("a", "main", 1, deleted=True)
            return self.append(key, gone, build.checkpoint_event(f"c{index}", "main", 1), limits=limit)

        outcomes = self.together(8, replace)
        refused = [outcome for outcome in outcomes if isinstance(outcome, Exception)]
        assert len(refused) == 7
        assert all(isinstance(error, NotFound) for error in refused), "the place was taken by the first"
        names = [entry.name for entry in self.head(key).entries if entry.kind == "checkpoint"]
        assert names[0] == "b"
        assert len(names) == 2
        self.refused(LimitExceeded, build.commit(key, build.checkpoint_event("d", "main", 1), limits=limit))

    def test_exact_under_concurrency(self) -> None:
        key = self.create()
        limit = (LimitCheck("SESSION_TURNS_MAX", "turn_count", 7),)
        results = self.together(20, lambda index: self.append(key, f"{index}", limits=limit))
        errors = only_errors(results)
        assert len(errors) == 13
        assert all(isinstance(error, LimitExceeded) for error in errors)
        assert self.head(key).info.turn_count == 7

    def test_sessions_of_an_owner(self) -> None:
        def create(name: str, owner: str) -> None:
            genesis = build.genesis(owner=owner, owner_sessions_max=2)
            self.write(build.commit(self.key(name), genesis=genesis))

        create("a1", "alice")
        create("a2", "alice")
        create("b1", "bob")
        with pytest.raises(LimitExceeded) as caught:
            create("a3", "alice")
        assert caught.value.details["limit"] == "owner_sessions_max"
        create("a1", "alice")  # joins
        self.step(self.key("a2"), "completed")
        create("a3", "alice")
        self.store.delete_session(self.key("a3"))
        create("a4", "alice")

    def test_sessions_of_an_owner_exact_under_concurrency(self) -> None:
        def create(index: int) -> None:
            self.write(build.commit(self.key(f"s{index}"), genesis=build.genesis(owner="alice", owner_sessions_max=5)))

        results = self.together(20, create)
        errors = only_errors(results)
        assert len(errors) == 15
        assert all(isinstance(error, LimitExceeded) for error in errors)


class RunCases(ContractBase):
    """Run rows travel with the commit."""

    def _run(self, run_id: str = "r1", status: str = "running", **fields: object) -> Run:
        return Run(id=run_id, session_id="s1", status=status, **fields)  # type: ignore[arg-type]

    def test_row_is_written_and_replaced_whole(self) -> None:
        key = self.create()
        first = self._run(provider="p", model="m", started_at_us=5, usage=Usage(1, 2), data={"a": [1, None, "ä"]})
        self.append(key, NewEvent(type="run.started", run_id="r1"), runs=(first,))
        assert self.store.get_run(key, "r1") == first
        last = self._run(status="completed", ended_at_us=9)
        self.append(key, NewEvent(type="run.completed", run_id="r1"), runs=(last,))
        assert self.store.get_run(key, "r1") == last
        assert self.store.list_runs(key) == [last]

    @pytest.mark.parametrize("current", RUN)
    def test_transitions(self, current: str) -> None:
        for target in RUN:
            key = self.create()
            self.append(key, runs=(self._run(status=current),))
            if target == current or target in RUN[current]:
                self.append(key, "x", runs=(self._run(status=target),))
                assert self.store.get_run(key, "r1").status == target
            else:
                self.refused(InvalidTransition, build.commit(key, "x", runs=(self._run(status=target),)))
            self.store.delete_session(key)

    def test_rows_go_with_their_commit(self) -> None:
        key = self.create()
        with pytest.raises(NotFound):
            self.store.get_run(key, "r1")
        limit = (LimitCheck("tight", "message_count", 0),)
        self.refused(LimitExceeded, build.commit(key, "x", runs=(self._run(),), limits=limit))
        assert self.store.list_runs(key) == []

    def test_list_newest_id_first(self) -> None:
        key = self.create()
        other = self.create("s2")
        for run_id in ("02", "03", "01"):
            self.append(key, runs=(self._run(run_id, "completed" if run_id == "03" else "running"),))
        self.append(other, runs=(Run(id="09", session_id="s2"),))
        assert [run.id for run in self.store.list_runs(key)] == ["03", "02", "01"]
        assert [run.id for run in self.store.list_runs(key, status="running")] == ["02", "01"]
        assert [run.id for run in self.store.list_runs(key, limit=1)] == ["03"]
        assert [run.id for run in self.store.list_runs(key, status="running", limit=1)] == ["02"]

    def test_repeated_commit_does_not_turn_a_run_back(self) -> None:
        key = self.create()
        start = build.commit(key, NewEvent(type="run.started"), runs=(self._run(),))
        self.write(start)
        self.append(key, runs=(self._run(status="completed"),))
        assert self.write(start).repeated
        assert self.store.get_run(key, "r1").status == "completed"
