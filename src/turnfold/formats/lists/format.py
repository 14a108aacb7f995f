"""The two ways in which a list lies in a file: as a JSON document, and one item per line.

A document is said as a header line, one line per item, and the fields around the list as the last line, since they are what changes. A
file of many envelopes, one per line (training data), is many sessions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from turnfold.errors import FormatError
from turnfold.formats.base import Document, Find, Reader, SourceInfo
from turnfold.formats.documents import line_of, unreadable
from turnfold.formats.fields import name_of, object_of, stem_of
from turnfold.formats.lines import decode_line
from turnfold.formats.lists.peek import around, list_in, peek
from turnfold.formats.lists.reader import ENVELOPE, HEADER, ListReader
from turnfold.formats.lists.shape import TIME_KEYS, Place, Shape, at_of, id_in
from turnfold.formats.places import OneFile
from turnfold.limits import LINE_BYTES_MAX, NAME_BYTES_MAX

BY_LINE = "-jsonl"
"""What the name of a format ends with whose file has one item per line."""


class _Common(OneFile):
    """What both have in common."""

    def __init__(self, shape: Shape, name: str) -> None:
        self.shape = shape
        self.name = name

    def reader(self, path: Path, info: SourceInfo, state: dict[str, Any] | None, find: Find) -> Reader:
        """Return a reader; a list is linear, so nothing is ever looked up."""
        return ListReader(self.shape, state)

    def _sureness(self, head: bytes, *, by_line: bool) -> float:
        seen = peek(head)
        return self.shape.sureness(seen.items, seen.envelope) if seen.items and seen.by_line is by_line else 0.0


class ListFormat(_Common):
    """A JSON document with a list. See ``formats.base.DocumentFormat``."""

    def __init__(self, shape: Shape) -> None:
        """Read documents of that shape."""
        super().__init__(shape, shape.name)

    def sniff(self, path: Path, head: bytes) -> float:
        """Look at the first items."""
        return self._sureness(head, by_line=False)

    def describe(self, path: Path, head: Iterable[bytes]) -> SourceInfo:
        """Read the header line."""
        header = object_of(object_of(decode_line(next(iter(head), b""))[0]).get(HEADER))
        return SourceInfo(native_id=name_of(header.get("id")) or id_from(path), agent=self.shape.agent, created_us=at_of(header))

    def documents(self, path: Path) -> Iterator[Document]:
        """Yield the file's list, or those of each of its lines.

        Raises:
            FormatError: The file is too long, is no JSON, or holds no list.
        """
        data = _read(path)
        value, problem = decode_line(data)
        if problem is None:
            yield self._document(path, value, id_from(path))
            return
        lines = [line for line in data.split(b"\n") if line.strip()]
        values = [decode_line(line) for line in lines]
        if len(lines) == 1 or values[0][1] is not None:
            raise FormatError(f"{path}: {problem}", path=str(path))
        if _has_list(values[0][0]):
            for number, (line, (value, trouble)) in enumerate(zip(lines, values, strict=True), 1):
                name = f"{id_from(path)}-{number}"
                broken = self._lines(name, {}, [unreadable("line", trouble or "there is no list in it", line)], 1)
                yield self._document(path, value, name) if _has_list(value) else broken
            return
        items = [_item(line, value, trouble) for line, (value, trouble) in zip(lines, values, strict=True)]
        yield self._lines(id_from(path), {}, items, len(items))

    def export_name(self, session_id: str) -> str:
        """Return a file name for a session."""
        return stem_of(session_id) + ".json"

    def _document(self, path: Path, value: Any, fallback_id: str) -> Document:
        fields = object_of(value)
        items = list_in(fields) if fields else value
        if not isinstance(items, list):
            if self.shape.said(fields, Place()) is None:
                raise FormatError(f"{path}: there is no list in it", path=str(path))
            items, fields = [value], {}
        settled = next((index for index, item in enumerate(items) if isinstance(item, dict) and not self.shape.settled(item)), len(items))
        rest = around(fields)
        return self._lines(id_in(rest) or fallback_id, rest, [line_of(item) for item in items], settled)

    def _lines(self, native_id: str, rest: dict[str, Any], items: list[bytes], settled_count: int) -> Document:
        times = {key: rest[key] for key in TIME_KEYS if key in rest}
        lines = [line_of({HEADER: {"format": self.name, "id": native_id, **times}}), *items]
        if rest:
            lines.append(line_of({ENVELOPE: rest}))
        return Document(native_id=native_id, lines=lines, settled_count=1 + settled_count)


class ListLinesFormat(_Common):
    """A file with one item of a list per line. See ``formats.base.Format``."""

    def __init__(self, shape: Shape) -> None:
        """Read lines of that shape."""
        super().__init__(shape, shape.name + BY_LINE)

    def sniff(self, path: Path, head: bytes) -> float:
        """Look at the first lines."""
        return self._sureness(head, by_line=True)

    def describe(self, path: Path, head: Iterable[bytes]) -> SourceInfo:
        """Take the id from the file's name: items have none of their conversation."""
        first = object_of(decode_line(next(iter(head), b""))[0])
        return SourceInfo(native_id=id_from(path), agent=self.shape.agent, created_us=at_of(first, first.get("metadata")))

    def export_name(self, session_id: str) -> str:
        """Return a file name for a session."""
        return stem_of(session_id) + ".jsonl"


def id_from(path: Path) -> str:
    """Return a session id from a file's name."""
    return name_of(path.stem) or path.stem.encode()[: NAME_BYTES_MAX // 2].decode(errors="ignore") or "list"


def _has_list(value: Any) -> bool:
    return isinstance(value, list) or list_in(object_of(value)) is not None


def _item(line: bytes, value: Any, problem: str | None) -> bytes:
    return line_of(value) if problem is None else unreadable("item", problem, line)


def _read(path: Path) -> bytes:
    try:
        size_bytes = path.stat().st_size
        if size_bytes > LINE_BYTES_MAX:
            raise FormatError(f"{path} has {size_bytes} bytes, a JSON document may have {LINE_BYTES_MAX}", limit="LINE_BYTES_MAX")
        return path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror or error}", path=str(path)) from error
