"""Stores with something of everything in them, and a comparison of two stores that leaves nothing out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from turnfold.codec.residual import part_ref
from turnfold.codec.seal import leaf, seal_root
from turnfold.core.redaction import redact_of, referenced_parts
from turnfold.engine.scopes import scope_id
from turnfold.errors import NotFound
from turnfold.model.event import Event, NewEvent, Seal
from turnfold.model.message import assistant, user
from turnfold.model.query import EventQuery
from turnfold.model.run import Run
from turnfold.model.session import SessionKey
from turnfold.model.usage import Usage
from turnfold.ports.store import Store
from turnfold.stores.files import FilesStore
from turnfold.stores.memory import MemoryStore
from turnfold.stores.sqlite import SqliteStore
from turnfold.testing.contract import build

RICH = SessionKey("default", "rich")
CLOSED = SessionKey("default", "closed")
PRUNED = SessionKey("other tenant", "agent:channel:peer%3A1")
SCOPE = SessionKey("default", scope_id("owner", "alice"))
LARGE = b"base64 of an image" * 2_000
SECRET = b"base64 of a secret" * 2_000
EMBEDDED: dict[str, Callable[[Path], Store]] = {
    "memory": lambda _folder: MemoryStore(),
    "sqlite": lambda folder: SqliteStore(folder / "sessions.db", durability="normal"),
    "files": lambda folder: FilesStore(folder / "sessions", durability="normal"),
}


def log_of(store: Store, key: SessionKey) -> list[Event]:
    """All events of a session, with kept lines."""
    return log_and_ranges(store, key)[0]


def log_and_ranges(store: Store, key: SessionKey) -> tuple[list[Event], list[Any]]:
    """All events and range tombstones of a session."""
    events: list[Event] = []
    ranges: dict[int, Any] = {}
    after = 0
    while True:
        page = store.read_events(EventQuery(key=key, after=after, limit=1_000, with_source=True))
        events += page.events
        ranges.update((item.first_seq, item) for item in page.ranges)
        if not page.more:
            return events, [ranges[first] for first in sorted(ranges)]
        after = page.through_seq


def everything(store: Store) -> dict[SessionKey, Any]:
    """All that can be read of a store but incarnations, leases and followers."""
    found: dict[SessionKey, Any] = {}
    for item in store.changed_sessions("a test that looks at everything", 100_000):
        events, ranges = log_and_ranges(store, item.key)
        head = store.get_session(item.key)
        parts: dict[str, bytes | None] = {}
        for ref in {ref for event in events for ref in referenced_parts(event)}:
            try:
                parts[ref] = store.read_part(item.key, ref)
            except NotFound:
                parts[ref] = None
        head = msgspec.structs.replace(head, info=msgspec.structs.replace(head.info, incarnation=""))
        found[item.key] = (head, events, ranges, store.read_seals(item.key), store.list_runs(item.key), parts)
    return found


def append(store: Store, key: SessionKey, *items: Any, **fields: Any) -> None:
    """Commit some items."""
    store.commit(build.commit(key, *items, **fields))


def create(store: Store, key: SessionKey, **fields: Any) -> None:
    """Create a session."""
    store.commit(build.commit(key, genesis=build.genesis(**fields)))


def seal(store: Store, key: SessionKey) -> None:
    """Seal what was not sealed yet."""
    seals = store.read_seals(key)
    previous, after = (seals[-1].root, seals[-1].upto_seq) if seals else (b"", 0)
    events = [event for event in log_of(store, key) if event.seq > after]
    upto = events[-1].seq
    root = seal_root(previous, upto, (leaf(event) for event in events))
    assert store.add_seal(key, Seal(upto, previous, root, 7, b"sig"), incarnation=store.get_session(key).info.incarnation)


def image(content: bytes) -> NewEvent:
    """A message that refers to a part."""
    return NewEvent(type="message", data={"role": "user", "parts": [{"type": "blob", "blob_ref": part_ref(content)}]})


def redact(store: Store, key: SessionKey, *events: Event, parts: tuple[str, ...] = ()) -> None:
    """Redact events by one commit."""
    targets = [{"seq": event.seq, "digest": event.digest.hex()} for event in events]
    redacts = tuple(redact_of(event, parts) for event in events)
    append(store, key, NewEvent(type="redaction", data={"targets": targets}), redacts=redacts, lifecycle=True)


def fill(store: Store) -> None:
    """Put sessions of every kind into a store."""
    create(store, RICH, agent="a", owner="alice", title="t", tags=["x"], metadata={"m": 1})
    append(store, RICH, user("hi"), assistant("yo", usage=Usage(3, 4, model="m")), build.delta("p"), build.delta("q"))
    seal(store, RICH)
    append(store, RICH, build.branch_event("b", "main", 2), build.state_event(s=1), build.checkpoint_event("c", "main", 3))
    append(store, RICH, NewEvent(type="my.own", data=b'{ "x" : 1 }', source=b"Lraw", meta={"k": 1}), build.state_event(s=2), branch="b")
    append(store, RICH, build.switch_event("b"), NewEvent(type="pin", data={"target_seq": 2}))
    append(store, RICH, prune=(build.range_of(log_of(store, RICH)[3:5]),), lifecycle=True)
    append(store, RICH, image(LARGE), image(SECRET), parts=((part_ref(LARGE), LARGE), (part_ref(SECRET), SECRET)))
    redact(store, RICH, log_of(store, RICH)[-1], parts=(part_ref(SECRET),))
    append(store, RICH, "with a run", runs=(Run(id="r1", session_id=RICH.session_id, status="running", data={"a": [1]}),))
    create(store, CLOSED, agent="b", ttl_s=10_000_000_000)
    append(store, CLOSED, *(f"message {number}" for number in range(50)))
    append(store, CLOSED, build.status_event("completed", reason="completed"), lifecycle=True)
    create(store, PRUNED, expires_at_us=4_000_000_000_000_000)
    append(store, PRUNED, "a", *(build.delta(f"{number}") for number in range(9)), "b")
    append(store, PRUNED, prune=(build.range_of(log_of(store, PRUNED)[2:11]),), lifecycle=True)
    create(store, SCOPE, kind="scope", owner="alice")
    append(store, SCOPE, build.state_event(theme="dark"))
