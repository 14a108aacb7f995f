"""Brings other tools' session files into a store: once, incrementally, and exactly.

Blocking, over the store port. A file's lines stream through its format's reader into batches, each one commit that also carries the cursor;
what a second run finds unchanged costs a stat and the read of one head. See ``importing.session`` for what happens to one file.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from turnfold.codec.zstd import is_zstd
from turnfold.engine.bundle import is_bundle
from turnfold.engine.importing.batch import Target
from turnfold.engine.importing.document import DocumentFile, sessions_of, state_of_files, write_account
from turnfold.engine.importing.follower import FileFollower, Root
from turnfold.engine.importing.known import Known, walk
from turnfold.engine.importing.packed import PackedFile, plain_path, unpacked_copy, unpacked_head
from turnfold.engine.importing.result import FileImport, ImportResult, Problem, Progress, ProgressCallback, display_path
from turnfold.engine.importing.session import FileImporter
from turnfold.engine.importing.source import SourceFile
from turnfold.engine.unbundling import read_bundle
from turnfold.errors import MissingExtra, StoreClosed, TurnfoldError
from turnfold.formats.base import DocumentFormat, Format, Placed
from turnfold.formats.heads import SNIFF_BYTES, SQLITE_MAGIC, read_head
from turnfold.formats.registry import Formats, formats
from turnfold.ports.store import Store

__all__ = ["FileImport", "ImportResult", "Importer", "Problem", "Progress", "ProgressCallback"]

BUNDLE = "bundle"


class Importer:
    """Imports files for one tenant and owner."""

    def __init__(
        self,
        store: Store,
        tenant: str = "default",
        owner: str | None = None,
        *,
        hmac_key: bytes | None = None,
        tags: Iterable[str] = (),
        known_formats: Formats | None = None,
    ) -> None:
        """Set up.

        Args:
            store: Where sessions go.
            tenant: Their tenant.
            owner: Their owner; sessions of other owners are out of reach.
            hmac_key: Key of the event digests, or None.
            tags: Tags of new sessions.
            known_formats: Formats to read; None are those installed.
        """
        self._target = Target(store=store, tenant=tenant, owner=owner, hmac_key=hmac_key, tags=tuple(tags))
        self._formats = formats() if known_formats is None else known_formats

    def import_file(self, path: Path | str, format: str | None = None, progress: ProgressCallback | None = None) -> ImportResult:
        """Import one file with its companions (subagents' files).

        Args:
            path: The file.
            format: Read it as this format; None detects it by content.
            progress: Called after each batch.

        Raises:
            NotSupported: There is no such format.
            TurnfoldError: The store fails. What is wrong with the file itself is in the result.
        """
        run = _Run(self._target, self._formats, None if format is None else self._formats.get(format), progress)
        run.with_companions(Path(path))
        return run.result

    def import_tree(
        self,
        paths: Iterable[Path | str] | None = None,
        format: str | None = None,
        progress: ProgressCallback | None = None,
    ) -> ImportResult:
        """Import files and folders; None imports what ``discover`` finds.

        Files that are no sessions are left out of the result where a folder was walked, and named as skipped where they were given.
        """
        run = _Run(self._target, self._formats, None if format is None else self._formats.get(format), progress)
        if paths is None:
            for found, path in self.discover():
                run.visit(path, found)
            return run.result
        for given in map(Path, paths):
            if given.is_dir():
                for path in walk(given):
                    run.visit(path, walked=True)
            else:
                run.visit(given)
        return run.result

    def follow(
        self, paths: Iterable[Path | str] | None = None, format: str | None = None, note: Callable[[str], None] | None = None
    ) -> FileFollower:
        """Return what imports files now and then whenever they change.

        Args:
            paths: Files and folders, there or not yet; None follows the folders where installed tools keep their sessions.
            format: Read them as this format; None detects it by content.
            note: Told who follows, when that changes.

        Raises:
            NotSupported: There is no such format.
        """
        chosen = None if format is None else self._formats.get(format)
        roots = self._tools_folders() if paths is None else [Root(Path(path), chosen) for path in paths]

        def import_all(progress: ProgressCallback) -> tuple[list[FileImport], dict[Path, DocumentFormat]]:
            run = _Run(self._target, self._formats, chosen, progress)
            if paths is None:
                for found, path in self.discover():
                    run.visit(path, found)
            else:
                for root in roots:
                    for path in walk(root.path) if root.path.is_dir() else [root.path] if root.path.exists() else ():
                        run.visit(path, walked=root.path != path)
            return run.result.files, run.documents

        def import_file(path: Path, fmt: Format | None, progress: ProgressCallback) -> tuple[Format | None, list[FileImport]]:
            near = [root.format for root in roots if root.format is not None and (root.path == path or root.path in path.parents)]
            among = near if fmt is None and paths is None else None
            return _Run(self._target, self._formats, fmt or chosen, progress, among=among).alone(path)

        return FileFollower(self._target, roots, import_all, import_file, note or (lambda _: None))

    def _tools_folders(self) -> list[Root]:
        """Where installed tools keep their sessions, or would."""
        home, variables = Path.home(), dict(os.environ)
        found: dict[Root, None] = {}
        for known in self._formats.all():
            folders = known.folders(home, variables) if isinstance(known, Placed) else known.discover(home, variables)
            found.update((Root(folder, known), None) for folder in folders)
        return list(found)

    def discover(self, home: Path | None = None, environ: Mapping[str, str] | None = None) -> list[tuple[Format, Path]]:
        """The session files that installed tools have left in their usual places."""
        home = Path.home() if home is None else home
        variables = dict(os.environ if environ is None else environ)
        return [(known, path) for known in self._formats.all() for path in known.discover(home, variables)]


class _Run:
    """One import of many files."""

    def __init__(
        self,
        target: Target,
        known_formats: Formats,
        chosen: Format | None,
        progress: ProgressCallback | None,
        *,
        among: Sequence[Format] | None = None,
    ) -> None:
        self.result = ImportResult()
        self.documents: dict[Path, DocumentFormat] = {}
        self._among = among
        self._target = target
        self._formats = known_formats
        self._chosen = chosen
        self._progress = progress
        self._done: set[Path] = set()
        self._known = Known(target)

    def visit(self, path: Path, chosen: Format | None = None, *, walked: bool = False) -> None:
        """Import a file unless it was met before or is known to be as it was."""
        if path in self._done:
            return
        unchanged = self._known.unchanged(path, self._formats)
        if not unchanged:
            self.with_companions(path, chosen, walked=walked)
        else:
            self.result.files += unchanged
            for companion in self._beside(path, self._formats.get(str(unchanged[0].format))):
                self.visit(companion, walked=True)

    def with_companions(self, path: Path, chosen: Format | None = None, *, walked: bool = False) -> None:
        """Import a file, then what belongs to it. A companion without a session in it travels with the file that it describes.

        Args:
            path: The file.
            chosen: Its format, where that is known.
            walked: The file was found and not named: if it is no session it is passed over in silence.
        """
        self._done.add(path)
        outcome = FileImport(path=display_path(path))
        fmt, found = self._import(path, chosen or self._chosen, outcome)
        if fmt is not None or found or not walked:
            self.result.files += found or [outcome]
        for companion in self._beside(path, fmt) if fmt is not None else ():
            if companion not in self._done:
                self.with_companions(companion, walked=True)

    def alone(self, path: Path) -> tuple[Format | None, list[FileImport]]:
        """Import a file without what belongs to it; nothing if it is no session."""
        outcome = FileImport(path=display_path(path))
        fmt, found = self._import(path, self._chosen, outcome)
        return fmt, found or ([outcome] if fmt is not None else [])

    def _beside(self, path: Path, fmt: Format) -> list[Path]:
        """The files that belong to one that is done; those that its document has read already are done too."""
        self._done.add(path)
        if isinstance(fmt, DocumentFormat):
            self.documents[path] = fmt
            self._done.update(fmt.covered(path))
        return fmt.companions(path)

    def _import(self, path: Path, fmt: Format | None, outcome: FileImport) -> tuple[Format | None, list[FileImport]]:
        """Import a file; ``outcome`` is its own, the list has one for each session where it may hold several."""
        found: list[FileImport] = []
        try:
            head = read_head(path)
            if is_zstd(head):
                return self._import_packed(path, fmt, outcome, found), found
            if fmt is None and is_bundle(head):
                return None, self._import_bundle(path, outcome)
            fmt = self._known_format(path, head, outcome) if fmt is None else fmt
            if isinstance(fmt, DocumentFormat):
                self._import_document(path, fmt, path, found, outcome)
            elif fmt is not None and head.startswith(SQLITE_MAGIC):  # opening it as a file would cost its users their locks
                outcome.outcome, outcome.reason = "skipped", f"it is a database, and {fmt.name} reads none"
            elif fmt is not None:
                self._import_lines(path, fmt, outcome)
        except (OSError, sqlite3.Error, TurnfoldError) as error:
            outcome.outcome, outcome.reason = "skipped", _reason(error, outcome)
            if found or isinstance(error, MissingExtra):
                found.append(outcome)
        return fmt, found

    def _known_format(self, path: Path, head: bytes, outcome: FileImport) -> Format | None:
        fmt = self._formats.detect_head(path, head, self._among)
        if fmt is None:
            outcome.outcome, outcome.reason = "skipped", "no known format" if head else "the file is empty"
        return fmt

    def _import_packed(self, path: Path, fmt: Format | None, outcome: FileImport, found: list[FileImport]) -> Format | None:
        """Import a compressed file: lines as they are unpacked, a document out of a copy (a database can be looked at in no other way)."""
        head = unpacked_head(path, SNIFF_BYTES)
        is_database = head.startswith(SQLITE_MAGIC)
        if fmt is None and not is_database:
            fmt = self._known_format(plain_path(path), head, outcome)
        if isinstance(fmt, DocumentFormat) or is_database:
            with unpacked_copy(path) as copy:
                fmt = self._known_format(copy, head, outcome) if fmt is None else fmt
                if isinstance(fmt, DocumentFormat):
                    self._import_document(path, fmt, copy, found, outcome)
        elif fmt is not None:
            self._import_lines(path, fmt, outcome, partial(PackedFile, path))
        return fmt

    def _import_lines(self, path: Path, fmt: Format, outcome: FileImport, open_source: Callable[[], SourceFile] | None = None) -> None:
        outcome.format = fmt.name
        FileImporter(self._target, fmt, path, outcome, self._progress, open_source=open_source).run()

    def _import_document(self, path: Path, fmt: DocumentFormat, content: Path, found: list[FileImport], outcome: FileImport) -> None:
        """Import a document's sessions (out of ``content``) one by one; what is wrong with one of them does not stop the others."""
        outcome.format = fmt.name
        state = state_of_files(fmt, path)
        is_whole = True
        for document in sessions_of(fmt, content):
            one = FileImport(path=f"{display_path(path)}#{document.native_id}", format=fmt.name)
            found.append(one)
            try:
                open_source = partial(DocumentFile, path, document)
                FileImporter(self._target, fmt, path, one, self._progress, open_source=open_source).run()
            except TurnfoldError as error:
                one.outcome, one.reason = "skipped", _reason(error, one)
                is_whole = False
        if is_whole:
            session_ids = {one.session_id for one in found if one.session_id is not None}
            write_account(self._target, path, format_name=fmt.name, state=state, session_count=len(session_ids))
        if not found:
            outcome.outcome, outcome.reason = "skipped", "it has no sessions"

    def _import_bundle(self, path: Path, outcome: FileImport) -> list[FileImport]:
        """Restore a bundle's sessions: one result for each, the given one for the first."""
        target = self._target
        outcome.format = BUNDLE
        found: list[FileImport] = []
        restored = read_bundle(target.store, path, target.tenant, owner=target.owner, hmac_key=target.hmac_key)
        for index, session in enumerate(restored):
            one = outcome if index == 0 else FileImport(path=outcome.path, format=BUNDLE)
            one.session_id, one.event_count = session.id, session.event_count
            one.outcome = "unchanged" if session.repeated else "imported"
            found.append(one)
        return found


def _reason(error: Exception, outcome: FileImport) -> str:
    """Why a file or session was skipped; raised on where the error is none of the file's."""
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror or error}"
    if isinstance(error, TurnfoldError):
        if error.fault != "caller" or isinstance(error, StoreClosed) or outcome.format == BUNDLE:
            raise error  # what is wrong with a bundle is an error, not a reason to skip it
        return f"{error.code}: {error.message}" + (f" ({error.hint})" if isinstance(error, MissingExtra) else "")
    return f"cannot be read: {error}"
