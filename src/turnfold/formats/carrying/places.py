"""Where the tools keep their sessions, and how they are told to go on with one."""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from turnfold.formats.places import root_of
from turnfold.model.event import from_us

PROJECT_CHARS_MAX = 200
"""Claude Code shortens longer folder names to this and a hash."""
_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"
_other = re.compile(r"[^A-Za-z0-9]")
_rollout = re.compile(r"rollout-(\d{4})-(\d\d)-(\d\d)T\d\d-\d\d-\d\d-")


class Place(NamedTuple):
    """Facts by which a tool finds a session: its id, the folder that it works in, when it began, and the name its file had."""

    native_id: str
    cwd: Path
    began_us: int
    had_name: str = ""


class Tool(Protocol):
    """A tool that can go on with a session."""

    name: str
    """As in ``--with``."""
    format: str
    """Of its session files."""
    home_variable: str
    """Environment variable that names its folder."""

    def home(self, user_home: Path, environ: Mapping[str, str]) -> Path:
        """The tool's folder."""
        ...

    def path(self, home: Path, place: Place) -> Path:
        """Where it looks for the session's file."""
        ...

    def found(self, home: Path, native_id: str) -> Iterator[Path]:
        """Files of that session that are there, wherever in the tool's folder."""
        ...

    def arguments(self, native_id: str) -> list[str]:
        """The command that goes on with a session, to be run in its folder."""
        ...


class ClaudeTool:
    """Claude Code: ``projects/<folder>/<session>.jsonl``."""

    name = "claude"
    format = "claude-code"
    home_variable = "CLAUDE_CONFIG_DIR"

    def home(self, user_home: Path, environ: Mapping[str, str]) -> Path:
        """See ``Tool``."""
        return root_of(environ, self.home_variable, user_home / ".claude")

    def path(self, home: Path, place: Place) -> Path:
        """See ``Tool``; a long folder name is matched by its beginning, since the tool's hash differs between its versions."""
        projects, name = home / "projects", project_name(place.cwd)
        if len(name) > PROJECT_CHARS_MAX:
            short = name[:PROJECT_CHARS_MAX] + "-"
            there = [folder.name for folder in projects.glob("*") if folder.name.startswith(short)]
            name = min(there, default=short + _hash36(_real(place.cwd)))
        return projects / name / f"{place.native_id}.jsonl"

    def found(self, home: Path, native_id: str) -> Iterator[Path]:
        """See ``Tool``."""
        yield from sorted(path for folder in (home / "projects").glob("*") if (path := folder / f"{native_id}.jsonl").is_file())

    def arguments(self, native_id: str) -> list[str]:
        """See ``Tool``."""
        return ["claude", "--resume", native_id]


class CodexTool:
    """Codex: ``sessions/YYYY/MM/DD/rollout-<local time>-<thread>.jsonl``."""

    name = "codex"
    format = "codex"
    home_variable = "CODEX_HOME"

    def home(self, user_home: Path, environ: Mapping[str, str]) -> Path:
        """See ``Tool``."""
        return root_of(environ, self.home_variable, user_home / ".codex")

    def path(self, home: Path, place: Place) -> Path:
        """See ``Tool``."""
        had = _rollout.match(place.had_name)
        if had is not None and place.had_name == Path(place.had_name).name:
            return home / "sessions" / had[1] / had[2] / had[3] / place.had_name
        began = from_us(place.began_us).astimezone()
        name = f"rollout-{began:%Y-%m-%dT%H-%M-%S}-{place.native_id}.jsonl"
        return home / "sessions" / f"{began:%Y}" / f"{began:%m}" / f"{began:%d}" / name

    def found(self, home: Path, native_id: str) -> Iterator[Path]:
        """See ``Tool``; a file that Codex has compressed counts too."""
        for folder in ("sessions", "archived_sessions"):
            for path in sorted((home / folder).rglob("rollout-*")):
                if path.name.endswith((f"-{native_id}.jsonl", f"-{native_id}.jsonl.zst")):
                    yield path

    def arguments(self, native_id: str) -> list[str]:
        """See ``Tool``."""
        return ["codex", "resume", native_id]


TOOLS: dict[str, Tool] = {"claude": ClaudeTool(), "codex": CodexTool()}
ALIASES = {"claude-code": "claude", "claude_code": "claude"}


def project_name(cwd: Path) -> str:
    """Claude Code's name for a folder: its real path with ``-`` for all but ASCII letters and digits (of UTF-16: two for a rarer sign)."""
    text = "".join(char if ord(char) < 0x10000 else "--" for char in _real(cwd))
    return _other.sub("-", text)


def _real(cwd: Path) -> str:
    return unicodedata.normalize("NFC", str(cwd.resolve()))


def _hash36(text: str) -> str:
    """The hash of the tool's own SDK: 32 bits, times 31, in base 36."""
    units = text.encode("utf-16-le", "surrogatepass")
    value = 0
    for place in range(0, len(units), 2):
        value = (value * 31 + int.from_bytes(units[place : place + 2], "little")) & 0xFFFFFFFF
    value = abs(value - (1 << 32) if value >= 1 << 31 else value)
    digits = ""
    while value:
        value, rest = divmod(value, 36)
        digits = _BASE36[rest] + digits
    return digits or "0"


def command_line(arguments: list[str], cwd: str, variables: Mapping[str, str]) -> str:
    """What to type in a shell."""
    named = [f"{name}={shlex.quote(value)}" for name, value in variables.items()]
    return f"cd {shlex.quote(cwd)} && {' '.join([*named, shlex.join(arguments)])}"
