"""Makes, reads and extends stores with whichever Turnfold is on the path: this one, or the previous one as a process of its own.

``python versions.py make|read|write URL``; ``read`` prints everything that can be read, as JSON. What stands here must run on both.
"""

from __future__ import annotations

import sys
from typing import Any

import msgspec

from turnfold.codec.residual import part_ref
from turnfold.codec.seal import seal_root
from turnfold.core.redaction import redact_of
from turnfold.core.search import index_rows
from turnfold.engine.upkeep import leaves_of
from turnfold.errors import TurnfoldError
from turnfold.model.event import Event, NewEvent, Seal
from turnfold.model.message import assistant
from turnfold.model.query import EventQuery, SearchQuery, SessionQuery
from turnfold.model.run import Run
from turnfold.model.session import SessionKey
from turnfold.model.usage import Usage
from turnfold.ports.store import Store
from turnfold.stores.registry import open_store
from turnfold.testing.contract import build

KEY = SessionKey("default", "varied")
OTHER = SessionKey("acme", "other")
PART = part_ref(b"a part")
GONE = SessionKey("default", "gone")


def log(store: Store, key: SessionKey) -> list[Event]:
    return store.read_events(EventQuery(key=key, limit=10_000, with_source=True)).events


def make(store: Store) -> None:
    """One of everything that a store keeps."""
    store.commit(build.commit(KEY, *(f"message {number} apple" for number in range(12)), genesis=build.genesis(owner="ann", agent="coder")))
    store.commit(build.commit(KEY, assistant("answer", usage=Usage(3, 2, model="m")), runs=(Run(id="r1", session_id=KEY.session_id),)))
    note = NewEvent(type="note", data={"n": 1}, source=b"a kept line", meta={"env": "x"}, version=1)
    store.commit(build.commit(KEY, note, build.state_event(k=1), parts=((PART, b"a part"),)))
    store.commit(build.commit(KEY, NewEvent(type="tag", data={"added": ["red"]}), NewEvent(type="title", data={"title": "old times"})))
    store.commit(build.commit(KEY, build.branch_event("b", "main", 6), build.checkpoint_event("c", "main", 4)))
    store.commit(build.commit(KEY, "on b", build.event("for ann", visible_to=("ann",)), branch="b"))
    store.commit(build.commit(KEY, build.delta("to "), build.delta("be "), build.delta("pruned")))
    events = log(store, KEY)
    erased = events[4]
    notice = NewEvent(type="redaction", data={"targets": [{"seq": erased.seq, "digest": erased.digest.hex()}], "reason": "pii"})
    store.commit(build.commit(KEY, notice, redacts=(redact_of(erased),), lifecycle=True))
    deltas = [event for event in events if event.type == "message.delta"]
    store.commit(build.commit(KEY, prune=(build.range_of(deltas),), lifecycle=True, change=build.without_counts(deltas)))
    follow(store)
    store.commit(build.commit(KEY, "behind the seal"))
    store.commit(build.commit(OTHER, "hello", genesis=build.genesis(ttl_s=1e9)))
    store.commit(build.commit(OTHER, build.status_event("completed"), lifecycle=True))
    store.commit(build.commit(GONE, "to be deleted", genesis=build.genesis()))
    store.delete_session(GONE)


def follow(store: Store) -> None:
    """Be the search follower once, and seal."""
    for item in store.changed_sessions("search", 100):
        page = store.read_events(EventQuery(key=item.key, limit=10_000))
        rows = index_rows(page.events)
        store.advance("search", item.key, incarnation=item.incarnation, from_seq=item.follower_seq, to_seq=page.through_seq, rows=rows)
    page = store.read_events(EventQuery(key=KEY, limit=10_000))
    root = seal_root(b"", page.last_seq, leaves_of(page.events, page.ranges, 0, page.last_seq))
    store.add_seal(KEY, Seal(page.last_seq, b"", root, 1), incarnation=page.incarnation)


def write(store: Store) -> None:
    """Go on where others wrote."""
    last = store.get_session(KEY).info.last_seq
    store.commit(build.commit(KEY, f"written behind {last} pear", branch="main"))
    store.commit(build.commit(KEY, NewEvent(type="title", data={"title": f"title behind {last}"})))
    fresh = SessionKey("default", f"fresh {last}")
    store.commit(build.commit(fresh, "hello", genesis=build.genesis()))


def read(store: Store) -> dict[str, Any]:
    """Everything that can be read, as plain JSON types."""
    out: dict[str, Any] = {}
    for tenant in ("default", "acme"):
        for info in store.list_sessions(SessionQuery(tenant=tenant, limit=100))[0]:
            key = SessionKey(tenant, info.id)
            page = store.read_events(EventQuery(key=key, limit=10_000, with_source=True))
            views = {name: [e.seq for e in store.read_events(EventQuery(key=key, limit=999, branch=name)).events] for name in ("main", "")}
            out[f"{tenant}/{info.id}"] = {
                "head": store.get_session(key),
                "events": page.events,
                "ranges": page.ranges,
                "views": views,
                "runs": store.list_runs(key),
                "seals": store.read_seals(key),
                "found": store.search(SearchQuery(tenant=tenant, terms=("apple",), session_id=info.id)),
            }
    out["b"] = [event.seq for event in store.read_events(EventQuery(key=KEY, limit=999, branch="b")).events]
    out["part"] = store.read_part(KEY, PART).decode()
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(out))
    return plain


def main() -> None:
    """Do what the command line says; a refusal is printed by its code."""
    what, url = sys.argv[1:]
    try:
        store = open_store(url)
    except TurnfoldError as error:
        sys.stdout.write(f'{{"refused": "{error.code}"}}')
        return
    if what == "read":
        sys.stdout.buffer.write(msgspec.json.encode(read(store)))
    else:
        {"make": make, "write": write}[what](store)
    store.close()


if __name__ == "__main__":
    main()
