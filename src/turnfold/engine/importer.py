"""Brings other tools' session files into a store: once, incrementally, and exactly.

Blocking, over the store port. A file's lines stream through its format's reader into batches, each one commit that also carries the cursor;
what a second run finds unchanged costs a stat and the read of one head. See ``importing.session`` for what happens to one file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from turnfold.engine.bundle import is_bundle, read_bundle
from turnfold.engine.importing.batch import Target
from turnfold.engine.importing.cursor import cursor_of, without_reading
from turnfold.engine.importing.result import FileImport, ImportResult, Problem, Progress, ProgressCallback, display_path
from turnfold.engine.importing.session import FileImporter
from turnfold.engine.importing.source import Facts, facts_of
from turnfold.errors import InvalidInput, SessionNotFound, StoreClosed, TurnfoldError
from turnfold.formats.base import Format
from turnfold.formats.registry import SNIFF_BYTES, Formats, formats
from turnfold.limits import PAGE_SESSIONS_MAX
from turnfold.model.query import SessionQuery
from turnfold.ports.store import Store

__all__ = ["FileImport", "ImportResult", "Importer", "Problem", "Progress", "ProgressCallback"]

BUNDLE = "bundle"
SUFFIXES = frozenset({".jsonl", ".json"})
"""Files of a folder that are looked into; a file that is named itself is looked into whatever it is called."""


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

    def discover(self, home: Path | None = None, environ: Mapping[str, str] | None = None) -> list[tuple[Format, Path]]:
        """The session files that installed tools have left in their usual places."""
        home = Path.home() if home is None else home
        variables = dict(os.environ if environ is None else environ)
        return [(known, path) for known in self._formats.all() for path in known.discover(home, variables)]


class _Run:
    """One import of many files."""

    def __init__(self, target: Target, known_formats: Formats, chosen: Format | None, progress: ProgressCallback | None) -> None:
        self.result = ImportResult()
        self._target = target
        self._formats = known_formats
        self._chosen = chosen
        self._progress = progress
        self._done: set[Path] = set()
        self._known = _Known(target)
        self._more: list[FileImport] = []

    def visit(self, path: Path, chosen: Format | None = None, *, walked: bool = False) -> None:
        """Import a file unless it was met before or is known to be as it was."""
        if path in self._done:
            return
        unchanged = self._known.unchanged(path)
        if unchanged is None:
            self.with_companions(path, chosen, walked=walked)
        else:
            self._done.add(path)
            self.result.files.append(unchanged)
            for companion in self._formats.get(str(unchanged.format)).companions(path):
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
        fmt = self._import(path, chosen or self._chosen, outcome)
        if fmt is not None or not walked:
            self.result.files += (outcome, *self._more)
            self._more.clear()
        for companion in fmt.companions(path) if fmt is not None else ():
            if companion not in self._done:
                self.with_companions(companion, walked=True)

    def _import(self, path: Path, fmt: Format | None, outcome: FileImport) -> Format | None:
        try:
            with path.open("rb") as file:
                head = file.read(SNIFF_BYTES)
            if fmt is None and is_bundle(head):
                self._import_bundle(path, outcome)
                return None
            fmt = self._formats.detect_head(path, head) if fmt is None else fmt
            if fmt is None:
                outcome.outcome, outcome.reason = "skipped", "no known format" if head else "the file is empty"
                return None
            outcome.format = fmt.name
            FileImporter(self._target, fmt, path, outcome, self._progress).run()
        except OSError as error:
            outcome.outcome, outcome.reason = "skipped", f"cannot be read: {error.strerror or error}"
        except TurnfoldError as error:
            if error.fault != "caller" or isinstance(error, StoreClosed) or outcome.format == BUNDLE:
                raise  # what is wrong with a bundle is an error, not a reason to skip it
            outcome.outcome, outcome.reason = "skipped", f"{error.code}: {error.message}"
        return fmt

    def _import_bundle(self, path: Path, outcome: FileImport) -> None:
        """Restore a bundle's sessions: one result for each, the given one for the first."""
        target = self._target
        outcome.format = BUNDLE
        restored = read_bundle(target.store, path, target.tenant, owner=target.owner, hmac_key=target.hmac_key)
        for index, session in enumerate(restored):
            one = outcome if index == 0 else FileImport(path=outcome.path, format=BUNDLE)
            one.session_id, one.event_count = session.id, session.event_count
            one.outcome = "unchanged" if session.repeated else "imported"
            if index:
                self._more.append(one)


class _Known:
    """Which files are known by their path, so that a second run reads none of them."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._sessions: dict[str, list[tuple[str, str, str]]] | None = None

    def unchanged(self, path: Path) -> FileImport | None:
        """The result for a file that is as it was when it was imported, None for any other."""
        for session_id, format_name, native_id in self._by_path().get(display_path(path), ()):
            try:
                facts = facts_of(path.stat())
                head = self._target.store.get_session(self._target.key(session_id), owner=self._target.owner)
            except (OSError, SessionNotFound):
                continue
            cursor = cursor_of(head, f"{format_name}:{native_id}")
            if cursor is not None and without_reading(cursor, display_path(path), Facts(*facts)):
                return FileImport(path=display_path(path), session_id=session_id, format=format_name)
        return None

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
        folders.sort()
        for name in sorted(names):
            path = Path(place, name)
            if path.suffix in SUFFIXES and path.is_file():
                yield path
