"""The memory store at the port, with prepared commits: what a store costs without the engine above it (G18)."""

from __future__ import annotations

from typing import Any

from benchmarks.contestant import Contestant
from benchmarks.conversation import conversation, note
from benchmarks.messages import to_message
from benchmarks.timing import Result, median, now_ns


async def append(who: Contestant, *, count: int) -> Result:
    """Commit ``count`` prepared commits one by one, then load them and see that payloads were not copied."""
    from turnfold.core.fold import change_of
    from turnfold.engine.prepare import prepare_all
    from turnfold.limits import PAGE_EVENTS_MAX
    from turnfold.model.commit import Commit
    from turnfold.model.query import EventQuery
    from turnfold.model.session import SessionKey

    who.open()
    client: Any = who.client  # type: ignore[attr-defined]
    session = client.open("one", owner="u1")
    session.append(to_message(note(0, 0)))
    store, key = client.store, SessionKey("default", "one")
    messages = [to_message(item) for item in conversation(2_000)]
    commits = []
    for index in range(count):
        events, _ = prepare_all(messages[index % 2_000])
        commits.append(Commit(key=key, events=events, change=change_of(events), owner="u1"))
    put, times = store.commit, []
    for commit in commits:
        begin = now_ns()
        put(commit)
        times.append(now_ns() - begin)
    found: list[Any] = []
    at = 2  # the creation and the first message
    begin = now_ns()
    while True:
        page = store.read_events(EventQuery(key=key, after=at, limit=PAGE_EVENTS_MAX))
        found += page.events
        if not page.more:
            break
        at = page.through_seq
    load_ns = now_ns() - begin
    shared = all(event.data_raw is commit.events[0].data_raw for event, commit in zip(found, commits, strict=True))
    client.close()
    return {
        "us": median(times) / 1_000,
        "best_us": min(times) / 1_000,
        "at_2000_us": median(times[1_000:2_000]) / 1_000,
        "at_100000_us": median(times[-1_000:]) / 1_000 if count >= 100_000 else None,
        "load_us": load_ns / count / 1_000,
        "verified": shared,
    }


async def floor(who: Contestant, *, count: int) -> Result:
    """Append to the contestant itself, handing over bytes."""
    who.open()
    handle = who.session("one", "u1", "a1", new=True)
    natives = who.native(conversation(2_000))
    times = []
    put = who.append
    for index in range(count):
        batch = [natives[index % 2_000]]
        begin = now_ns()
        put(handle, batch)
        times.append(now_ns() - begin)
    return {"us": median(times) / 1_000, "best_us": min(times) / 1_000, "verified": True}
