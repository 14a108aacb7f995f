"""``python -m benchmarks``: measure, print verdicts, write them down."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.goals import checks
from benchmarks.machine import describe
from benchmarks.plan import Measure, measures
from benchmarks.report import Verdict, as_json, judge, lines, table
from benchmarks.series import Results, Runner


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", default="", help="goals, for example G1,G2")
    parser.add_argument("--contestants", default="", help="only these, for example turnfold-sqlite,raw-sqlite")
    parser.add_argument("--repeats", type=int, default=5, help="interleaved rounds")
    parser.add_argument("--quick", action="store_true", help="shorter runs, two rounds")
    parser.add_argument(
        "--large", action="store_true", help="also a session of 1,000,000 events and 1,000,000 sessions (minutes, gigabytes)"
    )
    parser.add_argument("--realtime", action="store_true", help="run under chrt -r 1: on a busy machine a wake-up else costs up to 4 ms")
    parser.add_argument("--disk", type=Path, help="folder of the durable series (default: the temporary folder)")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"), help="folder of results.json and results.md")
    parser.add_argument("-v", "--verbose", action="store_true", help="print every run")
    return parser.parse_args()


def _chosen(measure: Measure, names: list[str]) -> Measure:
    if not names:
        return measure
    kept = tuple(name for name in measure.contestants if name in names)
    return Measure(**{name: getattr(measure, name) for name in measure.__struct_fields__} | {"contestants": kept})


def main() -> int:
    """Run what was asked for; 0 if every judged goal is met."""
    args = _arguments()
    goals = [goal for goal in args.only.upper().split(",") if goal]
    wanted = [check for check in checks() if not goals or check.goal in goals]
    names = [name for name in args.contestants.split(",") if name]
    keys = {check.measure for check in wanted}
    runner = Runner(
        repeats=2 if args.quick else args.repeats,
        quick=args.quick,
        realtime=args.realtime,
        disk=args.disk,
        say=lambda text: print(text, file=sys.stderr, flush=True) if args.verbose or not text.startswith("[") else None,
    )
    verdicts: list[Verdict] = []
    runs: dict[str, Results] = {}
    try:
        facts = describe(runner.disk, runner.memory)
        print(" · ".join(f"{name} {value}" for name, value in facts.items()), flush=True)
        for measure in measures():
            if measure.key not in keys or (measure.large and not args.large):
                continue
            runs[measure.key] = runner.run(_chosen(measure, names))
            found = [
                verdict for check in wanted if check.measure == measure.key and (verdict := judge(check, runs[measure.key])) is not None
            ]
            print("\n".join(lines(found)), flush=True)
            verdicts += found
    finally:
        runner.close()
    verdicts.sort(key=lambda verdict: int(verdict.goal[1:]))
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "results.json").write_bytes(as_json(verdicts, facts, runs))
    (args.out / "results.md").write_text(table(verdicts), encoding="utf-8")
    missed = [verdict for verdict in verdicts if verdict.word in {"GAP", "WRONG"}]
    print(f"{sum(verdict.word == 'PASS' for verdict in verdicts)} met, {len(missed)} not met; written to {args.out}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
