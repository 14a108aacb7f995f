"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
import time
from pathlib import Path
from typing import Any

import msgspec


def describe(disk: Path, memory: Path) -> dict[str, Any]:
    """Return facts about the machine and the two places."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "msgspec": msgspec.__version__,
        "disk": _filesystem(disk),
        "memory": _filesystem(memory),
        "fdatasync_us": round(_sync_us(disk)),
        "day": time.strftime("%Y-%m-%d"),
    }


def _filesystem(folder: Path) -> str:
    """The type of the filesystem that a folder is on."""
    best, kind = "", "?"
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, found, *_ = line.split()
        if str(folder).startswith(place) and len(place) >= len(best):
            best, kind = place, found
    return kind


def _sync_us(folder: Path) -> float:
    """The middle time of an append of 4 KiB with fdatasync, after the first ones."""
    path = folder / "sync"
    file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    times: list[float] = []
    try:
        for _ in range(200):
            os.write(file, b"x" * 4_096)
            begin = time.perf_counter_ns()
            os.fdatasync(file)
            times.append((time.perf_counter_ns() - begin) / 1_000)
    finally:
        os.close(file)
        path.unlink()
    return statistics.median(times[50:])
