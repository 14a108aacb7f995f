"""Clocks, memory and the driving of sync and async contestants by one code."""

from __future__ import annotations

import asyncio
import inspect
import statistics
import time
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.contestant import Contestant

T = TypeVar("T")
Result = dict[str, Any]
now_ns = time.perf_counter_ns


async def done(value: Any) -> Any:
    """Await what an async contestant returned; pass on what a sync one did."""
    return (await value) if inspect.isawaitable(value) else value


def drive(work: Coroutine[Any, Any, T], contestant: Contestant) -> T:
    """Run a workload. Sync contestants must not see a running loop, so theirs is stepped by hand: it never waits."""
    if contestant.ASYNC:
        return asyncio.run(work)
    try:
        work.send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    raise RuntimeError("a sync contestant awaited something")


def median(values: Sequence[float]) -> float:
    """Return the middle."""
    return statistics.median(values)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which that share lies."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def resident_mb() -> float:
    """Return the resident memory of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def written_bytes() -> int:
    """Return how much this process passed to write calls so far."""
    for line in Path("/proc/self/io").read_text().splitlines():
        if line.startswith("wchar:"):
            return int(line.split()[1])
    return 0


def folder_bytes(folder: Path) -> int:
    """Return the size of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
