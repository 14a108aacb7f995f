"""Cursors of followers: one small file per follower, appended to, rewritten when most of its lines are old.

A cursor that a power loss takes back only makes its follower do some work again, which followers must bear anyway; so nothing is synced here.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

import msgspec

from turnfold.model.session import SessionKey
from turnfold.stores._disk import as_turnfold_error, take_lock, unlock, write_all, write_atomically
from turnfold.stores.files import layout
from turnfold.stores.files.disk import OpenFile, read_range
from turnfold.stores.files.lines import split_lines

OLD_LINES_MAX = 1_000
"""Lines that may be there beyond the living cursors before the file is rewritten."""


class CursorRow(msgspec.Struct, array_like=True, gc=False):
    """One move of a cursor."""

    tenant: str
    session_id: str
    incarnation: str
    seq: int


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(CursorRow).decode
Cursors = dict[SessionKey, tuple[str, int]]


class Follower:
    """The cursors of one follower."""

    def __init__(self, root: Path, name: str, *, lock_wait_s: float) -> None:
        """Name the file; it is made with the first move."""
        self._path = root / layout.FOLLOWERS / (layout.safe_name(name) + layout.SEGMENT_SUFFIX)
        self._lock_wait_s = lock_wait_s
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._file: OpenFile | None = None
        self._cursors: Cursors = {}
        self._end = 0
        self._lines = 0

    def cursors(self) -> Cursors:
        """The cursors as they are now: (incarnation, seq) by session."""
        with self._lock:
            self._refresh()
            return dict(self._cursors)

    def seq(self, key: SessionKey, incarnation: str) -> int:
        """How far the follower is in that incarnation."""
        with self._lock:
            self._refresh()
            return _seq_in(self._cursors.get(key), incarnation)

    def advance(self, key: SessionKey, incarnation: str, from_seq: int, to_seq: int) -> bool:
        """Move a cursor if it is at ``from_seq``."""
        with self._lock:
            try:
                while True:
                    file = self._open()
                    take_lock(file.fd, self._path, self._lock_wait_s)
                    try:
                        if os.fstat(file.fd).st_nlink:
                            return self._advance_locked(file, key, CursorRow(*key, incarnation, to_seq), from_seq)
                    finally:
                        unlock(file.fd)
                    self._forget()  # it was rewritten while we waited
            except OSError as error:
                self._forget()
                raise as_turnfold_error(error, self._path) from error

    def _advance_locked(self, file: OpenFile, key: SessionKey, row: CursorRow, from_seq: int) -> bool:
        self._refresh()
        size = os.fstat(file.fd).st_size
        if size != self._end:  # a killed writer's half line
            os.ftruncate(file.fd, self._end)
        if _seq_in(self._cursors.get(key), row.incarnation) != from_seq:
            return False
        line = _encode(row) + b"\n"
        write_all(file.fd, line)
        self._end += len(line)
        self._lines += 1
        self._cursors[key] = (row.incarnation, row.seq)
        if self._lines > 2 * len(self._cursors) + OLD_LINES_MAX:
            rows = (CursorRow(*one, *at) for one, at in self._cursors.items())
            write_atomically(self._path, b"".join(_encode(one) + b"\n" for one in rows), durable=False)
            self._forget()
        return True

    def _open(self) -> OpenFile:
        if self._file is None:
            self._file = OpenFile(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        return self._file

    def _refresh(self) -> None:
        """Read on; everything, where the file was rewritten."""
        if self._file is not None and not os.fstat(self._file.fd).st_nlink:
            self._forget()
        if self._file is None:
            try:
                self._file = OpenFile(self._path, os.O_RDWR | os.O_APPEND)
            except FileNotFoundError:
                return
            except OSError:
                self._file = OpenFile(self._path, os.O_RDONLY)
        size = os.fstat(self._file.fd).st_size
        if size <= self._end:
            return
        data = read_range(self._file.fd, self._end, size - self._end)
        for _, line, whole in split_lines(data):
            if not whole:
                break
            self._end += len(line) + 1
            self._lines += 1
            try:
                row = _decode(line)
            except msgspec.MsgspecError:
                continue  # what a power loss left; the cursor before it holds
            self._cursors[SessionKey(row.tenant, row.session_id)] = (row.incarnation, row.seq)


def _seq_in(cursor: tuple[str, int] | None, incarnation: str) -> int:
    return cursor[1] if cursor is not None and cursor[0] == incarnation else 0
