"""What a log takes on the disk, live and compacted, what reading it costs then, and what an append feels of the compacting (goal G14).

Transcripts of real tools are held to the goal, where there are some: their files are the raw JSON. The generated conversation is shown: its prose is
drawn from 3,000 words at random, and even whole it compresses to 0.40 only. Sizes are those of closed stores: a database without its
log, which is copied into it when it is closed. ``python -m benchmarks.disk FOLDER`` measures any folder of transcripts.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks.conversation import conversation, openai_items
from benchmarks.timing import Result, folder_bytes, median, now_ns, percentile

SIZE = 10_000
DAYS_LATER_US = 3 * 86_400_000_000
ROUNDS = 7


async def disk(who: Any, *, size: int = SIZE, appends: int = 1_500, transcripts: str = "") -> Result:
    """Write a session, let days go by, compact it, and read it before and after; import transcripts and do the same."""
    raw = sum(len(json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode()) for item in openai_items(conversation(size)))
    who.durable = who.background = False
    who.open()
    handle = who.session("s", "u1", "a1", new=True)
    natives = who.native(conversation(size))
    for at in range(0, size, 4):
        who.append(handle, natives[at : at + 4])
    who.close()
    live = folder_bytes(who.folder)
    before = _reads(who)
    sealed, compact_ms = compacted(who)
    after = _reads(who)
    verified = before.pop("loaded") == after.pop("loaded")
    beside = _beside(who, appends)
    if transcripts:
        beside |= _transcripts(who, Path(transcripts))
    return {
        "raw_bytes": raw,
        "live": live / raw,
        "compacted": sealed / raw,
        "compact_ms": compact_ms,
        **{f"{name}_before": value for name, value in before.items()},
        **{f"{name}_after": value for name, value in after.items()},
        "cold_ratio": after["load_ms"] / before["load_ms"],
        "tail_ratio": after["tail_ms"] / before["tail_ms"],
        **beside,
        "verified": verified,
    }


def _reads(who: Any) -> dict[str, Any]:
    """The middle times of loading all, and the last 50, each with a store that was opened for it, so that no block is known."""
    loads: list[int] = []
    tails: list[int] = []
    loaded: Any = None
    for _ in range(ROUNDS):
        who.open()
        handle = who.session("s", "u1", "a1", new=False)
        begin = now_ns()
        who.tail(handle, 50)
        tails.append(now_ns() - begin)
        who.close()
        who.open()
        handle = who.session("s", "u1", "a1", new=False)
        begin = now_ns()
        loaded = who.load(handle)
        loads.append(now_ns() - begin)
        who.close()
    return {"load_ms": median(loads) / 1e6, "tail_ms": median(tails) / 1e6, "loaded": loaded}


def compacted(who: Any) -> tuple[int, float]:
    """Compact everything as it would be three days later; return the bytes that are left, and how long it took."""
    store = open_later(who)
    begin = now_ns()
    while store.compact().more:
        pass
    took = (now_ns() - begin) / 1e6
    reclaim = getattr(store, "reclaim", None)
    if reclaim is not None:
        reclaim()
    store.close()
    return folder_bytes(who.folder), took


def open_later(who: Any) -> Any:
    """Open the contestant's store with a clock that is three days ahead."""
    from turnfold.stores.files import FilesStore
    from turnfold.stores.sqlite import SqliteStore

    def clock() -> int:
        return time.time_ns() // 1_000 + DAYS_LATER_US

    path, _, options = who.url().split("://")[1].removeprefix("/").partition("?")
    durability = "normal" if "normal" in options else "full"
    return (FilesStore if who.SCHEME == "files" else SqliteStore)(path, clock=clock, durability=durability)


def _beside(who: Any, count: int) -> dict[str, float]:
    """Times of appends to one session, alone and while long other ones are being compacted, with a sync for each."""
    import turnfold

    natives = who.native(conversation(2_000))
    who.open()
    for name in ("big1", "big2"):
        handle = who.session(name, "u1", "a1", new=True)
        for _ in range(10):
            who.append(handle, natives)
    who.close()
    who.durable = True
    store = open_later(who)
    who.client = turnfold.connect(store, upkeep=False)
    handle = who.session("hot", "u1", "a1", new=True)
    alone = _append_times(who, handle, natives, count)
    compacting = threading.Thread(target=_compact_all, args=(store,))
    compacting.start()
    both: list[int] = []
    while compacting.is_alive() and len(both) < 20 * count:
        both += _append_times(who, handle, natives, 20)
    compacting.join()
    who.close()
    store.close()
    return {
        "append_p50_us": median(alone) / 1e3,
        "append_p99_us": percentile(alone, 0.99) / 1e3,
        "beside_p50_us": median(both) / 1e3,
        "beside_p99_us": percentile(both, 0.99) / 1e3,
        "beside_max_us": max(both) / 1e3,
        "beside_count": float(len(both)),
    }


def _compact_all(store: Any) -> None:
    while store.compact(sessions_max=1).more:
        pass


def _append_times(who: Any, handle: Any, natives: list[Any], count: int) -> list[int]:
    times: list[int] = []
    for index in range(count):
        batch = who.batch(natives[index : index + 1])
        begin = now_ns()
        who.append(handle, batch)
        times.append(now_ns() - begin)
    return times


def _transcripts(who: Any, folder: Path) -> dict[str, float]:
    """What an import takes, live and compacted, over the bytes of its files; of a database also without its search index."""
    who.durable = False
    who.folder = who.folder.with_name(f"{who.folder.name}-transcripts")
    who.folder.mkdir()
    who.open()
    result = who.client.import_files([folder])
    files = {Path(one.path.partition("#")[0]) for one in result.files if one.session_id}  # a document holds many
    raw = sum(file.stat().st_size for file in files if file.is_file())
    who.client.catch_up()
    who.close()
    live = folder_bytes(who.folder)
    sealed, took = compacted(who)
    out = {"raw_bytes": float(raw), "live": live / raw, "compacted": sealed / raw, "compact_ms": took, "log_compacted": sealed / raw}
    if who.SCHEME == "sqlite":
        out["log_compacted"] = _without_index(next(who.folder.glob("*.db"))) / raw
    return {f"transcripts_{key}": value for key, value in out.items()}


def _without_index(path: Path) -> int:
    """The bytes of a database without its search index."""
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in ("DROP TABLE search", "DELETE FROM search_row", "VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"):
        connection.execute(statement).fetchall()
    connection.close()
    return path.stat().st_size


def main(folder: Path) -> None:
    """Print what transcripts take in each store."""
    from benchmarks.contestant import everyone

    for name in ("turnfold-sqlite", "turnfold-files"):
        with tempfile.TemporaryDirectory() as place:
            who = everyone()[name](Path(place) / "store", durable=False)
            figures = _transcripts(who, folder)
        sys.stdout.write(name + "".join(f"\n    {key} {value:,.3f}" for key, value in figures.items()) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
