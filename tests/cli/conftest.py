"""Run the command line in this process or as a process of its own, on a store of the test's own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from turnfold.cli.root import cli

SRC = Path(__file__).resolve().parents[2] / "src"


class Program:
    """``turnfold`` on one store."""

    def __init__(self, store: str, home: Path) -> None:
        self.store = store
        self.home = home
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TURNFOLD_")}
        drop = ("CLAUDE_CONFIG_DIR", "CODEX_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "NO_COLOR", "FORCE_COLOR")
        self.env = {name: value for name, value in kept.items() if name not in drop}
        self.env |= {"HOME": str(home), "TURNFOLD_STORE": store, "PYTHONPATH": str(SRC), "PYTHONUTF8": "1"}

    def run(self, *args: str, stdin: str | None = None, status: int = 0) -> Result:
        """Run in this process; the exit status must be the given one."""
        result = CliRunner().invoke(cli, list(args), input=stdin, env={**dict.fromkeys(os.environ), **self.env}, catch_exceptions=False)
        assert result.exit_code == status, f"{args}: {result.exit_code}\n{result.output}"
        return result

    def text(self, *args: str) -> str:
        """Run and return what it printed."""
        return self.run(*args).stdout

    def json(self, *args: str) -> Any:
        """Run with ``--json`` and return the one object."""
        return json.loads(self.run(*args, "--json").stdout)

    def jsonl(self, *args: str) -> list[Any]:
        """Run with ``--jsonl`` and return the objects."""
        return [json.loads(line) for line in self.run(*args, "--jsonl").stdout.splitlines()]

    def start(self, *args: str, **kwargs: Any) -> subprocess.Popen[bytes]:
        """Start a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "turnfold", *args],
            env={**self.env, **kwargs.pop("env", {})},
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **kwargs,
        )

    def process(self, *args: str, **kwargs: Any) -> tuple[int, str, str]:
        """Run a process of its own; return status, stdout, stderr."""
        with self.start(*args, **kwargs) as process:
            out, err = process.communicate(timeout=50)
        return process.returncode, out.decode(), err.decode()


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """Give the command line on an empty SQLite store and an empty home folder."""
    home = tmp_path / "home"
    home.mkdir()
    return Program(f"sqlite:///{tmp_path}/agent.db", home)
