"""Imports one file into its session: finds out where it belongs and how far it is, then feeds its lines to the format's reader.

Safe to stop at any moment: whatever was committed has its cursor with it, and whatever was not is read again. Another writer to the session
makes a batch conflict; the import then begins again at the cursor that it finds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from turnfold.engine.importing.batch import Naming, Target, genesis_of, session_fields
from turnfold.engine.importing.continued import origin_of
from turnfold.engine.importing.cursor import Cursor, cursor_of, next_step, next_step_of_document, without_reading
from turnfold.engine.importing.document import DocumentFile
from turnfold.engine.importing.feed import Feed, Start
from turnfold.engine.importing.kept import begins_with, kept_lines, redaction_count
from turnfold.engine.importing.result import FileImport, ProgressCallback, display_path
from turnfold.engine.importing.source import SourceFile
from turnfold.errors import IdempotencyConflict, InvalidInput, SequenceConflict, SessionNotFound
from turnfold.formats.base import Format, SourceInfo
from turnfold.ids import check_session_id
from turnfold.limits import IMPORT_RETRIES_MAX
from turnfold.model.session import Head

_replace = msgspec.structs.replace


class FileImporter:
    """Imports one file; used once."""

    def __init__(
        self,
        target: Target,
        fmt: Format,
        path: Path,
        result: FileImport,
        progress: ProgressCallback | None,
        *,
        open_source: Callable[[], SourceFile] | None = None,
    ) -> None:
        """Set up; ``result`` is filled as batches commit. ``open_source`` opens what is imported: None is the file as it is."""
        self._target = target
        self._open = open_source or (lambda: SourceFile(path))
        self._format = fmt
        self._path = path
        self._result = result
        self._progress = progress

    def run(self) -> None:
        """Import what is new in the file.

        Raises:
            OSError: The file cannot be read.
            TurnfoldError: The session takes no events, or the store fails.
        """
        for attempt in range(IMPORT_RETRIES_MAX):
            try:
                self._attempt()
            except (SequenceConflict, IdempotencyConflict):
                if attempt == IMPORT_RETRIES_MAX - 1:
                    raise
            else:
                return

    def _attempt(self) -> None:
        with self._open() as file:
            if file.facts.size == 0:
                self._result.outcome, self._result.reason = "skipped", f"the {'file' if file.native_id is None else 'session'} is empty"
                return
            info = self._format.describe(file.named, file.first_lines())
            if file.native_id is not None:
                info = _replace(info, native_id=file.native_id)
            origin = origin_of(self._target, info, file)
            if origin is not None and file.facts.size == origin.byte_count:
                self._result.session_id, self._result.reason = origin.session_id, "written from this session, and nothing was added since"
                return
            start = self._start(file, info)
            self._result.session_id = start.session_id
            if self._result.outcome in {"unchanged", "skipped"}:
                self._result.outcome, self._result.reason = start.outcome, start.reason
            if start.moved or start.outcome not in {"unchanged", "skipped"}:
                feed = Feed(self._target, self._format, start, file=file, info=info, result=self._result, progress=self._progress)
                feed.counted_bytes = 0 if origin is None else origin.byte_count
                feed.run()
            if file.problem is not None:
                self._result.add_problem(file.problem_line, file.problem)

    # ---- where it belongs ------------------------------------------------------------------------------------------------------------

    def _start(self, file: SourceFile, info: SourceInfo) -> Start:
        """Choose the session.

        It is the native id; with the format's name before it where another format has that id; with a hash of the path behind it where
        another file of the same format has it too.
        """
        copy = False
        for session_id in self._candidates(info):
            if copy and "~" not in session_id:
                continue
            try:
                head = self._target.store.get_session(self._target.key(session_id), owner=self._target.owner)
            except SessionNotFound:
                if self._taken(session_id):
                    continue
                return self._new(file, info, session_id)
            native = head.info.native or {}
            if native.get("format") != self._format.name or native.get("id") != info.native_id:
                continue
            found = self._known(file, info, head)
            if found is not None:
                return found
            copy = True
        raise InvalidInput(f"{display_path(self._path)}: every session id for it is taken by something else")

    def _candidates(self, info: SourceInfo) -> Iterator[str]:
        native = info.native_id
        path_hash = hashlib.sha256(str(self._path).encode("utf-8", "surrogateescape")).hexdigest()[:8]
        ids = [native, f"{self._format.name}-{native}", f"{native}~{path_hash}", f"{self._format.name}-{native}~{path_hash}"]
        yield from map(check_session_id, ids)

    def _taken(self, session_id: str) -> bool:
        """Whether the id exists outside this owner's view (another owner's session is not found, yet cannot be created)."""
        key = self._target.key(session_id)
        return self._target.owner is not None and key in self._target.store.last_seqs([key])

    def _new(self, file: SourceFile, info: SourceInfo, session_id: str) -> Start:
        cursor = Cursor(source=self._source(info), format=self._format.name, path=display_path(self._path))
        at_us = info.created_us if info.created_us is not None else file.modified_us
        extra = {"title": info.title, "metadata": info.metadata, "parent": info.parent}
        fields = session_fields(self._format.name, info.native_id, display_path(self._path), extra)
        genesis = genesis_of(self._target, Naming(cursor.source, 1), agent=info.agent, at_us=at_us, fields=fields)
        return Start(session_id, cursor, None, "imported", genesis=genesis)

    def _source(self, info: SourceInfo) -> str:
        return f"{self._format.name}:{info.native_id}"

    def _known(self, file: SourceFile, info: SourceInfo, head: Head) -> Start | None:
        """What to do with a file whose session exists; None if that session is another file's."""
        session_id, path = head.info.id, display_path(self._path)
        cursor = cursor_of(head, self._source(info))
        if cursor is None:  # created by somebody else from the same native session (a bundle, a copy by hand)
            return None
        if without_reading(cursor, path, file.on_disk):
            return Start(session_id, cursor, head, "unchanged")
        if isinstance(file, DocumentFile):
            return self._known_document(file, head, cursor)
        step = next_step(cursor, path, file.facts, file.fingerprint(cursor.offset))
        other_file = cursor.path != path and Path(cursor.path).exists()
        if step == "compare":
            step = "go_on" if self._same(file, head, cursor) else "replaced"
        elif step == "shortened" and other_file and self._same(file, head, cursor):
            return Start(session_id, cursor, head, "unchanged", f"an older copy of {cursor.path}")
        if step == "go_on":
            grown = file.facts.size > cursor.offset or not cursor.finished
            moved = cursor.path != path and not other_file
            return Start(session_id, cursor, head, "updated" if grown else "unchanged", moved=moved)
        if other_file:
            return None
        return Start(session_id, cursor, head, "replaced", f"the file was {step}: its content differs from what was imported before")

    def _known_document(self, file: DocumentFile, head: Head, cursor: Cursor) -> Start | None:
        """The same for a document's session, whose contents are compared by their hashes."""
        session_id, path = head.info.id, display_path(self._path)
        step = next_step_of_document(cursor, file)
        if step == "go_on":
            grown = file.facts.size > cursor.offset or not cursor.finished
            return Start(session_id, cursor, head, "updated" if grown else "unchanged")
        if cursor.path != path and Path(cursor.path).exists():
            lines = kept_lines(self._target.store, self._target.key(session_id), self._target.owner)
            if file.settled_bytes and begins_with(file, lines, file.settled_bytes):
                return Start(session_id, cursor, head, "unchanged", f"an older copy of {cursor.path}")
            if cursor.unfinished is None or file.settled_bytes <= cursor.unfinished.offset:
                return None
        if step == "retake":
            return Start(session_id, cursor, head, "updated", retake=True)
        return Start(session_id, cursor, head, "replaced", f"the session was {step}: its content differs from what was imported before")

    def _same(self, file: SourceFile, head: Head, cursor: Cursor) -> bool:
        """Whether all that was imported is what the file begins with. Redacted lines cannot be compared: then its ends have to do."""
        key, owner = self._target.key(head.info.id), self._target.owner
        if redaction_count(self._target.store, key, owner):
            return file.facts.size >= cursor.offset and file.fingerprint(cursor.offset) == (cursor.head, cursor.tail)
        return begins_with(file, kept_lines(self._target.store, key, owner), cursor.offset)
