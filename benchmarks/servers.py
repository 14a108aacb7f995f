"""Servers of a benchmark's own: one of each kind per place (disk or memory), started when the first contestant needs it.

On the disk a server is as durable as it comes; in memory nothing waits for a disk, and only software is measured.
"""

from __future__ import annotations

from pathlib import Path

from turnfold.testing.servers.base import Server

VARIABLE = "BENCHMARK_SERVER"
"""Environment variable in which a child finds the server's URL."""
_FREE = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
_USUAL = {"shared_buffers": "256MB", "max_wal_size": "4GB", "checkpoint_timeout": "30min"}


class Servers:
    """What was started, by kind and folder."""

    def __init__(self, disk: Path, memory: Path) -> None:
        """Keep the folders that servers are made in."""
        self._disk, self._memory = disk, memory
        self._running: dict[tuple[str, Path], Server] = {}

    def environment(self, kind: str, folder: Path) -> dict[str, str]:
        """Return what a child of a contestant needs in its environment, with the server running.

        Args:
            kind: ``postgresql``, or empty for a contestant without a server.
            folder: Where the run is; it says which place is meant.
        """
        if not kind:
            return {}
        place = self._memory if folder.is_relative_to(self._memory) else self._disk
        server = self._running.get((kind, place))
        if server is None:
            server = self._running[kind, place] = self._start(kind, place)
        return {VARIABLE: server.url}

    def _start(self, kind: str, place: Path) -> Server:
        from turnfold.testing.servers.postgres import PostgresServer

        assert kind == "postgresql", kind
        place.chmod(0o755)  # the server runs as a user of its own
        return PostgresServer(place / kind, settings=_USUAL | (_FREE if place == self._memory else {})).start()

    def close(self) -> None:
        """Stop them."""
        for server in self._running.values():
            server.stop()
        self._running.clear()
