"""Follows files: what tools write to their sessions' files is in the store soon after.

Theory of operation. One process per machine has the turn (a lease in the store). It watches the folders, imports everything once, then each
file that changes. The importer finds by its cursor what is new in a file, so it does not matter how often or how late it is called: a change
that was told twice is a no-op, one that was missed comes with the next look. A file that changes all the time is imported at a pace that
leaves most of the time free; documents are read as a whole, so at a slower one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from turnfold.engine.importing.batch import Target
from turnfold.engine.importing.document import state_of_files
from turnfold.engine.importing.folders import Folders
from turnfold.engine.importing.result import FileImport, Progress, ProgressCallback
from turnfold.engine.importing.turn import Turn
from turnfold.errors import TurnfoldError
from turnfold.formats.base import DocumentFormat, Format


class Pace(NamedTuple):
    """Between two imports of one file: at least and at most so long, and within that so that they take only a share of the time."""

    pause_s: float
    pause_s_max: float
    share: float

    def after(self, took_s: float) -> float:
        """How long to wait after an import that took so long."""
        return min(max(self.pause_s, took_s / self.share), self.pause_s_max)


FILES = Pace(0.1, 0.5, 0.25)
"""A line is to be in the store within a second."""
DOCUMENTS = Pace(1.0, 60.0, 0.1)
"""They are read as a whole."""
SECOND_LOOK_S = 1.5
"""A commit is visible so long after its log was written, however slow the disk."""
THREADS = 8
"""When many files change at once their commits are written together: 200 files took 5 times as long one by one."""
FILES_AT_ONCE_MAX = 64
"""After so many whoever waits hears of them."""
TURN_LOOK_S = 1.0
"""How often a waiting process looks whether the turn is free."""

ImportFile = Callable[[Path, Format | None, ProgressCallback], tuple[Format | None, list[FileImport]]]
ImportAll = Callable[[ProgressCallback], tuple[list[FileImport], dict[Path, DocumentFormat]]]


class Root(NamedTuple):
    """A folder or file to follow, and the only format to look for in it (None: any)."""

    path: Path
    format: Format | None


class _Document(NamedTuple):
    """A document that reads other files too: their state, their names, and the folders where more of them may appear."""

    fmt: DocumentFormat
    state: str
    covered: frozenset[Path]
    folders: frozenset[Path]


class FileFollower:
    """Imports files as they change; ``next`` does the work, in the thread that calls it."""

    def __init__(
        self, target: Target, roots: Iterable[Root], import_all: ImportAll, import_file: ImportFile, note: Callable[[str], None]
    ) -> None:
        """Set up; nothing happens before the first ``next``.

        Args:
            target: Where to.
            roots: What to follow.
            import_all: Imports all there is; returns what became of it, and the documents among it.
            import_file: Imports one file, of that format if it is known.
            note: Told who follows, when that changes.
        """
        self._roots = list(roots)
        self._note = note
        self._turn = Turn(target, [root.path for root in self._roots])
        self._import_all = import_all
        self._import_file = import_file
        self._folders: Folders | None = None
        self._due: dict[Path, float] = {}
        self._not_before: dict[Path, float] = {}
        self._formats: dict[Path, tuple[int, Format]] = {}
        self._documents: dict[Path, _Document] = {}
        self._changed_at: dict[Path, float] = {}
        self._second_looks: set[Path] = set()
        self._told: dict[str, str | None] = {}
        self._noted = ""
        self._closed = False
        self._running = threading.Lock()
        self._pool: ThreadPoolExecutor | None = None

    def next(self, wait_s: float) -> list[FileImport]:
        """Do what there is to do, or wait so long for something to do.

        Returns:
            What became of files that had changed; those without news are left out.

        Raises:
            TurnfoldError: The store fails. What is wrong with a file is in its result.
        """
        deadline = time.monotonic() + wait_s
        with self._running:
            while not self._closed:
                holder = self._turn.take()
                if holder is not None:
                    self._unwatch()
                    self._say(f"process {holder} follows these files already; this one takes over when that one ends")
                    time.sleep(max(0.0, min(TURN_LOOK_S, deadline - time.monotonic())))
                else:
                    with suppress(_Stopped):
                        found = self._news(self._step(deadline))
                        if found:
                            return found
                if time.monotonic() >= deadline:
                    break
        return []

    def close(self) -> None:
        """Stop, and let the next process follow. A ``next`` that runs in another thread is waited for; it ends after its batch."""
        self._closed = True
        with self._running:
            self._unwatch()
            if self._pool is not None:
                self._pool.shutdown()
            with suppress(TurnfoldError):  # a store that is closed already: the turn ends by itself
                self._turn.end()

    def _say(self, text: str) -> None:
        if text != self._noted:
            self._noted = text
            self._note(text)

    # ---- steps -------------------------------------------------------------------------------------------------------------------------

    def _step(self, deadline: float) -> list[FileImport]:
        if self._folders is None:
            self._folders = Folders(root.path for root in self._roots)
            self._folders.changed(0)  # from here on nothing is missed
            began = time.monotonic()
            found, documents = self._import_all(self._progress)
            for path, fmt in documents.items():
                self._remember(path, fmt, "")
                self._changed_at[path] = began
                self._look_again(path, began)
            how = "" if self._folders.is_told else ", looking for changes from time to time (no inotify, or no watches of it are left)"
            number = self._folders.folder_count
            self._say(f"following {number} folder{'' if number == 1 else 's'}{how}")
            return found
        now = time.monotonic()
        wait_until = min([deadline, now + self._turn.renew_in_s, *self._due.values()])
        for path in self._folders.changed(max(0.0, wait_until - now)):
            self._change(path)
        now = time.monotonic()
        ready = sorted((due, path) for path, due in self._due.items() if due <= now)[:FILES_AT_ONCE_MAX]
        for _, path in ready:
            del self._due[path]
        if len(ready) <= 1:
            return [file for _, path in ready for file in self._import(path)]
        if self._pool is None:
            self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="turnfold-follow")
        return [file for found in self._pool.map(self._import, [path for _, path in ready]) for file in found]

    def _change(self, path: Path) -> None:
        """A file has changed: it is due as soon as its pace allows, or the documents that read it are."""
        readers = [document for document, known in self._documents.items() if path in known.covered]
        if not readers and path not in self._formats and path not in self._documents:
            near = {path.parent, path.parent.parent}
            readers = [document for document, known in self._documents.items() if near & known.folders]
            readers.append(path)
        for one in readers or [path]:
            self._changed_at[one] = time.monotonic()
            due = self._not_before.get(one, 0.0)
            self._due[one] = min(due, self._due.get(one, due))

    def _import(self, path: Path) -> list[FileImport]:
        began = time.monotonic()
        known = self._documents.get(path)
        state = "" if known is None else _state(known.fmt, path)
        is_second_look = path in self._second_looks
        self._second_looks.discard(path)
        if known is not None and state and state == known.state and not is_second_look:
            self._look_again(path, began)
            return []
        fmt, found = self._import_file(path, self._format_of(path), self._progress)
        now = time.monotonic()
        self._not_before[path] = now + (DOCUMENTS if isinstance(fmt, DocumentFormat) else FILES).after(now - began)
        if fmt is not None:
            self._remember(path, fmt, state)
            if isinstance(fmt, DocumentFormat):
                self._look_again(path, began)
        return found

    def _look_again(self, path: Path, looked_at: float) -> None:
        """Plan another look at a database unless this one was late enough: its log is written, and told of, before what was written is seen."""
        at = self._changed_at.get(path, 0.0) + SECOND_LOOK_S
        log = path.with_name(path.name + "-wal")
        if looked_at < at and log.exists() and log.stat().st_size:  # an empty one comes and goes with our own looks
            self._second_looks.add(path)
            self._due.setdefault(path, max(self._not_before.get(path, 0.0), at))

    def _remember(self, path: Path, fmt: Format, state: str) -> None:
        if isinstance(fmt, DocumentFormat):
            try:
                covered = frozenset(fmt.covered(path))
            except OSError:
                covered = frozenset()
            folders = frozenset(folder for one in covered for folder in (one.parent, one.parent.parent))
            self._documents[path] = _Document(fmt, state, covered, folders)
        else:
            try:
                self._formats[path] = (path.stat().st_ino, fmt)
            except OSError:
                self._formats.pop(path, None)

    def _format_of(self, path: Path) -> Format | None:
        """The format that a file had last time, so that it need not be detected again."""
        inode, fmt = self._formats.get(path, (0, None))
        try:
            return fmt if fmt is not None and path.stat().st_ino == inode else None
        except OSError:
            return None

    def _progress(self, _: Progress) -> None:
        """Between batches of a long import: keep the turn, and stop where that was asked for."""
        if self._closed or self._turn.take() is not None:
            raise _Stopped

    def _news(self, found: list[FileImport]) -> list[FileImport]:
        """Those that something happened to. What is skipped again and again for one reason is told once."""
        news = [file for file in found if file.outcome != "unchanged" and not (file.outcome == "skipped" and self._was_told(file))]
        self._told.update((file.path, file.reason) for file in news if file.outcome == "skipped")
        return news

    def _was_told(self, file: FileImport) -> bool:
        return file.path in self._told and self._told[file.path] == file.reason

    def _unwatch(self) -> None:
        if self._folders is not None:
            self._folders.close()
            self._folders = None


class _Stopped(Exception):
    """Leaves an import between two batches."""


def _state(fmt: DocumentFormat, path: Path) -> str:
    try:
        return state_of_files(fmt, path)
    except OSError:
        return ""
