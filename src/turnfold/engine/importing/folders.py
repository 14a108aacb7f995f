"""Says which files under some folders may have changed.

Theory of operation. On Linux every folder has an inotify watch, put there before the folder is listed, so that nothing falls between. A full
look over all folders, which compares sizes and times, is the first thing done; it is repeated seldom, because the kernel's queue may overflow
and roots may come into being. Elsewhere, and where the user's watches run out, that look is all there is: it is repeated so that it takes
a small share of the time.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from turnfold.engine.importing.known import SKIPPED_FOLDERS, SUFFIXES
from turnfold.engine.importing.source import Facts
from turnfold.inotify import CREATE, FOLDER, GONE, MODIFY, MOVED_TO, ONLY_FOLDERS, OVERFLOW, Change, Inotify, WatchesUsedUp, open_inotify

LOOK_S = 0.5
"""Without inotify: time between the end of one look and the next, at least."""
LOOK_SHARE = 0.05
"""Without inotify: the share of the time that looks may take."""
LOOK_AGAIN_S = 60.0
"""With inotify: time between looks, for what it could not tell."""
MISSING_LOOK_S = 5.0
"""How often a root that is not there is looked for."""
_MASK = MODIFY | CREATE | MOVED_TO | ONLY_FOLDERS
_WAL = "-wal"


class Folders:
    """Some folders and files under watch."""

    def __init__(self, roots: Iterable[Path]) -> None:
        """Name what to watch; roots that are not there yet are looked for. Nothing happens before the first ``changed``."""
        self._roots = list(dict.fromkeys(roots))
        self._named: set[Path] = set()
        self._facts: dict[Path, Facts] = {}
        self._inotify: Inotify | None = open_inotify()
        self._watches: dict[int, Path] = {}
        self._watched: set[Path] = set()
        self._missing: set[Path] = set()
        self._look_at = 0.0
        self._missing_at = 0.0

    @property
    def is_told(self) -> bool:
        """Whether the kernel tells of changes; False means looking."""
        return self._inotify is not None

    @property
    def folder_count(self) -> int:
        """How many folders there are."""
        return len(self._watched)

    def changed(self, wait_s: float) -> set[Path]:
        """Return files that are new or may have changed; waits so long for the first. Databases stand for their write-ahead logs."""
        deadline = time.monotonic() + wait_s
        while True:
            found = self._told() | self._looked()
            left = deadline - time.monotonic()
            if found or left <= 0:
                return found
            pause_s = min(left, self._look_at - time.monotonic(), self._missing_at - time.monotonic() if self._missing else left)
            if self._inotify is None:
                time.sleep(max(pause_s, 0))
            else:
                poll = select.poll()
                poll.register(self._inotify.fileno(), select.POLLIN)
                poll.poll(max(pause_s * 1_000, 0) + 1)

    def close(self) -> None:
        """End all watches."""
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None

    # ---- what the kernel tells ---------------------------------------------------------------------------------------------------------

    def _told(self) -> set[Path]:
        found: set[Path] = set()
        for change in self._inotify.read() if self._inotify is not None else ():
            found.update(self._one(change))
        return found

    def _one(self, change: Change) -> Iterator[Path]:
        folder = self._watches.get(change.watch)
        if change.mask & OVERFLOW:
            self._look_at = 0.0
        elif change.mask & GONE:
            self._watches.pop(change.watch, None)
            self._watched.discard(folder or Path())
        elif folder is not None and change.mask & FOLDER:
            if os.fsdecode(change.name) not in SKIPPED_FOLDERS and folder not in self._named:
                yield from self._under(folder / os.fsdecode(change.name))
        elif folder is not None:
            path = folder / os.fsdecode(change.name)
            if self._is_wanted(path, folder):
                self._note(path)
                yield _document_of(path)

    def _watch(self, folder: Path) -> None:
        self._watched.add(folder)
        if self._inotify is None:
            return
        try:
            watch = self._inotify.add(folder, _MASK)
        except WatchesUsedUp:
            self.close()
            self._look_at = 0.0
        else:
            if watch is not None:
                self._watches[watch] = folder

    # ---- looking -----------------------------------------------------------------------------------------------------------------------

    def _looked(self) -> set[Path]:
        now = time.monotonic()
        if now < self._look_at:
            if not self._missing or now < self._missing_at:
                return set()
            self._missing_at = now + MISSING_LOOK_S
            return {path for root in sorted(self._missing) if root.exists() for path in self._root(root)}
        self._watched.clear()
        found = {path for root in self._roots for path in self._root(root)}
        took_s = time.monotonic() - now
        self._look_at = time.monotonic() + (max(LOOK_S, took_s / LOOK_SHARE) if self._inotify is None else LOOK_AGAIN_S)
        self._missing_at = now + MISSING_LOOK_S
        return found

    def _root(self, root: Path) -> Iterator[Path]:
        if root.is_dir():
            self._missing.discard(root)
            yield from self._under(root)
        elif root.exists():  # a file that was named: its folder is watched for its sake
            self._missing.discard(root)
            self._named.add(root)
            if root.parent not in self._watched:
                self._watch(root.parent)
            yield from (_document_of(path) for path in (root, root.with_name(root.name + _WAL)) if self._note(path))
        else:
            self._missing.add(root)

    def _under(self, folder: Path) -> Iterator[Path]:
        """Look through a folder and all in it, outer ones first."""
        waiting = [folder]
        while waiting:
            place = waiting.pop()
            self._watch(place)
            try:
                entries = sorted(os.scandir(place), key=lambda entry: entry.name)
            except OSError:
                continue
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in SKIPPED_FOLDERS:
                        waiting.append(Path(entry.path))
                elif _may_be_session(entry.name):
                    path = Path(entry.path)
                    if self._note(path):
                        yield _document_of(path)

    def _note(self, path: Path) -> bool:
        """Remember a file's facts; whether they are other than before."""
        try:
            stat = path.stat()
        except OSError:
            self._facts.pop(path, None)
            return False
        facts = Facts(stat.st_size, stat.st_mtime_ns, stat.st_ino)
        if self._facts.get(path) == facts:
            return False
        self._facts[path] = facts
        return True

    def _is_wanted(self, path: Path, folder: Path) -> bool:
        if path in self._named or _document_of(path) in self._named:
            return True
        return _may_be_session(path.name) and any(root == folder or root in folder.parents for root in self._roots)


def _may_be_session(name: str) -> bool:
    return os.path.splitext(name.removesuffix(_WAL))[1] in SUFFIXES  # noqa: PTH122  # as Path.suffix, at a tenth of its time


def _document_of(path: Path) -> Path:
    """The database that a write-ahead log belongs to; any other file itself."""
    return path.with_name(path.name.removesuffix(_WAL)) if path.name.endswith(_WAL) else path
