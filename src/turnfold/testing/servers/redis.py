"""A Redis of a test's own, single or a cluster of three masters. It keeps what it acknowledges, unless its settings say otherwise."""

from __future__ import annotations

import os
import shutil
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Self

from turnfold.errors import StoreUnavailable
from turnfold.testing.servers.base import START_S_MAX, Server, free_port

DURABLE_SETTINGS: Final[Mapping[str, str]] = {"appendonly": "yes", "appendfsync": "always", "save": ""}
"""Every acknowledged write is on the disk."""
EXECUTABLES: Final = ("redis-server", "valkey-server")
MASTERS: Final = 3
SLOTS: Final = 16_384
_ANSWERS = (b"+PONG", b"-NOAUTH", b"-DENIED")
_LOOK_S: Final = 0.05


def executable() -> str | None:
    """Return the path of the server's program, or None where there is none; ``TURNFOLD_TEST_REDIS_SERVER`` names another one."""
    named = os.environ.get("TURNFOLD_TEST_REDIS_SERVER")
    return shutil.which(named) if named else next(filter(None, map(shutil.which, EXECUTABLES)), None)


class RedisServer(Server):
    """One server. ``settings`` are lines of its configuration, over ``DURABLE_SETTINGS``."""

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None, *, port: int | None = None) -> None:
        """Bind folder, settings and port (None: a free one)."""
        super().__init__(folder, port=port)
        self.settings = {**DURABLE_SETTINGS, **(settings or {})}

    @property
    def url(self) -> str:
        """The store URL, with the password where one is set."""
        password = self.settings.get("requirepass")
        return f"redis://{f':{password}@' if password else ''}127.0.0.1:{self.port}/0"

    def command(self) -> Sequence[str]:
        """Return the server in the foreground, with its settings as arguments."""
        program = executable()
        if program is None:
            raise StoreUnavailable(f"none of {', '.join(EXECUTABLES)} is installed", hint="apt-get install redis-server")
        fixed = {"port": str(self.port), "bind": "127.0.0.1", "daemonize": "no", "dir": str(self.folder.resolve()), **self.settings}
        return [program, *(word for name, value in fixed.items() for word in (f"--{name}", value))]

    def is_ready(self) -> bool:
        """Whether it answers a PING; while it reads its log it listens and says LOADING."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as link:
                link.sendall(b"PING\r\n")
                return link.recv(64).startswith(_ANSWERS)
        except OSError:
            return False

    def ask(self, command: str) -> str:
        """Send one command as a line and return the answer; a driver would be an import more than these few words need.

        Raises:
            StoreUnavailable: The server answered with an error.
        """
        with socket.create_connection(("127.0.0.1", self.port), timeout=START_S_MAX) as link, link.makefile("rwb") as stream:
            password = self.settings.get("requirepass")
            answer = ""
            for line in (f"AUTH {password}", command) if password else (command,):
                stream.write(f"{line}\r\n".encode())
                stream.flush()
                answer = stream.readline().decode().strip()
            if answer.startswith("-"):
                raise StoreUnavailable(f"{command.split(maxsplit=1)[0]} on port {self.port}: {answer[1:]}")
            return stream.read(int(answer[1:])).decode() if answer.startswith("$") else answer


class RedisCluster:
    """Three masters that share the slots. ``nodes`` may be killed and started one by one."""

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        """Bind the folder; ports are chosen when it starts."""
        self.folder = folder
        own = {"cluster-enabled": "yes", "cluster-node-timeout": "2000", "cluster-config-file": "nodes.conf"}
        self.nodes = [
            RedisServer(folder / f"node-{index}", {**own, "cluster-port": str(free_port()), **(settings or {})}) for index in range(MASTERS)
        ]

    @property
    def url(self) -> str:
        """The store URL: all nodes by name."""
        password = self.nodes[0].settings.get("requirepass")
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"redis+cluster://{f':{password}@' if password else ''}{hosts}"

    def start(self) -> Self:
        """Start the nodes, make them a cluster the first time, and wait until it takes writes."""
        known = all((node.folder / "nodes.conf").exists() for node in self.nodes)
        try:
            for node in self.nodes:
                node.start()
            if not known:
                self._join()
            self._wait()
        except BaseException:
            self.kill()
            raise
        return self

    def stop(self) -> None:
        """End all nodes politely."""
        for node in self.nodes:
            node.stop()

    def kill(self) -> None:
        """Kill all nodes at once."""
        for node in self.nodes:
            node.kill()

    def restart(self) -> None:
        """Stop and start again with the same ports and folders."""
        self.stop()
        self.start()

    def _join(self) -> None:
        for index, node in enumerate(self.nodes):
            first, last = index * SLOTS // MASTERS, (index + 1) * SLOTS // MASTERS - 1
            node.ask(f"CLUSTER ADDSLOTSRANGE {first} {last}")
            node.ask(f"CLUSTER SET-CONFIG-EPOCH {index + 1}")
        for node in self.nodes[1:]:
            self.nodes[0].ask(f"CLUSTER MEET 127.0.0.1 {node.port} {node.settings['cluster-port']}")

    def _wait(self) -> None:
        end = time.monotonic() + START_S_MAX
        while not all(_knows_all(node) for node in self.nodes):
            if time.monotonic() > end:
                raise StoreUnavailable(f"the cluster in {self.folder} did not come together")
            time.sleep(_LOOK_S)

    def __enter__(self) -> Self:
        """Start."""
        return self.start()

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()


def _knows_all(node: RedisServer) -> bool:
    """Whether a node says that the cluster works and that it knows all nodes."""
    lines = node.ask("CLUSTER INFO").split()
    return {"cluster_state:ok", f"cluster_known_nodes:{MASTERS}"} <= set(lines)
