"""What fork, checkpoint, restore and merge cost in a long session, beside an append to it: all of them write a few events and copy nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.conversation import conversation
from benchmarks.timing import Result, median, now_ns

ROUNDS = 15


async def places(who: Any, *, size: int, rounds: int = ROUNDS) -> Result:
    """Take turns in appending one message, forking, naming the end, restoring a place in the middle, and merging a fork of one message.

    Args:
        who: A sync contestant of ours; another has no such words.
        size: Messages of the session.
        rounds: Turns; the figures are medians.
    """
    who.background = False
    who.open()
    session = who.session(f"s{size}", "u1", "a1", new=False)
    batch = who.batch(who.native(conversation(1)))
    times: dict[str, list[int]] = {name: [] for name in ("append", "fork", "checkpoint", "restore", "merge")}

    def timed(name: str, call: Callable[[], Any]) -> Any:
        begin = now_ns()
        answer = call()
        times[name].append(now_ns() - begin)
        return answer

    merged, first = 0, session.info().last_seq
    session.fork(f"early-{first}", at=size // 2).checkpoint(f"early-{first}")
    early = f"early-{first}"
    for index in range(rounds):
        timed("append", lambda: who.append(session, batch))
        fork = timed("fork", lambda: session.fork(f"fork-{first}-{index}"))  # noqa: B023  # called at once
        timed("checkpoint", lambda: session.checkpoint(f"mark-{first}-{index}"))  # noqa: B023
        who.append(fork, batch)
        merged += len(timed("merge", lambda: session.merge(fork)).brought)  # noqa: B023
        timed("restore", lambda: session.restore(early))
        session.switch("main")
    who.close()
    middle = {name: median(found) / 1_000 for name, found in times.items()}
    return {
        **{f"{name}_us": value for name, value in middle.items()},
        **{f"{name}_ratio": value / middle["append"] for name, value in middle.items()},
        "verified": merged == rounds,
    }
