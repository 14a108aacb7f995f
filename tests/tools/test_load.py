"""The load benchmark runs, and finds nothing lost or doubled."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.histogram import Histogram

from tests.support import ROOT


def test_percentiles_are_those_of_what_was_added() -> None:
    histogram = Histogram()
    for us in range(1, 10_001):
        histogram.add(us)
    again = Histogram.from_json(json.loads(json.dumps(histogram.to_json())))
    again.merge(Histogram.from_json(Histogram().to_json()))
    assert again.count == 10_000
    assert again.max_us == 10_000
    for percent, us in ((50, 5_000), (90, 9_000), (99, 9_900)):
        assert abs(again.percentile_us(percent) - us) < 0.06 * us


@pytest.mark.slow
def test_a_short_load(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.load", f"sqlite:///{tmp_path}/load.db", "--processes", "2", "--sessions", "3"]
    done = subprocess.run([*command, "--seconds", "1", "--json"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr + done.stdout
    figures = json.loads(done.stdout)
    assert figures["errors"] == {}
    assert figures["check"].pop("events") > 10
    assert set(figures["check"].values()) == {0}
    assert figures["operations"]["append"]["count"] > 10
    assert figures["operations"]["follow"]["p99_us"] > 0
