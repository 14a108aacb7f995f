"""Following from another process: how long after the writer's acknowledgement the follower holds the event."""

from __future__ import annotations

import sys
import time
from typing import Any

from benchmarks.contestant import Contestant
from benchmarks.conversation import note
from benchmarks.timing import Result, done, median, percentile

GAP_S = 0.010


async def write(who: Contestant, *, count: int) -> Result:
    """Append with a pause between; return when each append returned, on the machine's monotonic clock."""
    await done(who.open())
    handle = await done(who.session("shared", "u1", "a1", new=False))
    batches = [who.batch([native]) for native in who.native([note(0, index) for index in range(count)])]
    acked: list[int] = []
    for batch in batches:
        await done(who.append(handle, batch))
        acked.append(time.monotonic_ns())
        time.sleep(GAP_S)
    await done(who.close())
    return {"acked_ns": acked, "verified": True}


async def read(who: Contestant, *, count: int) -> Result:
    """Follow a session; return when each event was there, and whether they came in order and once."""
    await done(who.open())
    seen: list[int] = []
    texts: list[str] = []

    def take(text: str) -> bool:
        texts.append(text)
        seen.append(time.monotonic_ns())
        return len(seen) >= count

    _follow(who, take)
    want = [note(0, index).text for index in range(count)]
    await done(who.close())
    return {"seen_ns": seen, "verified": texts == want}


def _follow(who: Contestant, take: Any) -> None:
    if hasattr(who, "follow"):
        who.follow(take, _ready)
        return
    session = who.session("shared", "u1", "a1", new=False)
    after = session.info().last_seq
    _ready()
    for event in session.follow(after=after, wait_s=10):
        if event.type == "message" and take(event.data["parts"][0]["content"]):
            return


def _ready() -> None:
    sys.stdout.write("@@READY\n")
    sys.stdout.flush()


def latencies(written: Result, followed: Result) -> Result:
    """Combine both sides; an event that was there before its writer had the answer took no time after it."""
    after = [max(0, seen - acked) / 1e6 for seen, acked in zip(followed["seen_ns"], written["acked_ns"], strict=True)]
    return {"ms": median(after), "p99_ms": percentile(after, 0.99), "verified": followed["verified"]}
