"""The parent's side of ``turnfold.testing.writers``: start, kill, and keep what a writer was told."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from turnfold.testing.faults.ledger import Ledger, Offer

START_S_MAX: Final = 30.0
_LOOK_S: Final = 0.002


class Writer:
    """A child process that appends; its lines go to a file, so that it never waits for its reader."""

    def __init__(
        self,
        url: str,
        session_id: str,
        name: str,
        *,
        count: int | None = None,
        first: int = 0,
        single: bool = False,
        retry_s: float = 0.0,
        file_size_max: int | None = None,
    ) -> None:
        """Start it. The arguments are those of the writer's command line."""
        self.session_id = session_id
        self.name = name
        self.first = first
        self.single = single
        self._output = tempfile.NamedTemporaryFile(prefix="turnfold-writer-", suffix=".log")  # noqa: SIM115  # lives as long as the writer
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        options = ["--first", str(first), "--retry-s", str(retry_s)]
        options += [] if count is None else ["--count", str(count)]
        options += ["--single"] if single else []
        options += [] if file_size_max is None else ["--file-size-max", str(file_size_max)]
        command = [sys.executable, "-m", "turnfold.testing.writers", url, session_id, name, *options]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self._output, stderr=self._errors)

    def lines(self) -> list[list[str]]:
        """What it said so far, by words; a line that is still being written is left out."""
        return [line.split() for line in Path(self._output.name).read_text().split("\n")[:-1]]

    def wait_for(self, ack_count: int, wait_s: float = START_S_MAX) -> None:
        """Wait until so many commits are acknowledged.

        Raises:
            AssertionError: It ended before, or took longer.
        """
        end = time.monotonic() + wait_s
        while sum(line[0] == "ack" for line in self.lines()) < ack_count:
            assert self.process.poll() is None or len(self.lines()) > ack_count, self.story()
            assert time.monotonic() < end, f"{ack_count} acknowledgements took longer than {wait_s} s: {self.story()}"
            time.sleep(_LOOK_S)

    def wait_ready(self) -> None:
        """Wait until its store is open."""
        end = time.monotonic() + START_S_MAX
        while not self.lines():
            assert self.process.poll() is None, self.story()
            assert time.monotonic() < end, self.story()
            time.sleep(_LOOK_S)

    def story(self) -> str:
        """Its last words, for a message."""
        self._errors.seek(0)
        return f"writer {self.name}: {self.lines()[-3:]} {self._errors.read().decode(errors='replace')[-1_500:]}"

    def kill(self) -> None:
        """Kill it, as a crash does."""
        self.process.kill()
        self.process.wait()

    def finish(self, wait_s: float) -> None:
        """Wait for its end.

        Raises:
            AssertionError: It did not end in time, or not well.
        """
        try:
            status = self.process.wait(wait_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"not done after {wait_s} s: {self.story()}") from None
        assert status == 0, self.story()

    def report(self, ledger: Ledger) -> int:
        """Note what it offered and was told; the one commit that may have been on its way counts as offered. Return the acknowledged."""
        number = self.first
        for line in self.lines():
            if line[0] == "ack":
                number = int(line[1])
                offer = Offer(self.session_id, self.name, number, self.single)
                ledger.offer(offer)
                ledger.acknowledge(offer, int(line[2]), int(line[3]))
                number += 1
        if self.lines()[-1:] != [["done"]]:
            ledger.offer(Offer(self.session_id, self.name, number, self.single))
        return number - self.first

    def close(self) -> None:
        """Let go of its files; kill it where it still runs."""
        if self.process.poll() is None:
            self.kill()
        self._output.close()
        self._errors.close()
