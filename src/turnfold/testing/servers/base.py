"""What every server of a test's own can do: start, be waited for, stop, die, and come back on the same port with the same folder."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from turnfold.errors import StoreUnavailable

START_S_MAX: Final = 30.0
"""How long a server may take until it answers."""
STOP_S_MAX: Final = 20.0
"""How long it may take to end politely before it is killed."""
PORT_MIN: Final = 10_000
PORT_MAX: Final = 32_000
_LOOK_S: Final = 0.02
_chance = random.SystemRandom()  # tests seed the other one, all of them alike


def free_port() -> int:
    """Return a loopback port that nobody listens on now.

    It lies below those that systems give to outgoing connections: one of those may be anybody's before the server has it.
    """
    while True:
        port = _chance.randrange(PORT_MIN, PORT_MAX)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


class Server:
    """A process group in a folder. A subclass says what is run and what its URL is."""

    start_s_max = START_S_MAX

    def __init__(self, folder: Path, *, port: int | None = None) -> None:
        """Bind the folder, which keeps the server's data from one start to the next, and the port (None: a free one)."""
        self.folder = folder
        self.port = free_port() if port is None else port
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The store URL of this server."""
        raise NotImplementedError(type(self).__name__)

    def command(self) -> Sequence[str]:
        """Return what is run; it must stay in the foreground."""
        raise NotImplementedError(type(self).__name__)

    def prepare(self) -> None:
        """Make what the first start needs; called before every start."""

    def is_ready(self) -> bool:
        """Whether the server answers; a listening port unless a subclass asks more."""
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def user(self) -> str | None:
        """Return the system user that the process runs as; None is this one."""
        return None

    def start(self) -> Self:
        """Start the process and wait until it answers.

        Raises:
            StoreUnavailable: It ended or did not answer within ``start_s_max``; the message ends with its log's last lines.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self.prepare()
        log = self.folder / "server.log"
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                list(self.command()),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                user=self.user(),
                start_new_session=True,
            )
        end = time.monotonic() + self.start_s_max
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > end:
                self.kill()
                tail = log.read_text(errors="replace")[-1_000:]
                raise StoreUnavailable(f"{self.command()[0]} did not start: {tail}")
            time.sleep(_LOOK_S)
        return self

    def stop(self) -> None:
        """End the process politely; kill it where it does not."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the whole process group at once, as a crash does."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop and start again on the same port with the same folder."""
        self.stop()
        self.start()

    def _end(self, how: signal.Signals) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        self._signal(process, how)
        try:
            process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self._signal(process, signal.SIGKILL)
            process.wait(STOP_S_MAX)

    def _signal(self, process: subprocess.Popen[bytes], how: signal.Signals) -> None:
        """SIGTERM goes to the server alone, which ends its children itself; SIGKILL to all of them."""
        try:
            (os.killpg if how is signal.SIGKILL else os.kill)(process.pid, how)
        except ProcessLookupError:
            return

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()
