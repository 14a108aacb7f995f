"""The fold: what single events and whole commits change."""

from __future__ import annotations

from typing import Any

import pytest

from turnfold.core.fold import branches_of, change_of, checkpoints_of, fold_head, payload_of
from turnfold.core.redaction import tombstone_of
from turnfold.errors import AlreadyExists, InvalidTransition, NotFound
from turnfold.model.commit import NO_CHANGE, Guard, HeadChange, StatusChange
from turnfold.model.event import Event, NewEvent
from turnfold.model.event_types import HEAD_TYPES
from turnfold.model.message import assistant, user
from turnfold.model.session import Branch, Checkpoint, Entry, Head
from turnfold.model.usage import Usage
from turnfold.testing.contract import build

EVERY_HEAD_EVENT: dict[str, dict[str, Any]] = {
    "session.created": {
        "agent": "a",
        "title": "t",
        "tags": ["g"],
        "metadata": {"m": 1},
        "ttl_s": 5,
        "native": {"n": 1},
        "parent": {"p": 1},
    },
    "session.updated": {"title": "u", "metadata": {"x": 1, "m": None}, "system_prompt": "s", "handles": {"h": 1}, "expires_at_us": 9},
    "session.status_changed": {"status": "completed", "reason": "completed", "error": {"message": "private"}},
    "branch.created": {"name": "b", "parent": "main", "fork_seq": 1, "reason": "private"},
    "branch.switched": {"name": "b"},
    "branch.renamed": {"name": "b", "label": "l"},
    "branch.abandoned": {"name": "b", "reason": "private"},
    "checkpoint": {"name": "c", "branch": "main", "at_seq": 1},
    "state.set": {"values": {"k": 1, "gone": 2}, "removed": ["old"]},
    "pin": {"target_seq": 1},
    "unpin": {"target_seq": 1},
    "tag": {"added": ["private"], "removed": ["g"]},
    "title": {"title": "private"},
    "import.cursor": {"source": "f", "offset": 1},
}


def stored(*items: build.Item) -> list[Event]:
    """Events as a store would give them back."""
    places = enumerate(items, 1)
    return [
        build.replace(event := build.event(item), seq=seq, branch=event.branch or "main", recorded_at_us=100 * seq) for seq, item in places
    ]


def fold(*items: build.Item) -> Head:
    return fold_head("s", stored(*items))


def created(**fields: Any) -> NewEvent:
    return NewEvent(type="session.created", data=fields)


def test_events_that_only_count_are_summed_without_a_builder() -> None:
    messages = tuple(build.event("same", id=str(index)) for index in range(3))
    one, three = change_of(messages[:1]), change_of(messages)
    assert (one.message_count, one.turn_count) == (1, 1)
    assert three == HeadChange(message_count=3, turn_count=3, token_count=3 * one.token_count)
    assert change_of((build.event(NewEvent(type="note")),)) is NO_CHANGE
    assert change_of(()) == NO_CHANGE


def test_counts_and_usage() -> None:
    head = fold(created(), user("a"), assistant("b", usage=Usage(3, 4, model="m")), NewEvent(type="usage", usage=Usage(1, model="n")))
    assert (head.info.message_count, head.info.turn_count, head.info.usage) == (2, 1, Usage(4, 4))
    assert head.usage_by_model == {"m": Usage(3, 4, model="m"), "n": Usage(1, model="n")}
    assert (head.info.created_at_us, head.info.updated_at_us, head.info.last_seq) == (build.AT_US, build.AT_US, 4)


def test_usage_of_one_commit_is_summed_by_model() -> None:
    events = [build.event(assistant("x", usage=Usage(1, 2, model=model))) for model in ("a", "b", "a")]
    change = change_of(events)
    assert change.usage == Usage(3, 6)
    assert sorted(change.usage_by_model, key=lambda usage: usage.model) == [Usage(2, 4, model="a"), Usage(1, 2, model="b")]


def test_time_to_live_slides_with_each_event_and_wins() -> None:
    update = NewEvent(type="session.updated", data={"expires_at_us": 7})
    assert fold(created(ttl_s=2), update).info.expires_at_us == 200 + 2_000_000
    assert fold(created(expires_at_us=5), update).info.expires_at_us == 7
    assert fold(created(expires_at_us=5)).info.expires_at_us == 5
    assert fold(created(expires_at_us=5), NewEvent(type="session.updated", data={"expires_at_us": 0})).info.expires_at_us is None


def test_branches_and_checkpoints() -> None:
    head = fold(created(), build.branch_event("b", "main", 1), build.checkpoint_event("c", "b", 2), build.switch_event("b"))
    assert branches_of(head) == {"b": Branch("b", "main", 1, 2)}
    assert checkpoints_of(head) == {"c": Checkpoint("c", "b", 2, 3)}
    assert (head.info.branch_count, head.info.active_branch) == (2, "b")


def test_guards_of_a_commit() -> None:
    change = change_of([build.event(build.branch_event("b", "main", 1)), build.event(build.checkpoint_event("c", "main", 1, deleted=True))])
    free = (Guard("branch", "b", present=False), Guard("branch_name", "b", present=False))
    assert change.guards == (*free, Guard("checkpoint", "c", present=True))
    assert (change.branch_count, change.checkpoint_count) == (1, -1)


def test_guards_between_events_of_one_commit() -> None:
    made, gone = build.event(build.checkpoint_event("c", "main", 1)), build.event(build.checkpoint_event("c", "main", 1, deleted=True))
    assert change_of([made, gone]).guards == (Guard("checkpoint", "c", present=False),)
    assert change_of([gone, made]).guards == (Guard("checkpoint", "c", present=True),)
    with pytest.raises(AlreadyExists):
        change_of([made, made])
    with pytest.raises(NotFound):
        change_of([gone, gone])


def test_status_steps_of_one_commit() -> None:
    steps = [build.event(build.status_event(status, reason="r")) for status in ("suspended", "active", "completed")]
    assert change_of(steps).status == StatusChange("completed", frozenset({"active"}), "r")
    with pytest.raises(InvalidTransition):
        change_of([steps[2], steps[1]])


def test_entries_know_their_event_and_branch() -> None:
    change = change_of(
        [build.event("x"), build.event(build.state_event("b", k=None)), build.event(NewEvent(type="title", data={"title": "t"}))]
    )
    assert change.entries == (Entry("state", "k", b"null", 1, "b"), Entry("title", "", b'"t"', 2))


def test_every_head_type_is_known_here() -> None:
    assert set(EVERY_HEAD_EVENT) == HEAD_TYPES


@pytest.mark.parametrize("kind", sorted(HEAD_TYPES))
def test_tombstone_folds_to_the_emptied_head(kind: str) -> None:
    before = [created(agent="a", tags=["g"]), build.branch_event("b", "main", 1)]
    if kind == "session.created":
        before = []
    if kind == "branch.created":
        before = before[:1]
    events = stored(*before, NewEvent(type=kind, data=EVERY_HEAD_EVENT[kind]), "after")
    place = len(before)
    tombstone, emptied = tombstone_of(events[place])
    head = fold_head("s", events)
    gone = {(entry.kind, entry.name, entry.branch) for entry in emptied}
    expected = {(entry.kind, entry.name, entry.branch): entry.value for entry in head.entries}
    expected = {name: value for name, value in expected.items() if name not in gone and value is not None}
    redacted = [*events[:place], build.replace(events[place], data_raw=tombstone, redacted=True), *events[place + 1 :]]
    after = fold_head("s", redacted)
    assert {(entry.kind, entry.name, entry.branch): entry.value for entry in after.entries if entry.value is not None} == expected
    for field in ("status", "end_reason", "agent", "active_branch", "branch_count", "expires_at_us"):
        assert getattr(after.info, field) == getattr(head.info, field)
    assert b"private" not in tombstone


def test_unknown_types_and_fields_decode() -> None:
    assert payload_of(build.event(NewEvent(type="my.own", data={"x": [1]}))) == {"x": [1]}
    assert payload_of(build.event(NewEvent(type="title", data={"title": "t", "new_field": 1}))).title == "t"
