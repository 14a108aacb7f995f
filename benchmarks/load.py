"""``python -m benchmarks.load STORE…``: N processes on M sessions, everything at once, and in the end: is all of it there, once?

STORE is a store URL, or the name of a store (``sqlite``, ``files``, ``redis``, ``postgresql``, ``s3``), which is then made in a temporary
folder, with a server of its own where it needs one. Latencies are those of whole calls of the client; ``follow`` is the time from before
an append, in whatever process, until a follower holds the event. ``lost``, ``doubled`` and ``gaps`` must be 0: the run ends with status 1
where they are not.
"""

from __future__ import annotations

import argparse
import json
import secrets
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

import turnfold as tf
from benchmarks.histogram import Histogram
from benchmarks.load_child import TENANT, Job, Outcome
from turnfold.model.session import SessionKey
from turnfold.testing.looking import read_log

MIX = {"append": 60, "read": 25, "page": 8, "list": 4, "fork": 3}
PERCENTS = (50, 90, 99)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.load", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("stores", nargs="+", metavar="STORE")
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--sessions", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--text-bytes", type=int, default=400, help="size of a message")
    parser.add_argument("--mix", default=",".join(f"{name}={weight}" for name, weight in MIX.items()), help="weights of the operations")
    parser.add_argument("--no-follow", action="store_true", help="without a follower in each process")
    parser.add_argument("--json", action="store_true", help="print one JSON object per store")
    return parser.parse_args()


@contextmanager
def _store(name: str) -> Iterator[str]:
    """Give the URL of a store that is named by its URL or by its kind."""
    if ":" in name:
        yield name
        return
    from tests.places import PLACES  # needs pytest and the servers' programs; a URL does not

    with tempfile.TemporaryDirectory() as folder:
        place = PLACES[name](Path(folder))
        place.start()
        try:
            yield place.url
        finally:
            place.stop()


def run(url: str, args: argparse.Namespace) -> dict[str, Any]:
    """Load one store; return the figures."""
    prefix = f"load-{secrets.token_hex(4)}-"
    mix = {name: int(weight) for name, weight in (item.split("=") for item in args.mix.split(","))}
    jobs = [
        Job(url, prefix, number, args.sessions, args.seconds, args.text_bytes, mix, follow=not args.no_follow)
        for number in range(args.processes)
    ]
    children = [
        subprocess.Popen([sys.executable, "-m", "benchmarks.load_child"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in jobs
    ]
    for child, job in zip(children, jobs, strict=True):
        assert child.stdin is not None
        child.stdin.write(msgspec.json.encode(job).decode() + "\n")
        child.stdin.flush()
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n", "a process did not come up; its error is above"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    outcomes = [msgspec.json.decode(child.communicate()[0], type=Outcome) for child in children]
    return {
        "store": tf.connect(url).store.url.split("?", 1)[0],
        **_figures(outcomes),
        "check": _check(url, prefix, args.sessions, outcomes),
    }


def _figures(outcomes: list[Outcome]) -> dict[str, Any]:
    merged: dict[str, Histogram] = {}
    errors: Counter[str] = Counter()
    for outcome in outcomes:
        errors.update(outcome.errors)
        for name, raw in outcome.histograms.items():
            merged.setdefault(name, Histogram()).merge(Histogram.from_json(raw))
    elapsed_s = max(outcome.elapsed_s for outcome in outcomes)
    operations = {
        name: {
            "count": histogram.count,
            "per_s": round(histogram.count / elapsed_s, 1),
            **{f"p{percent}_us": round(histogram.percentile_us(percent)) for percent in PERCENTS},
            "max_us": round(histogram.max_us),
        }
        for name, histogram in sorted(merged.items())
    }
    return {"elapsed_s": round(elapsed_s, 2), "operations": operations, "errors": dict(errors)}


def _check(url: str, prefix: str, session_count: int, outcomes: list[Outcome]) -> dict[str, int]:
    """Compare what is there with what was acknowledged; what was not may be there once or not at all."""
    found: Counter[str] = Counter(lost=0, doubled=0, gaps=0, forks_wrong=0, events=0)
    found["followers_wrong"] = sum(not outcome.followed_ok for outcome in outcomes)
    with tf.connect(url) as client:
        for index in range(session_count):
            session_id = f"{prefix}{index}"
            try:
                events, _ = read_log(client.store, SessionKey(TENANT, session_id))
            except tf.SessionNotFound:
                found["lost"] += sum(len(outcome.acknowledged.get(session_id, ())) for outcome in outcomes)
                continue
            ids = Counter(event.id for event in events)
            found["events"] += len(events)
            found["gaps"] += [event.seq for event in events] != list(range(1, len(events) + 1))
            found["doubled"] += sum(count - 1 for count in ids.values())
            for number, outcome in enumerate(outcomes):
                found["lost"] += sum(f"{number}.{place}" not in ids for place in outcome.acknowledged.get(session_id, ()))
            forks = sum(event.type == "branch.created" for event in events)
            sure = sum(outcome.forks.get(session_id, 0) for outcome in outcomes)
            unsure = sum(outcome.unknown_forks.get(session_id, 0) for outcome in outcomes)
            found["forks_wrong"] += not sure <= forks <= sure + unsure
            client.verify(session_id)
    return dict(found)


def _table(figures: dict[str, Any]) -> str:
    head = f"{'operation':<10}{'count':>9}{'per s':>10}{'p50 ms':>10}{'p90 ms':>10}{'p99 ms':>10}{'max ms':>10}"
    rows = [
        f"{name:<10}{row['count']:>9}{row['per_s']:>10}"
        + "".join(f"{row[key] / 1_000:>10.2f}" for key in ("p50_us", "p90_us", "p99_us", "max_us"))
        for name, row in figures["operations"].items()
    ]
    facts = "  ".join(f"{name} {value}" for name, value in (*figures["check"].items(), *figures["errors"].items()))
    return "\n".join((figures["store"], head, *rows, facts, ""))


def is_sound(figures: dict[str, Any]) -> bool:
    """Whether nothing was lost, doubled or out of order."""
    return not any(value for name, value in figures["check"].items() if name != "events")


def main() -> int:
    """Load every store that was named."""
    args = _arguments()
    sound = True
    for name in args.stores:
        with _store(name) as url:
            figures = run(url, args)
        print(json.dumps(figures) if args.json else _table(figures), flush=True)
        sound = sound and is_sound(figures)
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
