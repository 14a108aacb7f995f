"""From results to verdicts: lines on the terminal, a Markdown table, JSON."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.goals import checks
from benchmarks.plan import Check
from benchmarks.series import Results


class Spread(msgspec.Struct, frozen=True):
    """Smallest, middle and largest of some runs."""

    low: float
    middle: float
    high: float

    def text(self, unit: str) -> str:
        """As it is printed."""
        parts = [_number(value) for value in (self.low, self.middle, self.high)]
        return f"{'–'.join(parts)} {unit}" if len(set(parts)) > 1 else f"{parts[0]} {unit}"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """A check with its figures."""

    goal: str
    text: str
    unit: str
    ours: Spread
    floor: Spread | None
    ratio: Spread | None
    peers: dict[str, Spread | None]
    limit: float | None
    scaled: float | None
    """The limit at the speed of this machine, told by the floor."""
    judged: float
    word: str
    kind: str
    higher: bool


def _number(value: float) -> str:
    if value == int(value) and value < 1_000:
        return str(int(value))
    if value >= 1_000:
        return f"{value:,.0f}"
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:.{digits}f}"


def _spread(values: list[float]) -> Spread:
    return Spread(min(values), statistics.median(values), max(values))


def _values(check: Check, results: Results, name: str) -> list[float]:
    """One figure per round; empty where the contestant has none."""
    out: list[float] = []
    for result in results.get(name, []):
        value = result.get(check.metric)
        if not result.get("ok") or value is None:
            continue
        if check.kind == "growth":
            base = result.get(check.base)
            if not base:
                continue
            value /= base
        out.append(float(value))
    return out


def judge(check: Check, results: Results) -> Verdict | None:
    """Hold a check against its goal; None where there are no figures.

    A value and a ratio are judged by the best of the rounds (noise of a shared machine only ever adds), growth by the middle one (there noise
    in the base makes it smaller).
    """
    ours = _values(check, results, check.ours)
    if not ours:
        return None
    floor = [] if check.floor is None else _values(check, results, check.floor)
    ratios = [mine / other for mine, other in zip(ours, floor, strict=False) if other]
    best = max if check.higher else min
    judged = statistics.median(ours) if check.kind == "growth" else best(ours)
    if check.kind in {"ratio", "extra"}:
        if not floor:
            return None
        judged = best(ours) / best(floor) if check.kind == "ratio" else best(ours) - best(floor)
    word, scaled = "", None
    if check.limit is not None:
        word = "PASS" if _met(check, judged, check.limit) else "GAP"
        if check.then is not None and floor:
            scaled = check.limit * best(floor) / check.then
            if word == "GAP" and _met(check, judged, scaled):
                word = "SCALED"
    if not all(result.get("verified") for result in results[check.ours] if result.get("ok")):
        word = "WRONG"
    peers = {name: (_spread(values) if (values := _values(check, results, name)) else None) for name in check.peers}
    return Verdict(
        goal=check.goal,
        text=check.text,
        unit=check.unit,
        ours=_spread(ours),
        floor=_spread(floor) if floor else None,
        ratio=_spread(ratios) if ratios else None,
        peers=peers,
        limit=check.limit,
        scaled=scaled,
        judged=judged,
        word=word,
        kind=check.kind,
        higher=check.higher,
    )


def _met(check: Check, value: float, limit: float) -> bool:
    return value >= limit if check.higher else value <= limit


def _goal(verdict: Verdict) -> str:
    if verdict.limit is None:
        return "–"
    unit = "×" if verdict.kind == "ratio" else verdict.unit
    scaled = "" if verdict.scaled is None or verdict.word == "PASS" else f", here {_number(verdict.scaled)}"
    return f"{'≥' if verdict.higher else '≤'} {_number(verdict.limit)}{scaled} {unit}"


def _judged(verdict: Verdict) -> str:
    return f"{_number(verdict.judged)}{'×' if verdict.kind in {'ratio', 'growth'} else ''}"


def lines(verdicts: Iterable[Verdict]) -> list[str]:
    """What the terminal shows."""
    out: list[str] = []
    for one in verdicts:
        floor = "" if one.floor is None else f"  floor {one.floor.text(one.unit)}"
        ratio = "" if one.ratio is None or one.kind == "growth" else f"  pairs {one.ratio.text('×')}"
        out.append(f"{one.goal:4} {one.word or 'shown':5} {one.text}: {_judged(one)} (goal {_goal(one)})")
        out.append(f"           ours {one.ours.text(one.unit)}{floor}{ratio}")
        out += [f"           {name} {'none' if peer is None else peer.text(one.unit)}" for name, peer in one.peers.items()]
    return out


def table(verdicts: Iterable[Verdict]) -> str:
    """The table of the documentation."""
    rows = ["| goal | what | ours | floor | ours ÷ floor, pairs | peers | goal | verdict |", "|---|---|---|---|---|---|---|---|"]
    for one in verdicts:
        peers = "<br>".join(f"{name} {'–' if peer is None else _number(peer.middle)}" for name, peer in one.peers.items())
        ratio = "–" if one.ratio is None or one.kind == "growth" else one.ratio.text("×")
        cells = [one.goal, one.text, one.ours.text(one.unit), "–" if one.floor is None else one.floor.text(one.unit), ratio]
        verdict = f"{one.word} ({_judged(one)})" if one.word else _judged(one)
        rows.append("| " + " | ".join([*cells, peers or "–", _goal(one), verdict]) + " |")
    return "\n".join(rows) + "\n"


def as_json(verdicts: list[Verdict], machine: dict[str, Any], runs: dict[str, Results]) -> bytes:
    """Everything, for programs."""
    return msgspec.json.format(msgspec.json.encode({"machine": machine, "verdicts": verdicts, "runs": runs}), indent=1)


def main() -> None:
    """Judge runs again that were written down: ``python -m benchmarks.report results.json …``; later files win."""
    runs: dict[str, Results] = {}
    for name in sys.argv[1:]:
        runs |= msgspec.json.decode(Path(name).read_bytes(), type=dict[str, Any])["runs"]
    found = [verdict for check in checks() if check.measure in runs and (verdict := judge(check, runs[check.measure])) is not None]
    found.sort(key=lambda verdict: int(verdict.goal[1:]))
    print(table(found))


if __name__ == "__main__":
    main()
