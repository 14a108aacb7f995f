"""What a contestant can do, and who they are. One class per floor, per peer and per way of using Turnfold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.conversation import Item


class Contestant:
    """Base of all. Sync contestants have plain methods; async ones (``ASYNC``) have coroutine functions under the same names.

    Timed are ``open``, ``session``, ``append``, ``load``, ``tail``, ``fork`` and ``find``; everything else is not.
    """

    NAME: ClassVar[str] = ""
    ASYNC: ClassVar[bool] = False
    LASTING: ClassVar[bool] = True
    """Another process, or a second ``open``, finds what was written."""
    IMPORT: ClassVar[str] = ""
    """What a user runs to get to an open store; ``{path}`` is a fresh folder."""

    SERVER: ClassVar[str] = ""
    """Kind of server that it needs (``servers``), if any."""

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        self.folder = folder
        self.durable = durable
        self.background = True
        """Whether work beside the calls (an index that is brought up to date) may go on; off where the bytes of a call are counted."""

    def load_library(self) -> None:
        """Import what the contestant needs, before any clock starts."""

    def open(self) -> Any:
        """Open the store in ``folder``."""
        raise NotImplementedError

    def session(self, name: str, user: str, agent: str, *, new: bool) -> Any:
        """Get a handle of a session, new or existing."""
        raise NotImplementedError

    def writer(self, name: str, user: str, agent: str) -> Any:
        """The handle that one of several concurrent writers uses of an existing session."""
        return self.session(name, user, agent, new=False)

    def native(self, items: Sequence[Item]) -> list[Any]:
        """What a user of this library already holds when appending these items."""
        raise NotImplementedError

    def batch(self, natives: list[Any]) -> Any:
        """What is passed to ``append`` for one commit of these."""
        return natives

    def append(self, handle: Any, batch: Any) -> Any:
        """Write one commit."""
        raise NotImplementedError

    def shared(self, handle: Any, batch: Any) -> Any:
        """Write one commit to a session that others write to as well."""
        return self.append(handle, batch)

    def load(self, handle: Any) -> Any:
        """Read the whole session as Python objects."""
        raise NotImplementedError

    def tail(self, handle: Any, count: int) -> Any:
        """Read the last ``count`` items."""
        raise NotImplementedError

    def neutral(self, natives: list[Any]) -> list[Item]:
        """Turn what was read into items again."""
        raise NotImplementedError

    def fork(self, handle: Any, at: int, name: str) -> Any:
        """Branch off after ``at`` items; return a handle of the branch."""
        raise NotImplementedError

    def find(self, user: str, agent: str, limit: int) -> Any:
        """Names of the newest sessions of a user and agent, newest first."""
        raise NotImplementedError

    def close(self) -> Any:
        """Let go of the store."""


REGISTRY: dict[str, type[Contestant]] = {}


def contestant(kind: type[Contestant]) -> type[Contestant]:
    """Enter a class in the list."""
    assert kind.NAME not in REGISTRY
    REGISTRY[kind.NAME] = kind
    return kind


def everyone() -> dict[str, type[Contestant]]:
    """Return all contestants by name; their libraries are not imported yet."""
    from importlib import import_module

    for name in ("floors", "groupfloors", "ours", "postgresql", "redis_contestants", "peers"):
        import_module(f"benchmarks.{name}")
    return REGISTRY
