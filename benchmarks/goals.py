"""The goals, each as a check on a figure. Where SQLite has the goal, files and memory show the same figure without one.

``then`` is the floor's figure on the machine that a goal in µs, ms or commits per second was set on.
"""

from __future__ import annotations

from typing import Any

from benchmarks.plan import PEERS, Check

_SQLITE, _ASYNC, _FILES, _MEMORY = "turnfold-sqlite", "turnfold-sqlite-async", "turnfold-files", "turnfold-memory"


def checks() -> list[Check]:
    """Return all checks in the order of the goals."""
    return [*_appends(), *_reads(), *_many(), *_rest(), *_redis(), *_postgresql(), *_sealed()]


def _sealed() -> list[Check]:
    """What encryption adds, to our own figures of the same run."""
    common: dict[str, Any] = {"kind": "extra", "ours": "turnfold-sqlite-encrypted", "floor": _SQLITE}
    return _each(
        "G17",
        "encryption",
        common,
        {"text": "what encryption adds to an append, software", "measure": "append-soft", "metric": "us", "unit": "µs", "limit": 5.0},
        {
            "text": "what encryption adds to opening and loading 10,000",
            "measure": "cold-10000",
            "metric": "ms",
            "unit": "ms",
            "limit": 25.0,
        },
    )


def _each(goal: str, text: str, common: dict[str, Any], *variants: dict[str, Any]) -> list[Check]:
    return [Check(goal=goal, **({"text": text} | common | variant)) for variant in variants]


def _appends() -> list[Check]:
    disk: dict[str, Any] = {"metric": "us", "unit": "µs", "measure": "append-disk"}
    soft = disk | {"measure": "append-soft"}
    turn_disk, turn_soft = disk | {"measure": "turn-disk"}, disk | {"measure": "turn-soft"}
    ratio: dict[str, Any] = {"kind": "ratio"}
    long: dict[str, Any] = {"metric": "at_100000_us", "base": "at_10_us", "kind": "growth", "unit": "×", "measure": "append-long"}
    return [
        *_each("G1", "append, on disk", disk, ratio | {"ours": _SQLITE, "floor": "raw-sqlite", "limit": 1.15, "peers": PEERS}),
        *_each("G1", "append to files, on disk", disk, ratio | {"ours": _FILES, "floor": "raw-file"}),
        *_each(
            "G2",
            "append, software",
            soft,
            {"ours": _SQLITE, "floor": "raw-sqlite", "limit": 35.0, "then": 9.6, "peers": PEERS},
            ratio | {"ours": _SQLITE, "floor": "raw-sqlite", "limit": 3.6, "peers": PEERS, "text": "append, software, over the floor"},
            ratio | {"ours": _SQLITE, "floor": "raw-sqlite+json", "limit": 2.2, "text": "append, software, over the floor with json"},
            {"ours": _FILES, "floor": "raw-file", "text": "append to files, software"},
            {"ours": _MEMORY, "floor": "raw-dict", "peers": ("eventsourcing-memory",), "text": "append to memory, through the client"},
        ),
        *_each(
            "G3",
            "the 2,000th append over the 10th",
            soft | {"metric": "at_2000_us", "base": "at_10_us", "kind": "growth", "unit": "×"},
            {"ours": _SQLITE, "floor": "raw-sqlite", "limit": 1.1, "peers": PEERS},
            {"ours": _FILES},
            {"ours": _MEMORY},
        ),
        *_each(
            "G3",
            "the 100,000th append over the 10th",
            long,
            {"ours": _SQLITE, "floor": "raw-sqlite", "limit": 1.2},
            {"ours": _FILES},
            {"ours": _MEMORY},
        ),
        *_each(
            "G4",
            "turn of 4 in one commit",
            {},
            turn_disk | ratio | {"ours": _SQLITE, "floor": "raw-sqlite", "limit": 1.2, "peers": PEERS, "text": "turn of 4, on disk"},
            turn_soft
            | {"ours": _SQLITE, "floor": "raw-sqlite", "limit": 70.0, "then": 24.0, "peers": PEERS, "text": "turn of 4, software"},
            turn_disk | ratio | {"ours": _FILES, "floor": "raw-file", "text": "turn of 4 to files, on disk"},
        ),
        *_each(
            "G5",
            "async append",
            {},
            soft
            | {
                "ours": _ASYNC,
                "floor": "raw-sqlite-async",
                "limit": 100.0,
                "then": 62.2,
                "peers": ("openai-agents",),
                "text": "async append, software",
            },
            disk
            | ratio
            | {"ours": _ASYNC, "floor": "raw-sqlite", "limit": 1.3, "peers": ("openai-agents",), "text": "async append, on disk"},
        ),
    ]


def _reads() -> list[Check]:
    out: list[Check] = []
    for size, limit_ms, then_ms in ((100, 2.0, 1.2), (1_000, 7.0, 7.5), (10_000, 55.0, 67.3)):
        common = {"measure": f"cold-{size}", "metric": "ms", "unit": "ms"}
        out += _each(
            "G6",
            f"open and load {size:,}",
            common,
            {"ours": _SQLITE, "floor": "raw-sqlite", "limit": limit_ms, "then": then_ms, "peers": PEERS},
            {"ours": _FILES, "floor": "raw-file", "text": f"open and load {size:,} from files"},
        )
    tail = {"measure": "tail", "metric": "ms", "unit": "ms"}
    fork = {"measure": "fork", "metric": "ms", "unit": "ms"}
    listing = {"measure": "list", "metric": "ms", "unit": "ms", "ours": _SQLITE, "floor": "raw-sqlite", "limit": 0.5, "then": 0.04}
    return [
        *out,
        *_each(
            "G7",
            "last 50 of 10,000",
            tail,
            {"ours": _SQLITE, "floor": "raw-sqlite", "limit": 0.35, "then": 0.21, "peers": PEERS},
            {
                "ours": _SQLITE,
                "floor": "raw-sqlite",
                "limit": 0.35,
                "then": 0.21,
                "measure": "tail-million",
                "text": "last 50 of 1,000,000",
            },
            {"ours": _FILES, "floor": "raw-file", "text": "last 50 of 10,000 from files"},
        ),
        *_each(
            "G8",
            "fork in the middle of 10,000",
            fork,
            {"ours": _SQLITE, "floor": "raw-sqlite", "limit": 0.5, "then": 0.25, "peers": ("agent-session-linker",)},
            {"ours": _SQLITE, "floor": "raw-sqlite", "limit": 2.0, "kind": "ratio", "text": "fork, over a pointer's insert"},
            {"ours": _SQLITE, "metric": "file_bytes", "unit": "B", "limit": 8_192.0, "text": "fork, growth of the file"},
            {"ours": _SQLITE, "metric": "branch_load", "unit": "×", "limit": 1.2, "text": "load of a branch over a plain session's"},
            {"ours": _FILES, "text": "fork on files"},
        ),
        *_each(
            "G8",
            "fork, checkpoint and restore in 10,000, over an append to it",
            {"measure": "places", "unit": "×", "ours": _SQLITE},
            *(
                {"metric": f"{name}_ratio", "limit": limit, "text": f"{name} in 10,000, over an append"}
                for name, limit in (("fork", 2.0), ("checkpoint", 2.0), ("restore", 3.0))
            ),
            {"metric": "merge_us", "unit": "µs", "text": "merge of one message in 10,000"},
            *(
                {"ours": _FILES, "metric": f"{name}_ratio", "text": f"{name} on files, over an append"}
                for name in ("fork", "checkpoint", "restore")
            ),
        ),
        *_each(
            "G9",
            "list 100 of 10,000 by owner and agent",
            listing,
            {},
            {"measure": "list-million", "text": "list 100 of 1,000,000 by owner and agent"},
            {"ours": _FILES, "floor": None, "limit": None, "text": "list 100 of 10,000 on files"},
        ),
    ]


def _many() -> list[Check]:
    rate: dict[str, Any] = {"metric": "per_s", "unit": "/s", "higher": True}
    own, own_threads = rate | {"measure": "many-tasks"}, rate | {"measure": "many-threads"}
    one, one_threads, four = rate | {"measure": "one-tasks"}, rate | {"measure": "one-threads"}, rate | {"measure": "processes"}
    tasks_floor, threads_floor = {"floor": "raw-sqlite-async"}, {"floor": "raw-sqlite-group"}
    half: dict[str, Any] = {"kind": "ratio", "limit": 0.5}
    peers_four = {"peers": ("openai-agents", "eventsourcing")}
    return [
        *_each(
            "G10",
            "16 tasks on 16 sessions",
            own,
            half | tasks_floor | {"ours": _ASYNC, "peers": ("openai-agents",)},
            {"ours": "turnfold-files-async", "text": "16 tasks on 16 sessions, files"},
        ),
        *_each(
            "G10",
            "16 threads on 16 sessions",
            own_threads,
            half | threads_floor | {"ours": _SQLITE, "peers": ("eventsourcing",)},
            {"ours": _FILES, "text": "16 threads on 16 sessions, files"},
        ),
        *_each(
            "G11",
            "16 tasks on one session",
            one,
            tasks_floor | {"ours": _ASYNC, "limit": 12_000.0, "then": 32_136.0, "peers": ("openai-agents",)},
            {"ours": "turnfold-files-async", "text": "16 tasks on one session, files"},
            {"ours": "turnfold-memory-async", "text": "16 tasks on one session, memory"},
        ),
        *_each(
            "G11",
            "16 threads on one session",
            one_threads,
            threads_floor | {"ours": _SQLITE, "limit": 12_000.0, "then": 16_369.0, "peers": ("eventsourcing", "agent-session-linker")},
            threads_floor
            | {
                "ours": _SQLITE,
                "metric": "lost",
                "unit": "lost",
                "higher": False,
                "limit": 0.0,
                "peers": ("eventsourcing", "agent-session-linker"),
            }
            | {"text": "16 threads on one session: lost"},
            {"ours": _MEMORY, "text": "16 threads on one session, memory"},
        ),
        *_each(
            "G11",
            "4 processes on one session",
            four,
            {"ours": _SQLITE, "floor": "raw-sqlite", "limit": 2_500.0, "then": 3_780.0} | peers_four,
            {"ours": _SQLITE, "floor": "raw-sqlite", "metric": "lost", "unit": "lost", "higher": False, "limit": 0.0}
            | peers_four
            | {"text": "4 processes on one session: lost"},
            {"ours": _FILES, "text": "4 processes on one session, files"},
        ),
    ]


def _rest() -> list[Check]:
    load: dict[str, Any] = {"measure": "import", "ours": _SQLITE, "floor": "raw-sqlite", "peers": PEERS}
    follow: dict[str, Any] = {"measure": "follow", "unit": "ms"}
    port: dict[str, Any] = {"measure": "port", "ours": _MEMORY}
    return [
        *_each(
            "G14",
            "disk over raw JSON, live",
            {"measure": "disk", "metric": "live", "unit": "×"},
            {"ours": _SQLITE, "limit": 1.40},
            {"ours": _FILES, "limit": 1.40, "text": "disk over raw JSON, live, files"},
            {"ours": _SQLITE, "metric": "transcripts_live", "text": "disk over transcripts, live"},
            {"ours": _SQLITE, "metric": "transcripts_log_compacted", "limit": 0.45, "text": "disk over transcripts, compacted"},
            {
                "ours": _SQLITE,
                "metric": "transcripts_compacted",
                "text": "disk over transcripts, compacted, with the search index",
            },
            {"ours": _FILES, "metric": "transcripts_compacted", "limit": 0.45, "text": "disk over transcripts, compacted, files"},
            {"ours": _SQLITE, "metric": "compacted", "text": "disk over raw JSON of random words, compacted"},
            {"ours": _FILES, "metric": "compacted", "text": "disk over raw JSON of random words, compacted, files"},
            {"ours": _SQLITE, "metric": "cold_ratio", "text": "loading a compacted session of 10,000 over a live one"},
            {"ours": _SQLITE, "metric": "tail_ms_after", "unit": "ms", "text": "the last 50 of a compacted session"},
            {"ours": _SQLITE, "metric": "beside_p99_us", "unit": "µs", "text": "append beside the compacting, p99"},
        ),
        *_each(
            "G14",
            "written per append",
            {"measure": "append-long", "metric": "written_bytes", "unit": "B"},
            {"ours": _SQLITE, "limit": 16_384.0},
            {"ours": _FILES, "text": "written per append to files"},
        ),
        *_each(
            "G15",
            "import and open: CPU",
            load,
            {"metric": "cpu_ms", "unit": "ms", "limit": 40.0, "then": 6.0},
            {"metric": "rss_mb", "unit": "MB", "limit": 10.0, "text": "import and open: memory"},
            {"metric": "gc_ms", "unit": "ms", "limit": 3.0, "then": 0.4, "text": "a full garbage collection after it"},
            {"metric": "cpu_ms", "unit": "ms", "ours": _FILES, "peers": (), "floor": None, "text": "import and open files: CPU"},
        ),
        *_each(
            "G16",
            "follow from another process, p50",
            follow,
            {"ours": _SQLITE, "floor": "raw-sqlite-inotify", "metric": "ms", "limit": 1.0, "then": 0.04},
            {
                "ours": _SQLITE,
                "floor": "raw-sqlite-inotify",
                "metric": "p99_ms",
                "limit": 2.0,
                "then": 0.17,
                "text": "follow from another process, p99",
            },
            {"ours": _FILES, "metric": "ms", "text": "follow files from another process, p50"},
            {"ours": _FILES, "metric": "p99_ms", "text": "follow files from another process, p99"},
        ),
        *_each(
            "G18",
            "memory commit at the port",
            port,
            {"metric": "us", "unit": "µs", "limit": 5.0, "floor": "raw-dict", "peers": ("eventsourcing-memory",)},
            {"metric": "at_100000_us", "unit": "µs", "limit": 5.0, "text": "the 100,000th memory commit at the port"},
        ),
    ]


def _postgresql() -> list[Check]:
    sync = {"ours": "turnfold-postgresql", "floor": "raw-postgresql"}
    tasks = {"ours": "turnfold-postgresql-async", "floor": "raw-postgresql-async"}
    soft: dict[str, Any] = {"measure": "postgresql-soft", "metric": "us", "unit": "µs"}
    ratio: dict[str, Any] = {"kind": "ratio"}
    rate: dict[str, Any] = {"metric": "per_s", "unit": "/s", "higher": True}
    follow = {"measure": "postgresql-follow", "unit": "ms", "ours": "turnfold-postgresql", "floor": "raw-postgresql-notify"}
    return [
        *_each(
            "G12",
            "PostgreSQL: append, software",
            soft,
            sync | {"limit": 90.0, "then": 58.0},
            sync | ratio | {"limit": 1.5, "text": "PostgreSQL: append, software, over the floor"},
            tasks | {"limit": 170.0, "then": 111.0, "text": "PostgreSQL: async append, software"},
            tasks | ratio | {"limit": 1.5, "text": "PostgreSQL: async append, software, over the floor"},
            sync | ratio | {"measure": "postgresql-disk", "limit": 1.25, "text": "PostgreSQL: append, on disk"},
        ),
        *_each(
            "G12",
            "PostgreSQL: 16 threads on one session",
            rate | sync,
            {"measure": "postgresql-one", "limit": 3_000.0, "then": 4_143.0},
            {"measure": "postgresql-one", "metric": "lost", "unit": "lost", "higher": False, "limit": 0.0}
            | {"text": "PostgreSQL: 16 threads on one session: lost"},
            {"measure": "postgresql-many", "limit": 7_000.0, "then": 14_779.0, "text": "PostgreSQL: 16 threads on 16 sessions"},
        ),
        *_each(
            "G16",
            "PostgreSQL: follow from another process, p50",
            follow,
            {"metric": "ms", "limit": 0.5, "then": 0.16},
            {"metric": "p99_ms", "limit": 1.5, "then": 0.41, "text": "PostgreSQL: follow from another process, p99"},
        ),
    ]


def _redis() -> list[Check]:
    ours: dict[str, Any] = {"ours": "turnfold-redis", "floor": "raw-redis"}
    us: dict[str, Any] = {"metric": "us", "unit": "µs"}
    rate: dict[str, Any] = {"metric": "per_s", "unit": "/s", "higher": True}
    follow: dict[str, Any] = {"measure": "redis-follow", "unit": "ms"} | ours
    return [
        *_each(
            "G13",
            "append to Redis",
            us | ours,
            {"measure": "redis-append", "kind": "ratio", "limit": 1.4},
            {"measure": "redis-append", "ours": "turnfold-redis-async", "kind": "ratio", "text": "async append to Redis"},
            {"measure": "redis-append-disk", "kind": "ratio", "text": "append to Redis, on disk"},
        ),
        *_each(
            "G13",
            "one hot session on Redis",
            rate,
            {"measure": "redis-tasks", "ours": "turnfold-redis-async", "limit": 10_000.0, "text": "16 tasks on one session, Redis"},
            ours | {"measure": "redis-threads", "limit": 10_000.0, "text": "16 threads on one session, Redis"},
            ours | {"measure": "redis-processes", "text": "4 processes on one session, Redis"},
            ours
            | {
                "measure": "redis-processes",
                "metric": "lost",
                "unit": "lost",
                "higher": False,
                "limit": 0.0,
                "text": "4 processes on one session, Redis: lost",
            },
        ),
        *_each("G6", "open and load 10,000 from Redis", {"measure": "redis-cold", "metric": "ms", "unit": "ms"}, ours),
        *_each("G7", "last 50 of 10,000 on Redis", {"measure": "redis-tail", "metric": "ms", "unit": "ms"}, ours),
        *_each(
            "G16",
            "follow on Redis from another process, p50",
            follow,
            {"metric": "ms", "limit": 0.2, "then": 0.02},
            {"metric": "p99_ms", "limit": 0.5, "then": 0.08, "text": "follow on Redis from another process, p99"},
        ),
    ]
