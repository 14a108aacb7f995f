"""Which formats there are: the built-in ones, and those of other packages through the entry point group ``turnfold.formats``.

A file's format is found by its content; its name alone never decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol

from turnfold.errors import FormatError, NotSupported
from turnfold.formats.base import Format

SNIFF_BYTES = 64 * 1024
SURE_ENOUGH = 0.5
"""A file is of the format that is at least this sure about it, and surest of all."""
GROUP = "turnfold.formats"

BUILT_IN = {
    "claude-code": "turnfold.formats.claude_code:ClaudeCodeFormat",
    "codex": "turnfold.formats.codex:CodexFormat",
}
ALIASES = {"claude": "claude-code", "claude_code": "claude-code"}


class _EntryPoint(Protocol):
    name: str

    def load(self) -> Any: ...


class Formats:
    """The formats that are installed, each loaded when it is first asked for."""

    def __init__(self, found: Iterable[_EntryPoint] | None = None) -> None:
        """List the built-in formats and ``found`` (None: the installed entry points); a built-in name cannot be taken over."""
        self._loaders: dict[str, Callable[[], Any]] = {}
        for point in entry_points(group=GROUP) if found is None else found:
            self._loaders[point.name] = point.load
        for name, place in BUILT_IN.items():
            self._loaders[name] = _loader(place)
        self._loaded: dict[str, Format] = {}

    def names(self) -> list[str]:
        """The names, sorted."""
        return sorted(self._loaders)

    def get(self, name: str) -> Format:
        """Return the format of that name.

        Raises:
            NotSupported: There is none; the hint lists those that there are.
        """
        name = ALIASES.get(name, name)
        loaded = self._loaded.get(name)
        if loaded is not None:
            return loaded
        loader = self._loaders.get(name)
        if loader is None:
            raise NotSupported(f"there is no format {name!r}", hint=f"one of {', '.join(self.names())}", format=name)
        made: Format = loader()()
        self._loaded[name] = made
        return made

    def all(self) -> list[Format]:
        """Every format, by name."""
        return [self.get(name) for name in self.names()]

    def detect(self, path: Path) -> Format | None:
        """Return the format that knows the file by its first 64 KiB, or None."""
        with path.open("rb") as file:
            return self.detect_head(path, file.read(SNIFF_BYTES))

    def detect_head(self, path: Path, head: bytes) -> Format | None:
        """Return the format that knows a file with that beginning, or None."""
        best, surest = None, SURE_ENOUGH
        for known in self.all():
            sure = known.sniff(path, head)
            if sure > surest or (best is None and sure >= surest):
                best, surest = known, sure
        return best

    def require(self, path: Path) -> Format:
        """Return the file's format, or raise FormatError naming the file."""
        found = self.detect(path)
        if found is None:
            raise FormatError(f"{path}: no known format", hint=f"name it with --format: {', '.join(self.names())}", path=str(path))
        return found


def _loader(place: str) -> Callable[[], Any]:
    module, _, name = place.partition(":")
    return lambda: getattr(import_module(module), name)


_formats: list[Formats] = []


def formats() -> Formats:
    """The formats of this process."""
    if not _formats:
        _formats.append(Formats())
    return _formats[0]


def get_format(name: str) -> Format:
    """Return the format of that name, or raise NotSupported listing those that there are."""
    return formats().get(name)


def detect(path: Path) -> Format | None:
    """Return the format that knows the file by its content, or None."""
    return formats().detect(path)
