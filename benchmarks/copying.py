"""``python -m benchmarks.copying [TARGET…]``: how long a copy takes and what memory it needs, beside SQLite's own backup of the same file.

The source is a SQLite file with many small sessions, or with one large one. TARGET is ``sqlite`` (the default), ``files``, ``postgresql``,
``redis``, ``s3``, ``composite`` or ``memory``, made in a temporary folder with a server of its own where it needs one. Every step runs
in a process of its own; memory is its peak above that of a process that has opened both stores.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import turnfold as tf
from turnfold.connecting import open_configured

MIB = 1024 * 1024
EVENTS_PER_COMMIT = 100


class Took(NamedTuple):
    """A step: seconds, peak memory above the start, events written or compared."""

    seconds: float
    memory_mib: float
    event_count: int


def make(url: str, sessions: int, events: int, text_bytes: int) -> None:
    """Fill a store: so many sessions with so many messages each."""
    text = "x" * text_bytes
    with tf.connect(url, upkeep=False) as client:
        for number in range(sessions):
            session = client.open(f"s{number}")
            for start in range(0, events, EVENTS_PER_COMMIT):
                session.append([tf.user(f"{index} {text}") for index in range(start, min(start + EVENTS_PER_COMMIT, events))])


def copy(source: str, target: str, verify_only: str = "") -> Took:
    """Copy or compare, and check that nothing is amiss."""
    one, other = (open_configured(url, integrity_key=None, keyring=None) for url in (source, target))
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    report = tf.copy(one, other, verify_only=bool(verify_only))
    took = time.perf_counter() - began
    assert not report.problems, report.problems
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    one.close()
    other.close()
    return Took(took, (peak - before) / 1024, report.event_count)


def backup(source: str, target: str) -> Took:
    """The online backup of the source: the floor of any copy of it."""
    began = time.perf_counter()
    report = tf.backup(source, target)
    return Took(time.perf_counter() - began, 0, int(report.facts["event_count"]))


def apart(work: Callable[..., Took], *args: str) -> Took:
    """Run a step in a new process."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(work, *args).result()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.copying", description=__doc__)
    parser.add_argument("targets", nargs="*", default=["sqlite"], metavar="TARGET")
    parser.add_argument("--sessions", type=int, default=2_000, help="small sessions, of five messages each")
    parser.add_argument("--large-mib", type=int, default=100, help="size of the one large session")
    args = parser.parse_args()
    from tests.places import PLACES  # needs pytest and the servers' programs

    for name in args.targets:
        for what, sessions, events, text_bytes in (
            (f"{args.sessions} sessions of 5 messages", args.sessions, 5, 300),
            (f"one session of {args.large_mib} MiB", 1, args.large_mib * 100, MIB // 100),
        ):
            with tempfile.TemporaryDirectory() as scratch:
                place = PLACES[name](Path(scratch) / "target")
                place.start()
                try:
                    source = f"sqlite:///{scratch}/source.db"
                    make(f"{source}?durability=normal", sessions, events, text_bytes)
                    print(f"\n{name}: {what}")
                    show("SQLite's backup", apart(backup, source, f"{scratch}/backup.db"))
                    show("first copy", apart(copy, source, place.url))
                    if place.shared:
                        show("nothing changed", apart(copy, source, place.url))
                        show("compare all", apart(copy, source, place.url, "verify only"))
                finally:
                    place.stop()


def show(step: str, took: Took) -> None:
    rate = f"{took.event_count / took.seconds:>9,.0f} events/s" if took.event_count else ""
    print(f"  {step:<16} {took.seconds:7.2f} s {took.memory_mib:7.0f} MiB {rate}")


if __name__ == "__main__":
    main()
