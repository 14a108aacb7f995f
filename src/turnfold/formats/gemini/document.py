"""Gemini CLI's JSON documents: sessions as they were until 2026, and conversations that a person saved (``/chat save``).

A document is said in the records of the JSON Lines that came after it, so one reader serves both.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from turnfold.errors import FormatError
from turnfold.formats.base import Document, Find, SourceInfo
from turnfold.formats.documents import line_of, unreadable
from turnfold.formats.fields import name_of, object_of, short_hash, stem_of
from turnfold.formats.gemini.format import NAME, GeminiFormat, gemini_folder
from turnfold.formats.gemini.reader import GeminiReader
from turnfold.formats.lines import decode_line
from turnfold.formats.places import OneFile, oldest_first

DOCUMENT_NAME = "gemini-json"
_FIXED = ("sessionId", "projectHash", "startTime", "kind")
"""Facts that stay as they are."""
_facts = tuple(re.compile(rb'"%s"\s*:\s*%s' % pair) for pair in ((b"sessionId", b'"'), (b"projectHash", b'"'), (b"messages", rb"\[")))
_history = re.compile(rb'\s*\{\s*"history"\s*:\s*\[\s*\{\s*"(?:role|parts)"\s*:')
_turns = re.compile(rb'\s*\[\s*\{\s*(?:"role"\s*:\s*"(?:user|model)"\s*,\s*"parts"|"parts"\s*:\s*\[)')
"""A saved conversation: with its history named, or (before that) as a list of the API's turns, which other programs write too."""


class GeminiDocumentFormat(OneFile):
    """See ``formats.base.DocumentFormat``."""

    name = DOCUMENT_NAME

    def __init__(self) -> None:
        """Share what both formats know."""
        self._lines = GeminiFormat()

    def sniff(self, path: Path, head: bytes) -> float:
        """Look for a document's facts, or for turns of the Gemini API."""
        if self._lines.sniff(path, head):
            return 0.0
        if head.lstrip().startswith(b"{") and all(fact.search(head) for fact in _facts):
            return 0.95
        if _history.match(head):
            return 0.8
        return 0.7 if path.name.startswith("checkpoint-") and _turns.match(head) else 0.0

    def describe(self, path: Path, head: Iterable[bytes]) -> SourceInfo:
        """Read the first line of a session, or of a saved conversation."""
        return self._lines.describe(path, head)

    def reader(self, path: Path, info: SourceInfo, state: dict[str, Any] | None, find: Find) -> GeminiReader:
        """Return a reader of one session's lines."""
        return GeminiReader(state, find)

    def documents(self, path: Path) -> Iterator[Document]:
        """Yield the session of a document: its facts, its messages, and last what may still change."""
        try:
            data = path.read_bytes()
        except OSError as error:
            raise FormatError(f"{path}: {error}", path=str(path)) from error
        value, problem = decode_line(data)
        if problem is not None:
            raise FormatError(f"{path}: {problem}", hint="is it whole?", path=str(path))
        record = object_of(value)
        turns = value if isinstance(value, list) else record.get("history")
        if isinstance(turns, list):
            yield self._saved(path, record, turns)
        else:
            yield self._session(path, record)

    def _session(self, path: Path, record: dict[str, Any]) -> Document:
        fixed = {name: record[name] for name in _FIXED if name in record}
        native_id = name_of(record.get("sessionId")) or name_of(path.stem) or NAME
        rest = {name: value for name, value in record.items() if name not in {*_FIXED, "messages"}}
        messages = record.get("messages")
        lines = [line_of(fixed or {"sessionId": native_id})]
        if isinstance(messages, list):
            lines += [line_of(item) if isinstance(item, dict) else _no_object(at, item) for at, item in enumerate(messages)]
        elif messages is not None:
            lines.append(unreadable("messages", "it is no list", line_of(messages)))
        settled = max(len(lines) - 1, 1)  # the last message may still be written again
        if rest:
            lines.append(line_of({"$set": rest}))
        return Document(native_id=native_id, lines=lines, settled_count=settled)

    def _saved(self, path: Path, record: dict[str, Any], turns: list[Any]) -> Document:
        """A saved conversation is written anew as a whole; the project's folder and its tag name it."""
        native_id = f"{short_hash(path.absolute().parent.name, path.stem)}-{stem_of(path.stem)}"
        rest = {name: value for name, value in record.items() if name != "history"}
        lines = [line_of({"sessionId": native_id, "history": len(turns), **rest})]
        lines += [line_of(item) if isinstance(item, dict) else _no_object(at, item) for at, item in enumerate(turns)]
        return Document(native_id=native_id, lines=lines)

    def discover(self, home: Path, environ: dict[str, str]) -> Iterator[Path]:
        """Yield the documents under ``~/.gemini`` that were not carried over to JSON Lines, oldest first."""
        root = gemini_folder(home, environ)
        found = [path for pattern in ("tmp/*/chats/session-*.json", "tmp/*/checkpoint-*.json") for path in root.glob(pattern)]
        yield from oldest_first(path for path in found if not path.with_suffix(".jsonl").exists())

    def folders(self, home: Path, environ: dict[str, str]) -> list[Path]:
        """Return the folder of projects."""
        return [gemini_folder(home, environ) / "tmp"]

    def export_name(self, session_id: str) -> str:
        """Return the name of the lines of the document."""
        return f"{stem_of(session_id)}.jsonl"


def _no_object(at: int, item: Any) -> bytes:
    return unreadable(f"messages[{at}]", "a JSON value that is no object", line_of(item))
