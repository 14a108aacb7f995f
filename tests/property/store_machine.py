"""Random commits on a store against a tiny model of what a store is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, precondition, rule

from turnfold.core.fold import fold_head
from turnfold.core.lifecycle import SESSION
from turnfold.core.redaction import redact_of
from turnfold.errors import (
    AlreadyExists,
    IdempotencyConflict,
    InvalidTransition,
    SequenceConflict,
    SessionNotFound,
    TurnfoldError,
)
from turnfold.model.commit import Commit
from turnfold.model.event import Event, NewEvent
from turnfold.model.query import EventQuery
from turnfold.model.session import SessionKey
from turnfold.ports.store import Store
from turnfold.testing.clock import FakeClock
from turnfold.testing.contract import build

KEYS = [SessionKey("t", "a"), SessionKey("t", "b"), SessionKey("u", "a")]
NAMES = ["x", "y", "z"]


class ModelSession:
    """A log as a list of (id, branch), and a few fields."""

    def __init__(self) -> None:
        self.log: list[tuple[str, str] | None] = []
        self.status = "active"
        self.active = "main"
        self.branches: dict[str, tuple[str, int]] = {}
        self.state: dict[tuple[str, str], int] = {}

    def view(self, name: str, upto: int) -> list[int]:
        """The seqs that a branch sees, by recursion."""
        fork_seq, inherited = 0, list[int]()
        if name != "main":
            parent, fork_seq = self.branches[name]
            inherited = self.view(parent, min(fork_seq, upto))
        own = [seq for seq, item in enumerate(self.log, 1) if item is not None and item[1] == name and fork_seq < seq <= upto]
        return inherited + own


class StoreMachine(RuleBasedStateMachine):
    """Rules that write, and invariants that read everything back."""

    done = Bundle("done")

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.store = self.make_store(self.clock)
        self.model: dict[SessionKey, ModelSession] = {}

    def make_store(self, clock: FakeClock) -> Store:
        """Return an empty store."""
        raise NotImplementedError

    def teardown(self) -> None:
        self.store.close()

    # ---- writing ---------------------------------------------------------------------------------------------------------------------
    def _write(self, commit: Commit, model: ModelSession, branch: str | None = None) -> None:
        """Commit events that must be taken, and note them."""
        self.clock.advance(1)
        first = len(model.log) + 1
        place = self.store.commit(commit)
        assert (place.first_seq, place.last_seq) == (first, first + len(commit.events) - 1)
        default = branch or model.active
        model.log += [(event.id, event.branch or default) for event in commit.events]

    @rule(target=done, key=st.sampled_from(KEYS), texts=st.lists(st.text(max_size=5), min_size=1, max_size=3))
    def append(self, key: SessionKey, texts: list[str]) -> Any:
        model = self.model.get(key)
        commit = build.commit(key, *texts, genesis=None if model else build.genesis())
        if model is None:
            model = self.model[key] = ModelSession()
            model.log.append((commit.genesis.event.id if commit.genesis else "", "main"))
        if model.status != "active":
            with pytest.raises(TurnfoldError):
                self.store.commit(commit)
            return multiple()
        self._write(commit, model)
        return commit

    @rule(key=st.sampled_from(KEYS))
    def append_to_what_is_missing(self, key: SessionKey) -> None:
        if key not in self.model:
            with pytest.raises(SessionNotFound):
                self.store.commit(build.commit(key, "x"))

    @rule(commit=done)
    def repeat(self, commit: Commit) -> None:
        model = self.model.get(commit.key)
        ids = [] if model is None else [item[0] if item else "" for item in model.log]
        if model is not None and commit.events[0].id in ids:
            answer = self.store.commit(commit)
            assert answer.repeated
            assert answer.first_seq == ids.index(commit.events[0].id) + 1

    @rule(commit=done, text=st.text(max_size=5))
    def repeat_half(self, commit: Commit, text: str) -> None:
        model = self.model.get(commit.key)
        if model is not None and any(item and item[0] == commit.events[0].id for item in model.log):
            with pytest.raises(IdempotencyConflict):
                self.store.commit(build.commit(commit.key, commit.events[0], text))

    @rule(key=st.sampled_from(KEYS), off=st.integers(-1, 1))
    def conditional(self, key: SessionKey, off: int) -> None:
        model = self.model.get(key)
        if model is None or model.status != "active":
            return
        commit = build.commit(key, "conditional", expected_seq=len(model.log) + off)
        if off == 0:
            self._write(commit, model)
        else:
            with pytest.raises(SequenceConflict) as caught:
                self.store.commit(commit)
            assert caught.value.current_seq == len(model.log)

    @rule(key=st.sampled_from(KEYS), status=st.sampled_from(["active", "suspended", "completed", "archived"]))
    def step(self, key: SessionKey, status: str) -> None:
        model = self.model.get(key)
        if model is None:
            return
        commit = build.commit(key, build.status_event(status), lifecycle=True)
        if status in SESSION[model.status]:
            self._write(commit, model)
            model.status = status
        else:
            with pytest.raises(InvalidTransition):
                self.store.commit(commit)

    @rule(key=st.sampled_from(KEYS), name=st.sampled_from(NAMES), data=st.data())
    def fork(self, key: SessionKey, name: str, data: st.DataObject) -> None:
        model = self.model.get(key)
        if model is None or model.status != "active":
            return
        parent = data.draw(st.sampled_from(["main", *model.branches]))
        fork_seq = data.draw(st.integers(0, len(model.log)))
        switch = data.draw(st.booleans())
        items = [build.branch_event(name, parent, fork_seq), *([build.switch_event(name)] if switch else [])]
        commit = build.commit(key, *items, branch=name)
        if name in model.branches:
            with pytest.raises(AlreadyExists):
                self.store.commit(commit)
            return
        self._write(commit, model, branch=name)
        model.branches[name] = (parent, fork_seq)
        model.active = name if switch else model.active

    @rule(key=st.sampled_from(KEYS), branch=st.sampled_from(["main", *NAMES]), name=st.sampled_from(["k", "l"]), value=st.integers(0, 3))
    def set_state(self, key: SessionKey, branch: str, name: str, value: int) -> None:
        model = self.model.get(key)
        if model is None or model.status != "active" or (branch != "main" and branch not in model.branches):
            return
        event = NewEvent(type="state.set", data={"values": {name: value}} if value else {"removed": [name]}, branch=branch)
        self._write(build.commit(key, event), model)
        model.state[branch, name] = value

    @rule(key=st.sampled_from(KEYS), data=st.data())
    def redact(self, key: SessionKey, data: st.DataObject) -> None:
        event = self._some_message(key, data)
        if event is not None:
            target = {"seq": event.seq, "digest": event.digest.hex()}
            notice = NewEvent(type="redaction", data={"targets": [target]}, branch="main")
            self._write(build.commit(key, notice, redacts=(redact_of(event),), lifecycle=True), self.model[key])

    @rule(key=st.sampled_from(KEYS), data=st.data())
    def prune(self, key: SessionKey, data: st.DataObject) -> None:
        event = self._some_message(key, data)
        if event is not None:
            change = build.without_counts([event])
            self.store.commit(build.commit(key, prune=(build.range_of([event]),), change=change, lifecycle=True))
            self.model[key].log[event.seq - 1] = None

    def _some_message(self, key: SessionKey, data: st.DataObject) -> Event | None:
        if key not in self.model:
            return None
        events = self.store.read_events(EventQuery(key=key, types=frozenset({"message"}), limit=1_000)).events
        events = [event for event in events if event.seq < len(self.model[key].log)]  # the last one dates the head
        return data.draw(st.sampled_from(events)) if events else None

    @precondition(lambda self: len(self.model) > 1)
    @rule(key=st.sampled_from(KEYS))
    def delete(self, key: SessionKey) -> None:
        if key in self.model:
            self.store.delete_session(key)
            del self.model[key]

    # ---- reading ---------------------------------------------------------------------------------------------------------------------
    @invariant()
    def logs_are_equal(self) -> None:
        for key, model in self.model.items():
            page = self.store.read_events(EventQuery(key=key, limit=10_000))
            expected = [(seq, *item) for seq, item in enumerate(model.log, 1) if item is not None]
            assert [(event.seq, event.id, event.branch) for event in page.events] == expected
            assert page.last_seq == len(model.log)
            pruned = [seq for item in page.ranges for seq in range(item.first_seq, item.last_seq + 1)]
            assert sorted(pruned) == [seq for seq, item in enumerate(model.log, 1) if item is None]

    @invariant()
    def views_are_equal(self) -> None:
        for key, model in self.model.items():
            for name in ("main", *model.branches):
                page = self.store.read_events(EventQuery(key=key, branch=name, limit=10_000))
                assert [event.seq for event in page.events] == model.view(name, len(model.log))

    @invariant()
    def heads_are_folds(self) -> None:
        for key, model in self.model.items():
            head = self.store.get_session(key)
            events = self.store.read_events(EventQuery(key=key, limit=10_000)).events
            if model.log[-1] is not None:
                assert head == fold_head(key.session_id, events, tenant=key.tenant, incarnation=head.info.incarnation)
            assert (head.info.status, head.info.active_branch) == (model.status, model.active)
            state = {(entry.branch, entry.name): int(entry.value) for entry in head.entries if entry.kind == "state" and entry.value}
            assert state == {place: value for place, value in model.state.items() if value}

    @invariant()
    def others_are_not_there(self) -> None:
        for key in KEYS:
            if key not in self.model:
                with pytest.raises(SessionNotFound):
                    self.store.get_session(key)
