"""Which files of a folder are looked at, and which need not be: those known by their path to be as they were."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from turnfold.engine.importing.batch import Target
from turnfold.engine.importing.cursor import cursor_of, without_reading
from turnfold.engine.importing.document import read_account, state_of_files
from turnfold.engine.importing.packed import SUFFIX, plain_path
from turnfold.engine.importing.result import FileImport, display_path
from turnfold.engine.importing.source import facts_of
from turnfold.errors import InvalidInput, SessionNotFound
from turnfold.formats.base import DocumentFormat
from turnfold.formats.registry import Formats
from turnfold.limits import PAGE_SESSIONS_MAX
from turnfold.model.query import SessionQuery

SUFFIXES = frozenset({".jsonl", ".json", ".zst", ".db", ".sqlite", ".sqlite3", ".vscdb", ".md", ""})
"""Files of a folder that are looked into; a file that is named itself is looked into whatever it is called."""

SKIPPED_FOLDERS = frozenset({".git", "node_modules", "__pycache__"})
"""Folders of many files, none of them a session, that are not looked into."""


class Known:
    """Which files are known by their path, so that a second run reads none of them."""

    def __init__(self, target: Target) -> None:
        """Look nothing up before the first question."""
        self._target = target
        self._sessions: dict[str, list[tuple[str, str, str]]] | None = None

    def unchanged(self, path: Path, known_formats: Formats) -> list[FileImport]:
        """The results for a file that is as it was when it was imported: of each session in it; none for any other file."""
        places = self._by_path().get(display_path(path), [])
        if not places and path.suffix == SUFFIX:  # it may have been imported before it was compressed
            places = self._by_path().get(display_path(plain_path(path)), [])
        for session_id, format_name, native_id in places:
            fmt = known_formats.find(format_name)
            try:
                if isinstance(fmt, DocumentFormat):
                    return self._unchanged_document(path, fmt, [place for place in places if place[1] == format_name])
                on_disk = facts_of(path)
                head = self._target.store.get_session(self._target.key(session_id), owner=self._target.owner)
            except (OSError, SessionNotFound):
                continue
            cursor = cursor_of(head, f"{format_name}:{native_id}")
            if cursor is not None and without_reading(cursor, display_path(path), on_disk):
                return [FileImport(path=display_path(path), session_id=session_id, format=format_name)]
        return []

    def _unchanged_document(self, path: Path, fmt: DocumentFormat, places: list[tuple[str, str, str]]) -> list[FileImport]:
        account = read_account(self._target, path)
        if account is None or account.format != fmt.name or account.tail != state_of_files(fmt, path) or len(places) < account.line:
            return []  # fewer are there than were brought in: one was deleted here, and comes again as a file's would
        shown = display_path(path)
        oldest_first = reversed(places)
        return [
            FileImport(path=f"{shown}#{native_id}", session_id=session_id, format=fmt.name) for session_id, _, native_id in oldest_first
        ]

    def _by_path(self) -> dict[str, list[tuple[str, str, str]]]:
        if self._sessions is None:
            self._sessions = {}
            cursor: str | None = None
            while True:
                query = SessionQuery(tenant=self._target.tenant, owner=self._target.owner, limit=PAGE_SESSIONS_MAX, cursor=cursor)
                page, cursor = self._target.store.list_sessions(query)
                for info in page:
                    native = info.native or {}
                    if isinstance(native.get("path"), str):
                        place = (info.id, str(native.get("format")), str(native.get("id")))
                        self._sessions.setdefault(native["path"], []).append(place)
                if cursor is None:
                    break
        return self._sessions


def walk(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder that may be sessions, those of outer folders first, by name; links to folders are not followed."""
    if not folder.exists():
        raise InvalidInput(f"{folder}: no such folder")
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(set(folders) - SKIPPED_FOLDERS)
        for name in sorted(names):
            path = Path(place, name)
            if path.suffix in SUFFIXES and path.is_file():
                yield path
