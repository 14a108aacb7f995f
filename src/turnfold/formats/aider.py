r"""aider's chat history: ``.aider.chat.history.md`` in a project's folder, Markdown to which every run is appended.

A run begins with ``# aider chat started at <local time>`` and becomes a session. Below it lines with ``#### `` are what the person typed,
lines with ``> `` what aider said, and all else is the model's answer. aider ends the lines of the first two kinds with two spaces; where a run
has such lines, headings and quotations of the model, which have none, are taken for what they are.

A run is said as records ``{kind, text}`` with the exact text: joined, the texts of all runs are the file. There are no ids and no times within
a run; a session's id is made of the folder's name and the time of the start. Tokens are rounded by aider (``2.3k``), and so are ours.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from turnfold.errors import FormatError
from turnfold.formats.base import Document, Find, Line, Projected, SourceInfo
from turnfold.formats.documents import line_of
from turnfold.formats.fields import cost_of, metadata_of, object_of, short_hash, stem_of, text_of
from turnfold.formats.lines import decode_line, opaque
from turnfold.formats.places import oldest_first
from turnfold.formats.rows import RowReader, native, said, told
from turnfold.model.event import to_us
from turnfold.model.message import Message
from turnfold.model.parts import TextPart
from turnfold.model.usage import NO_USAGE, Usage

NAME = "aider"
FILE_NAME = ".aider.chat.history.md"
NAME_CHARS_MAX = 30
"""Of a folder's name in an id."""
_start = re.compile(rb"^\n?# aider chat started at (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)[ \t]*\r?\n(?:\r?\n)?", re.MULTILINE)
_line = re.compile(rb"[^\n]*\n|[^\n]+")
_report = re.compile(rb"> Tokens: .* received\.$")
_cost = re.compile(rb"Cost: \$[\d.]+ message, \$[\d.]+ session\.")
_tokens = re.compile(
    r"Tokens: ([\d.]+k?) sent(?:, ([\d.]+k?) cache write)?(?:, ([\d.]+k?) cache hit)?, ([\d.]+k?) received\."
    r"(?:\s*Cost: \$(\d+\.\d+) message)?"
)
_model = re.compile(r"^(?:Main model|Model): (\S+) with ", re.MULTILINE)
USER, TOOL = b"#### ", b"> "
"""What lines of the person and of aider begin with."""


class AiderFormat:
    """See ``formats.base.DocumentFormat``."""

    name = NAME

    def sniff(self, path: Path, head: bytes) -> float:
        """Look for the beginning of a run."""
        match = _start.search(head)
        if match is None or head[:1] in {b"{", b"["}:
            return 0.0
        return 0.95 if not head[: match.start()].strip() else 0.6

    def documents(self, path: Path) -> Iterator[Document]:
        """Yield the runs in the order of the file; only the last record of a run may still grow."""
        try:
            data = path.read_bytes()
        except OSError as error:
            raise FormatError(f"{path}: {error}", path=str(path)) from error
        folder = path.absolute().parent.name
        taken: dict[str, int] = {}
        for started, text in runs_of(data):
            taken[started] = taken.get(started, 0) + 1
            native_id = _native_id(folder, started, taken[started])
            lines = [line_of(record) for record in records_of(text, started)]
            yield Document(native_id=native_id, lines=[line_of({"aider": native_id, "started": started}), *lines], settled_count=len(lines))

    def covered(self, path: Path) -> Iterable[Path]:
        """A history is one file."""
        return ()

    def describe(self, path: Path, head: Iterable[bytes]) -> SourceInfo:
        """Read the first record; the history lies in the project's folder."""
        first: dict[str, Any] = {}
        for data in head:
            first = object_of(decode_line(data)[0])
            break
        return SourceInfo(
            native_id=text_of(first.get("aider")) or NAME,
            agent=NAME,
            created_us=_local_us(text_of(first.get("started"))),
            metadata=metadata_of({"cwd": str(path.absolute().parent)}),
        )

    def reader(self, path: Path, info: SourceInfo, state: dict[str, Any] | None, find: Find) -> AiderReader:
        """Return a reader of one run."""
        return AiderReader(info, state)

    def discover(self, home: Path, environ: dict[str, str]) -> Iterator[Path]:
        """Yield the history that ``$AIDER_CHAT_HISTORY_FILE`` names, and those of the working and the home folder."""
        yield from oldest_first(self.folders(home, environ))

    def folders(self, home: Path, environ: dict[str, str]) -> list[Path]:
        """Return those files."""
        places = [Path(environ["PWD"])] if environ.get("PWD") else []
        found = [place / FILE_NAME for place in (*places, home)]
        if environ.get("AIDER_CHAT_HISTORY_FILE"):
            found.append(Path(environ["AIDER_CHAT_HISTORY_FILE"]))
        return list(dict.fromkeys(found))

    def companions(self, path: Path) -> list[Path]:
        """A history is one file."""
        return []

    def export_name(self, session_id: str) -> str:
        """Return the name of the lines of a run."""
        return f"{stem_of(session_id)}.jsonl"


def _native_id(folder: str, started: str, number: int) -> str:
    """Name a run: a few digits to call it by, its folder and its start; ``number`` counts those of the same second."""
    name = f"{stem_of(folder)[:NAME_CHARS_MAX]}-{started.replace(' ', 'T').replace(':', '-') or 'before'}"
    return f"{short_hash(folder, started, str(number))}-{name}" + (f"-{number}" if number > 1 else "")


def _local_us(started: str) -> int | None:
    """The time that aider writes is the machine's own."""
    try:
        return to_us(datetime.fromisoformat(started).astimezone())
    except (ValueError, OverflowError, OSError):
        return None


def runs_of(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Split a history into runs: when they started, and their bytes. What stands before the first run has no start."""
    starts = [(match.start(), match[1].decode()) for match in _start.finditer(data)]
    before = data[: starts[0][0]] if starts else data
    if before.strip() or (before and not starts):
        yield "", before
    elif starts:
        starts[0] = (0, starts[0][1])
    for index, (begin, started) in enumerate(starts):
        yield started, data[begin : starts[index + 1][0] if index + 1 < len(starts) else len(data)]


def records_of(data: bytes, started: str) -> Iterator[dict[str, Any]]:
    """Split a run into its records; joined, their texts are the run."""
    match = _start.search(data) if started else None
    if match is not None:
        yield _record("start", data[: match.end()])
        data = data[match.end() :]
    marked = [line for line in data.split(b"\n") if line.rstrip(b"\r").endswith(b"  ")]
    strict = frozenset(prefix for prefix in (USER, TOOL) if any(line.startswith(prefix) for line in marked))
    kind, current, blank = "", b"", b""
    for line in _line.findall(data):
        if not line.strip():
            blank += line
            continue
        now = _kind(line, kind, strict)
        if now == kind and (kind == "assistant" or not blank):
            current += blank + line
        else:
            if kind:
                yield _record(kind, current)
            kind, current = now, blank + line
        blank = b""
    if kind or blank:
        yield _record(kind or "blank", current + blank)


def _record(kind: str, text: bytes) -> dict[str, Any]:
    try:
        return {"kind": kind, "text": text.decode()}
    except UnicodeDecodeError:
        return {"kind": kind, "text": text.decode(errors="replace"), "text_base64": base64.b64encode(text).decode()}


def _kind(line: bytes, before: str, strict: frozenset[bytes]) -> str:
    """Who says a line; ``strict`` are the prefixes that count only with the mark. A long report of tokens and cost has its mark a line later."""
    bare = line.rstrip(b"\r\n")
    marked = bare.endswith(b"  ")
    if bare.startswith(USER) and (marked or USER not in strict):
        return "user"
    if bare.startswith(TOOL) and (marked or TOOL not in strict or _report.match(bare)):
        return "tool"
    return "tool" if before == "tool" and _cost.match(bare) else "assistant"


class AiderReader(RowReader):
    """Reader of one run's records."""

    def __init__(self, info: SourceInfo, state: dict[str, Any] | None) -> None:
        """Begin at the run's start, or go on from ``state``."""
        super().__init__(state)
        self.at_us = info.created_us
        self._model: str | None = (state or {}).get("model")

    def state(self) -> dict[str, Any]:
        """What a later reader needs to go on."""
        return super().state() | {"model": self._model}

    def project(self, line: Line, value: dict[str, Any], seq: int) -> list[Projected]:
        """Return the event of a record."""
        kind, text = text_of(value.get("kind")), text_of(value.get("text"))
        if "aider" in value or kind in {"start", "blank"}:
            return [native(line, "settings", kind or "run", value, at=self.at_us, visibility="none")]
        if kind == "user":
            message = Message("user", [TextPart(_bare(text, USER.decode()))])
            self.typed(message)
            return [said(line, message, at=self.at_us, turn_count=1)]
        if kind == "assistant":
            return [said(line, Message("assistant", [TextPart(text.strip())], model=self._model), at=self.at_us)]
        if kind != "tool":
            return [opaque(line, self.at_us, kind or None)]
        return [self._note(line, _bare(text, TOOL.decode()))]

    def _note(self, line: Line, text: str) -> Projected:
        """What aider says to the person: the model, files, commits, and what an answer used."""
        named = _model.search(text)
        if named is not None:
            self._model = named[1]
        data = msgspec.to_builtins(Message("system", [TextPart(text)], synthetic=True))
        return told(line, "context", data, at=self.at_us, visibility="ui", usage=_usage(text, self._model or ""))


def _bare(text: str, prefix: str) -> str:
    """Take aider's marks off the lines of a block."""
    lines = [line.rstrip("\r").removesuffix("  ").removeprefix(prefix) for line in text.strip("\r\n").split("\n")]
    return "\n".join(lines).strip("\n")


def _usage(text: str, model: str) -> Usage:
    """Add up the reports in a text; what was sent holds what the cache had and got."""
    total = NO_USAGE
    for sent, written, hit, received, cost in _tokens.findall(text):
        usage = Usage(_count(sent), _count(received), _count(hit), _count(written), 0, cost_of(float(cost or 0)), model)
        total = usage if total is NO_USAGE else total + usage
    return total or NO_USAGE


def _count(text: str) -> int:
    """A count as aider rounds it: ``812``, ``2.3k``, ``31k``."""
    number = text.removesuffix("k")
    try:
        return min(round(float(number or 0) * (1_000 if text.endswith("k") else 1)), 1 << 53)
    except (ValueError, OverflowError):
        return 0
