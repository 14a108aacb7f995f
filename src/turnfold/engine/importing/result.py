"""What an import did, file by file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from turnfold.limits import IMPORT_PROBLEMS_MAX

Outcome = Literal["imported", "updated", "unchanged", "replaced", "skipped"]


class Problem(NamedTuple):
    """A line that could not be read as what it should be. It is kept all the same."""

    path: str
    line: int
    text: str


class Progress(NamedTuple):
    """Told after every batch."""

    path: str
    bytes_done: int
    bytes_total: int
    event_count: int


ProgressCallback = Callable[[Progress], None]


class FileImport(msgspec.Struct, kw_only=True):
    """What became of one file.

    Attributes:
        path: The file.
        outcome: ``imported`` (new session), ``updated`` (it has grown), ``replaced`` (other content than before, read anew),
            ``unchanged``, or ``skipped``.
        reason: Why it was skipped, or in which way it was replaced.
        session_id, format: Where it went, and as what.
        event_count: Events added for its lines (the importer's own cursor events not counted).
        line_count, byte_count: What was read of it this time.
        problems: The first ``IMPORT_PROBLEMS_MAX`` problems; ``problem_count`` is their whole number.
        unknown: Native types without a projection, and how many lines each.
    """

    path: str
    outcome: Outcome = "unchanged"
    reason: str | None = None
    session_id: str | None = None
    format: str | None = None
    event_count: int = 0
    line_count: int = 0
    byte_count: int = 0
    problems: list[Problem] = []
    problem_count: int = 0
    unknown: dict[str, int] = {}

    def add_problem(self, line: int, text: str) -> None:
        """Note a problem at a line."""
        self.problem_count += 1
        if len(self.problems) < IMPORT_PROBLEMS_MAX:
            self.problems.append(Problem(self.path, line, text))

    def add_unknown(self, native_type: str) -> None:
        """Count a line without projection."""
        self.unknown[native_type] = self.unknown.get(native_type, 0) + 1

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types: what ``turnfold import --jsonl`` prints in a line."""
        fields: dict[str, Any] = msgspec.to_builtins(self)
        return fields | {"problems": [problem._asdict() for problem in self.problems]}


class ImportResult(msgspec.Struct, kw_only=True):
    """What an import of one or many files did."""

    files: list[FileImport] = []

    @property
    def session_ids(self) -> list[str]:
        """The sessions that the files belong to, each once, in file order."""
        return list(dict.fromkeys(file.session_id for file in self.files if file.session_id is not None))

    @property
    def event_count(self) -> int:
        """Events added."""
        return sum(file.event_count for file in self.files)

    @property
    def line_count(self) -> int:
        """Lines read."""
        return sum(file.line_count for file in self.files)

    @property
    def byte_count(self) -> int:
        """Bytes read."""
        return sum(file.byte_count for file in self.files)

    @property
    def problem_count(self) -> int:
        """Problems found."""
        return sum(file.problem_count for file in self.files)

    @property
    def problems(self) -> list[Problem]:
        """The listed problems of all files."""
        return [problem for file in self.files for problem in file.problems]

    @property
    def skipped(self) -> list[FileImport]:
        """Files that were not read, with their reasons."""
        return [file for file in self.files if file.outcome == "skipped"]

    @property
    def unknown(self) -> dict[str, int]:
        """Native types without a projection, and how many lines each."""
        total: Counter[str] = Counter()
        for file in self.files:
            total.update(file.unknown)
        return dict(sorted(total.items()))

    def outcomes(self) -> dict[str, int]:
        """How many files each outcome had."""
        return dict(sorted(Counter(file.outcome for file in self.files).items()))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types: what ``turnfold import --json`` prints."""
        return {
            "session_ids": self.session_ids,
            "outcomes": self.outcomes(),
            "event_count": self.event_count,
            "line_count": self.line_count,
            "byte_count": self.byte_count,
            "problem_count": self.problem_count,
            "unknown": self.unknown,
            "files": [file.to_dict() for file in self.files],
        }


def display_path(path: Path) -> str:
    """The path as text that can be encoded anywhere, whatever bytes the file system holds."""
    return str(path).encode("utf-8", "backslashreplace").decode()
