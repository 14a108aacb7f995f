"""A PostgreSQL server of a test's own: made with initdb, killed and restarted at will, with a standby that can be promoted."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from turnfold.errors import StoreUnavailable
from turnfold.testing.servers.base import START_S_MAX, Server

SUPERUSER: Final = "postgres"
_ROOT_RUNS_AS: Final = "postgres"
"""initdb and postgres refuse to run as root; this system user comes with every distribution's package."""
_DEBIAN: Final = Path("/usr/lib/postgresql")
_SETTINGS: Final = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "max_connections": "60", "log_min_messages": "fatal"}


def binaries() -> Path | None:
    """Return the folder of initdb and postgres, the newest that is installed; None where there is none."""
    found = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]) if path.parts[-3].isdigit() else 0)
    if found:
        return found[-1].parent
    named = shutil.which("initdb")
    return None if named is None else Path(named).resolve().parent


class PostgresServer(Server):
    """A server with a superuser ``postgres`` and an empty database ``postgres``, on a loopback port, trusting everybody.

    ``restart`` and ``kill`` are real: SIGKILL reaches the postmaster and all its children, as a crash of the machine would.
    """

    def __init__(self, folder: Path, *, port: int | None = None, settings: Mapping[str, str] | None = None) -> None:
        """Bind the folder.

        Args:
            folder: Keeps log and data. Where the system user of the server cannot reach it (root's own temporary folders), the data go to
                a temporary folder beside it, which goes with this object.
            port: None takes a free one.
            settings: Server settings by name (``fsync``, ``synchronous_standby_names`` …).

        Raises:
            StoreUnavailable: No PostgreSQL is installed.
        """
        super().__init__(folder, port=port)
        found = binaries()
        if found is None:
            raise StoreUnavailable("no PostgreSQL server is installed (initdb is not found)", hint="apt-get install postgresql")
        self.binaries = found
        self.settings = {**_SETTINGS, **(settings or {})}
        self._data: Path | None = None
        self._primary: PostgresServer | None = None

    @property
    def url(self) -> str:
        """The store URL, as superuser: tests make roles and databases of their own."""
        return f"postgresql://{SUPERUSER}@127.0.0.1:{self.port}/postgres"

    @property
    def data(self) -> Path:
        """The data folder, owned by the system user that the server runs as."""
        if self._data is None:
            self._data = self._make_data()
        return self._data

    def _make_data(self) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        user = self.user()
        if user is None:
            return self.folder / "data"
        if all(parent.stat().st_mode & 0o001 for parent in (self.folder, *self.folder.resolve().parents)):
            path = self.folder / "data"
            path.mkdir(exist_ok=True, mode=0o700)
        else:
            path = Path(tempfile.mkdtemp(prefix="turnfold-postgres-"))
            weakref.finalize(self, shutil.rmtree, path, ignore_errors=True)
        os.chown(path, pwd.getpwnam(user).pw_uid, -1)
        return path

    def user(self) -> str | None:
        """See ``Server``."""
        return _ROOT_RUNS_AS if os.geteuid() == 0 else None

    def prepare(self) -> None:
        """Make the cluster: empty, or of a standby as a copy of its primary."""
        if (self.data / "PG_VERSION").exists():
            return
        if self._primary is None:
            self._run("initdb", "-D", str(self.data), "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        else:
            source = ("-h", "127.0.0.1", "-p", str(self._primary.port), "-U", SUPERUSER)
            self._run("pg_basebackup", "-D", str(self.data), *source, "-R", "-X", "stream", "-c", "fast", "--no-sync")

    def command(self) -> Sequence[str]:
        """See ``Server``."""
        settings = [part for name, value in self.settings.items() for part in ("-c", f"{name}={value}")]
        return [str(self.binaries / "postgres"), "-D", str(self.data), "-p", str(self.port), *settings]

    def is_ready(self) -> bool:
        """Whether it takes connections: a listening port says so before recovery is over."""
        command = [str(self.binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port), "-U", SUPERUSER]
        return subprocess.run(command, check=False).returncode == 0

    def stop(self) -> None:
        """End it without waiting for its clients (SIGTERM would wait for the last of them)."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """Kill it and every child: they have left its process group, and would finish their commits."""
        process = self.process
        if process is not None and process.poll() is None:
            os.kill(process.pid, signal.SIGSTOP)  # no child is born while they are counted
            children = _children(process.pid)
            for pid in children:
                _kill(pid)
            super().kill()
            end = time.monotonic() + START_S_MAX
            while not children.isdisjoint(_running()) and time.monotonic() < end:
                time.sleep(0.01)
        else:
            self.process = None

    def standby(self, folder: Path, *, settings: Mapping[str, str] | None = None) -> PostgresServer:
        """Return a streaming copy of this running server, not started yet; it answers reads, and writes after ``promote``.

        Args:
            folder: As of ``PostgresServer``.
            settings: As of ``PostgresServer``. A primary with ``synchronous_standby_names='*'`` acknowledges only what the standby has.
        """
        made = PostgresServer(folder, settings=settings)
        made._primary = self
        return made

    def promote(self) -> None:
        """Make a standby take writes; returns when it does."""
        self.execute("SELECT pg_promote(true, 30)")

    def execute(self, sql: str, *, database: str = "postgres") -> str:
        """Run SQL as superuser; return what psql prints, unaligned."""
        where = ("-h", "127.0.0.1", "-p", str(self.port), "-U", SUPERUSER, "-d", database)
        return self._run("psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", *where, "-c", sql).strip()

    def _run(self, program: str, *arguments: str) -> str:
        command = [str(self.binaries / program), *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True, user=self.user(), cwd="/")
        if done.returncode:
            raise StoreUnavailable(f"{program} failed: {done.stderr.strip()[-1_000:]}")
        return done.stdout


def _children(parent: int) -> set[int]:
    return {pid for pid, ppid, _ in _processes() if ppid == parent}


def _running() -> set[int]:
    """All processes that are more than an entry waiting to be collected."""
    return {pid for pid, _, state in _processes() if not state.startswith("Z")}


def _processes() -> list[tuple[int, int, str]]:
    listed = subprocess.run([shutil.which("ps") or "ps", "-A", "-o", "pid=,ppid=,stat="], check=True, capture_output=True, text=True).stdout
    rows = (line.split() for line in listed.splitlines())
    return [(int(pid), int(ppid), state) for pid, ppid, state in rows]


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
