"""Where a store under test is, and how it can be broken. A place without a way to break it somehow skips those cases by name."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from turnfold.connecting import connect
from turnfold.ports.store import Clock, Store


class CannotBreak(Exception):
    """A place has no such weakness, or this machine has not what it takes; the case is skipped with this message."""


class Killable(Protocol):
    """A server, or several that belong together."""

    def start(self) -> object:
        """Start, and wait until it answers."""
        ...

    def stop(self) -> None:
        """End politely."""
        ...

    def kill(self) -> None:
        """End at once, as a crash does."""
        ...

    def restart(self) -> None:
        """Stop and start with the same data."""
        ...


class Place:
    """One store. Subclasses say what its URL is; the rest has defaults that say "cannot"."""

    name = "a store"
    shared = True
    """Whether several processes may use it at the same time."""
    answer_s_max = 60.0
    """How long a call may take at most when the network swallows everything."""
    commits_at_once = True
    """Whether a plain commit is one request: then a cut before it leaves nothing, and a cut after the answer leaves it written."""

    has_standby = False
    """Whether a copy of its server can take over."""
    http = False
    """Whether the server speaks HTTP, so that its answers can be replaced by errors."""
    needle = b""
    """What a request that writes holds; empty: the id of the event that it writes."""

    def __init__(self, folder: Path) -> None:
        """Bind a folder that is the place's own; nothing is started."""
        self.folder = folder

    @property
    def url(self) -> str:
        """The store's URL."""
        raise NotImplementedError(type(self).__name__)

    def empty_url(self) -> str:
        """Return the URL of an empty store in the same place, another one each time."""
        folder = self.folder / secrets.token_hex(6)
        folder.mkdir(parents=True)
        return self.on(folder)

    def start(self) -> None:
        """Start what the store needs."""

    def stop(self) -> None:
        """Stop it, and remove what it left elsewhere than in the folder."""

    def open(self, url: str | None = None) -> Store:
        """Open the store; ``url`` where it is reached another way (a proxy, a small disk)."""
        return connect(self.url if url is None else url, upkeep=False).store

    def open_with_clock(self, clock: Clock) -> Store:
        """Open the store with a clock of the test's own."""
        raise CannotBreak(f"the clock of {self.name} cannot be set")

    @property
    def server(self) -> Killable:
        """The server behind the store, to be killed and started again."""
        raise CannotBreak(f"{self.name} has no server that can be killed")

    @property
    def port(self) -> int:
        """The loopback port of that server, for a proxy to stand before."""
        raise CannotBreak(f"{self.name} is not reached through a network")

    def through(self, port: int) -> str:
        """The URL of the same store through another loopback port."""
        own, found = f":{self.port}", f":{port}"
        assert own in self.url, f"{self.url} does not name the port {self.port}"
        return self.url.replace(own, found)

    def on(self, folder: Path) -> str:
        """The URL of such a store in another folder."""
        raise CannotBreak(f"{self.name} keeps nothing in a folder")

    def fail_over(self) -> None:
        """Let a copy of the server take over, and the server be gone for good."""
        raise CannotBreak(f"{self.name} has no standby")

    @contextmanager
    def read_only(self) -> Iterator[None]:
        """Refuse writes for a while, for stores that are open too."""
        raise CannotBreak(f"{self.name} cannot be made read-only")
        yield


class FolderPlace(Place):
    """A store in a folder of this machine: ``sqlite`` or ``files``."""

    def __init__(self, folder: Path, scheme: str, *, options: str = "") -> None:
        """Bind the folder.

        Args:
            folder: The place's own.
            scheme: Of the URL.
            options: What follows the path, with its question mark.
        """
        super().__init__(folder)
        self.name = f"{scheme}{options}"
        self._scheme = scheme
        self._options = options

    @property
    def url(self) -> str:
        """See ``Place``."""
        return self.on(self.folder)

    def on(self, folder: Path) -> str:
        """See ``Place``."""
        return f"{self._scheme}:///{folder}/store{self._options}"


class MemoryPlace(Place):
    """A store in this process."""

    name = "memory"
    shared = False

    @property
    def url(self) -> str:
        """See ``Place``."""
        return "memory://"

    def empty_url(self) -> str:
        """See ``Place``: every memory store is a new one."""
        return self.url
