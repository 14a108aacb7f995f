"""``python -m benchmarks.importing``: megabytes of session files a second into SQLite, on one core, beside a hand-written floor.

The files are real sessions of a corpus (``TURNFOLD_SHARED_DIR``), one after the other and as often as it takes to reach ``--mb``; further
copies get ids of their own, or their lines would be known repetitions. Each run is a fresh process bound to one core, with a new store on
tmpfs; runs of the contestants take turns, and the best of each counts (what a shared machine adds is never negative).

Ours keeps every line byte for byte (read back and compared after each run), projects it, digests it, and has it in the log's indexes and,
with full text, in the search index. The floor is the least that could be called an archive with an index: read a line, parse it, hash it,
insert it beside its hash and an id, insert the terms. It projects nothing, finds out no terms (they are given to it), has one table, and
settings as favourable as ours.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

TOOLS = {"claude-code": "Claude Code", "codex": "Codex"}
CONTESTANTS = ("ours", "ours-full-text", "floor", "floor-full-text", "floor-compressed")
REAL_BYTES_MIN = 100_000
BATCH_LINES = 2_000
GOAL_MB_S = 30
MARK = "@@RESULT "
_uuid = re.compile(rb"[0-9a-f]{8}(?=-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})")


def make_source(corpus: Path, tool: str, mb: float, path: Path) -> None:
    """Write the sessions of a tool into one file until it has the size."""
    found = [
        known
        for known in sorted((corpus / tool).rglob("*.jsonl"))
        if known.stat().st_size >= REAL_BYTES_MIN and not {"subagents", "generated"} & set(known.parts) and "shapes" not in known.name
    ]
    if not found:
        sys.exit(f"{corpus / tool} has no sessions; name a corpus with --corpus")
    copy = 0
    with path.open("wb") as file:
        while file.tell() < mb * 1_000_000:
            for known in found:
                data = known.read_bytes()
                if copy:
                    data = _uuid.sub(lambda match, copy=copy: b"%08x" % (int(match[0], 16) ^ copy * 0x10001), data)  # type: ignore[misc]
                file.write(data if data.endswith(b"\n") else data + b"\n")
            copy += 1


# ---- one run, in a process of its own ----------------------------------------------------------------------------------------------------
def ours(tool: str, source: Path, folder: Path, *, full_text: bool) -> dict[str, Any]:
    """Import through the importer."""
    from turnfold.engine.importer import Importer
    from turnfold.ports.store import SEARCH_INDEX
    from turnfold.stores.sqlite import SqliteStore

    store = SqliteStore(folder / "ours.db")
    if not full_text:
        store.capabilities -= {SEARCH_INDEX}
    importer = Importer(store)
    timing = _Timing()
    outcome = importer.import_file(source, tool).files[0]
    result = timing.result(source)
    from turnfold.engine.importing.kept import kept_lines
    from turnfold.model.session import SessionKey

    assert outcome.session_id is not None
    digest = hashlib.sha256()
    for line in kept_lines(store, SessionKey("default", outcome.session_id), None):
        digest.update(line)
    assert digest.digest() == _digest_of(source), "a line came back as another one"
    store.close()
    return result | {"events": outcome.event_count}


def terms(tool: str, source: Path, folder: Path) -> dict[str, Any]:
    """Write down the terms that an import puts into the index, for the floor."""
    from turnfold.engine.importer import Importer
    from turnfold.stores.sqlite import SqliteStore

    found: list[tuple[int, str]] = []

    class Noting(SqliteStore):
        def advance(self, follower: str, key: Any, **fields: Any) -> bool:
            found.extend((row.seq, row.terms) for row in fields["rows"])
            return super().advance(follower, key, **fields)

    store = Noting(folder / "terms.db")
    Importer(store).import_file(source, tool)
    store.close()
    source.with_suffix(".terms").write_bytes(msgspec.msgpack.encode(found))
    return {}


def floor(source: Path, folder: Path, *, full_text: bool, compressed: bool) -> dict[str, Any]:
    """Keep lines, their hashes and ids, and with full text the given terms."""
    texts: list[tuple[int, str]] = []
    if full_text:
        texts = msgspec.msgpack.decode(source.with_suffix(".terms").read_bytes(), type=list[tuple[int, str]])
    timing = _Timing()
    connection = sqlite3.connect(folder / "floor.db", isolation_level=None)
    for statement in (
        "PRAGMA journal_mode = WAL",
        "PRAGMA cache_size = -8192",
        "CREATE TABLE log(seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, at TEXT, digest BLOB NOT NULL, line BLOB NOT NULL) STRICT",
        "CREATE VIRTUAL TABLE search USING fts5(terms, content='', columnsize=0, tokenize=\"ascii tokenchars '_'\")",
        "INSERT INTO search(search, rank) VALUES('hashsize', 4194304)",
        "INSERT INTO search(search, rank) VALUES('automerge', 16)",
    ):
        connection.execute(statement)
    at = 0
    for rows in _floor_batches(source, compressed=compressed):
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO log(seq, id, at, digest, line) VALUES(?, ?, ?, ?, ?)", rows)
        first = at
        while at < len(texts) and texts[at][0] <= rows[-1][0]:
            at += 1
        connection.executemany("INSERT INTO search(rowid, terms) VALUES(?, ?)", texts[first:at])
        connection.execute("COMMIT")
    result = timing.result(source)
    digest = hashlib.sha256()
    for (line,) in connection.execute("SELECT line FROM log ORDER BY seq"):
        digest.update(zlib.decompress(line) if compressed else line)
    assert digest.digest() == _digest_of(source)
    connection.close()
    return result


def _floor_batches(source: Path, *, compressed: bool) -> Iterator[list[tuple[int, str, str | None, bytes, bytes]]]:
    decode = msgspec.json.Decoder().decode
    sha256 = hashlib.sha256
    rows: list[tuple[int, str, str | None, bytes, bytes]] = []
    with source.open("rb", buffering=1 << 20) as file:
        for seq, line in enumerate(file, 2):
            digest = sha256(line).digest()
            try:
                value = decode(line)
            except msgspec.DecodeError:
                value = None
            at = value.get("timestamp") if isinstance(value, dict) else None
            rows.append((seq, f"{seq}.{digest[:8].hex()}", at, digest, zlib.compress(line, 1) if compressed else line))
            if len(rows) == BATCH_LINES:
                yield rows
                rows = []
    if rows:
        yield rows


class _Timing:
    """CPU time and time since it was made, and the most memory the process ever had."""

    def __init__(self) -> None:
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def result(self, source: Path) -> dict[str, Any]:
        cpu, wall = time.process_time() - self._cpu, time.perf_counter() - self._wall
        mb = source.stat().st_size / 1_000_000
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return {"cpu_mb_s": mb / cpu, "wall_mb_s": mb / wall, "cpu_ms_per_mb": cpu / mb * 1_000, "peak_mib": peak}


def _digest_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _child(name: str, tool: str, source: Path, folder: Path) -> dict[str, Any]:
    if name.startswith("ours"):
        return ours(tool, source, folder, full_text=name.endswith("full-text"))
    if name == "terms":
        return terms(tool, source, folder)
    return floor(source, folder, full_text=name.endswith("full-text"), compressed=name.endswith("compressed"))


# ---- the series --------------------------------------------------------------------------------------------------------------------------
def _run(name: str, tool: str, source: Path, core: int) -> dict[str, Any]:
    """Run one contestant in a fresh process on one core, with a new folder for its store."""
    with tempfile.TemporaryDirectory(dir=source.parent) as folder:
        command = [sys.executable, "-m", "benchmarks.importing", "--child", name, tool, str(source), folder]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, preexec_fn=lambda: os.sched_setaffinity(0, {core}))
    result: dict[str, Any] = json.loads(done.stdout.rpartition(MARK)[2])
    return result


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.importing", description="Import speed on one core.")
    shared = Path(os.environ.get("TURNFOLD_SHARED_DIR", "../shared"))
    parser.add_argument("--corpus", type=Path, default=shared / "data/transcripts", help="folder with claude-code/ and codex/")
    parser.add_argument("--mb", type=float, default=40, help="size of each source at least")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default=",".join(CONTESTANTS), help=f"some of {','.join(CONTESTANTS)}")
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)))
    parser.add_argument("--folder", type=Path, default=Path("/dev/shm" if Path("/dev/shm").is_dir() else tempfile.gettempdir()))
    parser.add_argument("--child", nargs=4, metavar=("NAME", "TOOL", "SOURCE", "FOLDER"), help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    """Measure; 0 if both tools' files reach the goal with full text."""
    args = _arguments()
    if args.child:
        name, tool, source, folder = args.child
        print(MARK + json.dumps(_child(name, tool, Path(source), Path(folder))))
        return 0
    names = args.only.split(",")
    is_met = True
    with tempfile.TemporaryDirectory(dir=args.folder) as place:
        for tool, title in TOOLS.items():
            source = Path(place) / f"{tool}.jsonl"
            make_source(args.corpus, tool, args.mb, source)
            if "floor-full-text" in names:
                _run("terms", tool, source, args.core)
            runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
            for _ in range(args.rounds):
                for name in names:
                    runs[name].append(_run(name, tool, source, args.core))
            print(f"{title}: {source.stat().st_size / 1e6:.1f} MB")
            for name, found in runs.items():
                best = max(found, key=lambda run: float(run["cpu_mb_s"]))
                rounds = " ".join(f"{run['cpu_mb_s']:.1f}" for run in found)
                wall = max(run["wall_mb_s"] for run in found)
                peak = max(run["peak_mib"] for run in found)
                print(
                    f"  {name:17} {best['cpu_mb_s']:5.1f} MB/s of CPU time ({best['cpu_ms_per_mb']:.1f} ms/MB), {wall:5.1f} of clock time, ",
                    end="",
                )
                print(f"peak {peak:.0f} MiB; rounds {rounds}", flush=True)
                is_met = is_met and (name != "ours-full-text" or best["cpu_mb_s"] >= GOAL_MB_S)
            source.unlink()
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
