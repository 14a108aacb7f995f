"""What formats of databases answer alike."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from turnfold.errors import FormatError
from turnfold.formats.fields import object_of, stem_of
from turnfold.formats.heads import SQLITE_MAGIC
from turnfold.formats.lines import decode_line
from turnfold.formats.places import OneFile


class DatabaseFormat(OneFile):
    """The part of ``formats.base.DocumentFormat`` that is the same for every database."""

    name = ""

    def sniff(self, path: Path, head: bytes) -> float:
        """Look at the tables; a subclass says which."""
        raise NotImplementedError

    def require(self, path: Path) -> None:
        """Refuse a file without the tables and columns of the format.

        Raises:
            FormatError: It has them not, or is no database at all.
        """
        if not self.sniff(path, SQLITE_MAGIC):
            raise FormatError(f"{path}: not a database of {self.name}", hint="is the file whole, and of this format?", path=str(path))

    def covered(self, path: Path) -> Iterable[Path]:
        """Return SQLite's files beside a database, which hold nothing that it does not say."""
        return [path.with_name(path.name + ending) for ending in ("-wal", "-shm", "-journal")]

    def export_name(self, session_id: str) -> str:
        """Return a file name for a session's lines."""
        return f"{self.name}-{stem_of(session_id)}.jsonl"


def header_of(head: Iterable[bytes]) -> dict[str, Any]:
    """Return the row of a session's first line."""
    for data in islice(head, 1):
        return object_of(object_of(decode_line(data)[0]).get("row"))
    return {}
