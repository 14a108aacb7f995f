"""What is measured and what is promised: measures (who does what, where) and checks (which figure is held to which goal)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import msgspec

Where = Literal["disk", "memory"]
"""On a disk, where a sync costs what it costs; or in memory (tmpfs), where it is free and only the software is measured."""


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """One workload, run by several contestants in turn."""

    key: str
    workload: str
    contestants: tuple[str, ...]
    where: Where = "disk"
    arguments: dict[str, Any] = {}
    quick: dict[str, Any] = {}
    seed: dict[str, Any] | None = None
    """Arguments of the workload that fills the store before, once per contestant (``seed`` or ``seed_list``)."""
    kind: Literal["child", "processes", "follow", "import"] = "child"
    large: bool = False
    """Takes minutes and gigabytes; only with ``--large``."""


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of ours, and the goal that it is held to (None: shown, not judged)."""

    goal: str
    text: str
    measure: str
    ours: str
    metric: str
    unit: str
    floor: str | None = None
    kind: Literal["value", "ratio", "growth", "extra"] = "value"
    """``value``: the figure itself; ``ratio``: over the floor's in the same round; ``extra``: less the floor's; ``growth``: over ``base`` of the
    same run."""
    base: str = ""
    limit: float | None = None
    then: float | None = None
    """The floor's figure on the machine that an absolute limit was set on; on a slower one the limit is scaled by the two floors."""
    higher: bool = False
    """More is better."""
    peers: tuple[str, ...] = ()


PEERS = ("openai-agents", "eventsourcing", "agent-session-linker")
_SEEDED = {"sizes": [100, 1_000, 5_000, 10_000]}


def _transcripts() -> str:
    """The folder of real transcripts, empty where there is none."""
    folder = Path(os.environ.get("TURNFOLD_SHARED_DIR", "../shared")) / "data" / "transcripts"
    return str(folder.resolve()) if folder.is_dir() else ""


def measures() -> list[Measure]:
    """Return all measures."""
    return [*_appends(), *_reads(), *_many(), *_rest(), *_redis(), *_postgresql()]


def _appends() -> list[Measure]:
    files, memory = ("turnfold-files", "raw-file"), ("turnfold-memory", "raw-dict", "eventsourcing-memory")
    sync = ("turnfold-sqlite", "raw-sqlite", "raw-sqlite+json", "turnfold-sqlite-async", "raw-sqlite-async", *PEERS)
    sealed = ("turnfold-sqlite-encrypted",)
    disk, soft = {"count": 600, "cap_s": 4}, {"count": 2_000, "cap_s": 4}
    turn_disk, turn_soft = {"count": 1_200, "per": 4, "cap_s": 4}, {"count": 2_000, "per": 4, "cap_s": 4}
    less = {"count": 200, "cap_s": 2}
    long = {"count": 100_000, "cap_s": 60}
    return [
        Measure(key="append-disk", workload="append", contestants=(*sync, *files), arguments=disk, quick=less),
        Measure(key="append-soft", workload="append", where="memory", contestants=(*sync, *sealed, *files, *memory), arguments=soft),
        Measure(key="turn-disk", workload="append", contestants=(*sync, *files), arguments=turn_disk, quick={"count": 400, "cap_s": 2}),
        Measure(key="turn-soft", workload="append", where="memory", contestants=(*sync, *files, *memory), arguments=turn_soft),
        Measure(
            key="append-long",
            workload="append",
            where="memory",
            contestants=("turnfold-sqlite", "raw-sqlite", "turnfold-files", "turnfold-memory"),
            arguments=long,
            quick={"count": 10_000},
        ),
    ]


def _reads() -> list[Measure]:
    sqlite = ("turnfold-sqlite", "raw-sqlite", "raw-sqlite+msgspec")
    every = (*sqlite, "turnfold-sqlite-encrypted", "turnfold-files", "raw-file", *PEERS)
    million = {"sizes": [1_000_000]}
    return [
        *(
            Measure(key=f"cold-{size}", workload="cold", contestants=every, arguments={"size": size}, seed=_SEEDED)
            for size in (100, 1_000, 10_000)
        ),
        Measure(key="tail", workload="tail", contestants=every, arguments={"size": 10_000}, seed=_SEEDED),
        Measure(key="tail-million", workload="tail", contestants=sqlite, arguments={"size": 1_000_000}, seed=million, large=True),
        Measure(
            key="fork",
            workload="fork",
            contestants=("turnfold-sqlite", "raw-sqlite", "turnfold-files", "agent-session-linker"),
            arguments={"size": 10_000},
            seed=_SEEDED,
        ),
        Measure(
            key="places",
            workload="places",
            contestants=("turnfold-sqlite", "turnfold-files", "turnfold-sqlite-encrypted"),
            arguments={"size": 10_000},
            seed=_SEEDED,
        ),
        Measure(
            key="list",
            workload="listing",
            contestants=("turnfold-sqlite", "raw-sqlite", "turnfold-files"),
            arguments={"count": 10_000},
            seed={"count": 10_000},
        ),
        Measure(
            key="list-million",
            workload="listing",
            contestants=("turnfold-sqlite", "raw-sqlite"),
            arguments={"count": 1_000_000},
            seed={"count": 1_000_000},
            large=True,
        ),
    ]


def _many() -> list[Measure]:
    tasks = ("turnfold-sqlite-async", "raw-sqlite-async", "turnfold-files-async", "openai-agents")
    threads = ("turnfold-sqlite", "raw-sqlite-group", "turnfold-files", "eventsourcing")
    less = {"each": 50}
    return [
        Measure(key="many-tasks", workload="together", contestants=tasks, arguments={"one": False}, quick=less),
        Measure(key="many-threads", workload="together", contestants=threads, arguments={"one": False}, quick=less),
        Measure(key="one-tasks", workload="together", contestants=(*tasks, "turnfold-memory-async"), arguments={"one": True}, quick=less),
        Measure(
            key="one-threads",
            workload="together",
            contestants=(*threads, "turnfold-memory", "agent-session-linker"),
            arguments={"one": True, "each": 100},
            quick=less,
        ),
        Measure(
            key="processes",
            workload="one_of_processes",
            kind="processes",
            contestants=("turnfold-sqlite", "raw-sqlite", "turnfold-files", "openai-agents", "eventsourcing"),
            arguments={"writers": 4, "each": 150},
        ),
    ]


def _rest() -> list[Measure]:
    return [
        Measure(
            key="import",
            workload="",
            kind="import",
            where="memory",
            contestants=("turnfold-sqlite", "raw-sqlite", "turnfold-files", *PEERS),
        ),
        Measure(
            key="disk",
            workload="disk",
            contestants=("turnfold-sqlite", "turnfold-files"),
            arguments={"size": 10_000, "transcripts": _transcripts()},
            quick={"size": 2_000, "appends": 300},
        ),
        Measure(
            key="follow",
            workload="",
            kind="follow",
            contestants=("turnfold-sqlite", "raw-sqlite-inotify", "turnfold-files"),
            arguments={"count": 200},
            quick={"count": 50},
        ),
        Measure(
            key="port",
            workload="port_append",
            where="memory",
            contestants=("turnfold-memory", "raw-dict", "eventsourcing-memory"),
            arguments={"count": 100_000},
            quick={"count": 5_000},
        ),
    ]


def _postgresql() -> list[Measure]:
    who = ("turnfold-postgresql", "raw-postgresql", "turnfold-postgresql-async", "raw-postgresql-async")
    threads, less = who[:2], {"each": 50}
    return [
        Measure(
            key="postgresql-disk",
            workload="append",
            contestants=who,
            arguments={"count": 600, "cap_s": 4},
            quick={"count": 200, "cap_s": 2},
        ),
        Measure(key="postgresql-soft", workload="append", where="memory", contestants=who, arguments={"count": 2_000, "cap_s": 4}),
        Measure(key="postgresql-many", workload="together", contestants=threads, arguments={"one": False}, quick=less),
        Measure(key="postgresql-one", workload="together", contestants=threads, arguments={"one": True}, quick=less),
        Measure(
            key="postgresql-follow",
            workload="",
            kind="follow",
            contestants=("turnfold-postgresql", "raw-postgresql-notify"),
            arguments={"count": 200},
            quick={"count": 50},
        ),
    ]


def _redis() -> list[Measure]:
    both = ("turnfold-redis", "raw-redis")
    less = {"each": 50}
    one: dict[str, Any] = {"one": True}
    return [
        Measure(
            key="redis-append",
            workload="append",
            where="memory",
            contestants=(*both, "turnfold-redis-async"),
            arguments={"count": 2_000, "cap_s": 4},
            quick={"count": 500},
        ),
        Measure(key="redis-append-disk", workload="append", contestants=both, arguments={"count": 600, "cap_s": 4}, quick={"count": 200}),
        Measure(key="redis-threads", workload="together", where="memory", contestants=both, arguments=one, quick=less),
        Measure(key="redis-tasks", workload="together", where="memory", contestants=("turnfold-redis-async",), arguments=one, quick=less),
        Measure(
            key="redis-processes",
            workload="one_of_processes",
            kind="processes",
            where="memory",
            contestants=both,
            arguments={"writers": 4, "each": 150},
        ),
        Measure(key="redis-cold", workload="cold", contestants=both, arguments={"size": 10_000}, seed=_SEEDED),
        Measure(key="redis-tail", workload="tail", contestants=both, arguments={"size": 10_000}, seed=_SEEDED),
        Measure(
            key="redis-follow", workload="", kind="follow", where="memory", contestants=both, arguments={"count": 200}, quick={"count": 50}
        ),
    ]
