"""Incremental = from scratch: changes applied in any split of the log into commits give the fold of the log."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from turnfold.core.fold import fold_head
from turnfold.errors import AlreadyExists, InvalidTransition, NotFound
from turnfold.model.event import Event, NewEvent
from turnfold.model.message import assistant, user
from turnfold.model.query import EventQuery
from turnfold.model.session import Head, SessionKey
from turnfold.model.usage import Usage
from turnfold.stores.memory import MemoryStore
from turnfold.testing.clock import FakeClock
from turnfold.testing.contract import build

KEY = SessionKey("t", "s")
names = st.sampled_from(["a", "b", "c"])
branches = st.sampled_from(["", "main", "a", "b"])
values = st.none() | st.integers(0, 9) | st.text(max_size=3)
usages = st.builds(Usage, st.integers(-5, 9), st.integers(0, 9), cost_microusd=st.integers(0, 9), model=st.sampled_from(["", "m", "n"]))


def _event(kind: str, data: object, branch: str = "") -> NewEvent:
    return NewEvent(type=kind, data=data, branch=branch)


items = st.one_of(
    st.builds(user, st.text(max_size=4)),
    st.builds(lambda text, usage: assistant(text, usage=usage), st.text(max_size=4), usages),
    st.builds(lambda usage: NewEvent(type="usage", usage=usage, token_count=2), usages),
    st.builds(lambda name, value, branch: _event("state.set", {"values": {name: value}}, branch), names, values, branches),
    st.builds(lambda name, branch: _event("state.set", {"removed": [name]}, branch), names, branches),
    st.builds(build.branch_event, st.sampled_from(["a", "b"]), names, st.integers(0, 5)),
    st.builds(build.switch_event, st.sampled_from(["main", "a", "b"])),
    st.builds(lambda name, gone: build.checkpoint_event(name, "main", 1, deleted=gone), names, st.booleans()),
    st.builds(lambda seq, branch: _event("pin", {"target_seq": seq}, branch), st.integers(1, 3), branches),
    st.builds(lambda seq, branch: _event("unpin", {"target_seq": seq}, branch), st.integers(1, 3), branches),
    st.builds(lambda added, gone: _event("tag", {"added": added, "removed": gone}), st.lists(names), st.lists(names)),
    st.builds(lambda title: _event("title", {"title": title}), st.sampled_from(["", "t", "u"])),
    st.builds(lambda key, value: _event("session.updated", {"metadata": {key: value}, "handles": {key: value}}), names, values),
    st.builds(lambda at: _event("session.updated", {"expires_at_us": at}), st.sampled_from([0, 10**18, 10**17])),
    st.builds(lambda prompt: _event("session.updated", {"system_prompt": prompt, "title": prompt}), st.sampled_from(["", "p"])),
    st.just(build.status_event("suspended")),
    st.just(build.status_event("active")),
)


def _apply(batches: Sequence[Sequence[Event]], ttl_s: float | None) -> tuple[Head, list[Event]]:
    """Commit the batches that the store takes; all events of the log carry one time, so that splits can be compared."""
    store = MemoryStore(clock=FakeClock())
    store.commit(build.commit(KEY, genesis=build.genesis(incarnation="i", ttl_s=ttl_s, tags=["a"], metadata={"a": 1})))
    for batch in batches:
        try:
            store.commit(build.commit(KEY, *batch, lifecycle=True))
        except (AlreadyExists, NotFound, InvalidTransition):
            continue
    return store.get_session(KEY), store.read_events(EventQuery(key=KEY, limit=10_000)).events


@given(st.lists(st.lists(items, min_size=1, max_size=4), max_size=12), st.sampled_from([None, 60.0]))
def test_head_is_the_fold_of_the_log(batches: list[list[build.Item]], ttl_s: float | None) -> None:
    head, log = _apply([[build.event(item) for item in batch] for batch in batches], ttl_s)
    assert head == fold_head("s", log, tenant="t", incarnation="i")


@given(st.lists(items, max_size=25), st.sampled_from([None, 60.0]), st.data())
def test_any_split_gives_the_same_head(singles: list[build.Item], ttl_s: float | None, data: st.DataObject) -> None:
    head, log = _apply([[build.event(item)] for item in singles], ttl_s)
    events = log[1:]
    cuts = sorted(data.draw(st.sets(st.integers(1, max(len(events) - 1, 1)), max_size=len(events))))
    split = [events[start:end] for start, end in zip([0, *cuts], [*cuts, len(events)], strict=True) if start < end]
    again, same_log = _apply(split, ttl_s)
    assert same_log[1:] == events
    assert again == head
