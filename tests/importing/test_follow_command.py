"""``turnfold import --follow`` as a process: what it prints, how it ends, who takes over, what it costs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.importing.sessions import codex_session
from tests.support import ROOT
from turnfold.engine.importing import turn

PATIENCE_S = 20.0


def command(store: Path, *args: str) -> subprocess.Popen[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("TURNFOLD_")}
    environ |= {"PYTHONPATH": str(ROOT / "src"), "TURNFOLD_STORE": f"sqlite:///{store}", "PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "turnfold", "import", "--follow", *args],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def told(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    return process.stderr.readline().strip()


def line_of(process: subprocess.Popen[str]) -> Any:
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


def test_the_command_prints_one_line_per_import_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.jsonl").write_bytes(codex_session("s1", ["one"]))
    with command(tmp_path / "store.db", "--jsonl", str(folder)) as process:
        first = line_of(process)
        assert (first["outcome"], first["session_id"], first["line_count"]) == ("imported", "s1", 3)
        with (folder / "a.jsonl").open("ab") as file:
            file.write(codex_session("x", ["two"]).split(b"\n", 1)[1])
        assert line_of(process)["outcome"] == "updated"
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        assert process.stderr is not None
        rest = process.stdout.read()
        notes = process.stderr.read().split("\n")
    assert process.returncode == 130
    assert all(json.loads(line)["session_id"] == "s1" for line in rest.splitlines())
    assert [line for line in notes if line] == ["following 1 folder", "stopped; run the same command again to go on where it was"]


def test_the_command_in_words(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.jsonl").write_bytes(codex_session("s1", ["one"]))
    with command(tmp_path / "store.db", str(folder)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"imported  codex  s1  3 lines, 4 events  {folder / 'a.jsonl'}\n"
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_S)


@pytest.mark.crash
def test_a_second_process_says_who_follows_and_takes_over_when_that_one_is_killed(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    with command(tmp_path / "store.db", "--jsonl", str(folder)) as first:
        assert told(first) == "following 1 folder"
        with command(tmp_path / "store.db", "--jsonl", str(folder)) as second:
            assert told(second).startswith(f"process {first.pid}@")
            first.kill()
            first.wait()
            killed_at = time.monotonic()
            assert told(second) == "following 1 folder"
            assert time.monotonic() - killed_at < turn.TURN_TTL_S - 5  # it need not wait for the lease to expire
            (folder / "a.jsonl").write_bytes(codex_session("s1", ["one"]))
            assert line_of(second)["session_id"] == "s1"
            second.send_signal(signal.SIGINT)
            second.communicate(timeout=PATIENCE_S)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="CPU time is read from /proc")
def test_following_costs_next_to_nothing_when_nothing_happens(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    for number in range(300):
        (folder / str(number)).mkdir(parents=True)
        (folder / str(number) / "a.jsonl").write_bytes(codex_session(f"s{number}", ["one"]))
    with command(tmp_path / "store.db", "--jsonl", str(folder)) as process:
        for _ in range(300):
            line_of(process)
        time.sleep(3)
        before_s = _cpu_s(process.pid)
        time.sleep(10)
        used_s = _cpu_s(process.pid) - before_s
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_S)
    assert used_s < 0.2


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
