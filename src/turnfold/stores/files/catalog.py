"""All sessions of the store: what lists, searches and followers of changes go through.

Theory of operation. The rows are a cache per process. A row is good while the last segment of its log has the inode, size and time that it had
when the row was made; so a list costs one look at the directory of the tenant and one ``stat`` per session, and reads only what changed. Who
had to read many logs leaves the rows in a file for the next process, which checks each of them in the same way. Titles and tags stand in that
file, so erasing and deleting remove it first, and hold the lock without which nobody writes it until they are done (``without_rows``).

A log that is damaged is left out here, so that one bad file does not take all others with it; reading it says what is wrong, and so does ``check``.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from turnfold.core.checks import effective_status
from turnfold.core.lifecycle import OPEN
from turnfold.errors import StoreCorrupt
from turnfold.model.query import SearchQuery, SessionQuery
from turnfold.model.session import SessionInfo, SessionKey
from turnfold.stores._disk import as_turnfold_error, try_lock, write_atomically
from turnfold.stores.files import layout
from turnfold.stores.files.disk import OpenFile
from turnfold.stores.files.replay import ReadableLog
from turnfold.stores.files.snapshots import FileSign, sign_of, unwrap, wrap

ROWS_READ_MIN = 50
"""Who read more logs than this for a list leaves the rows to the next process."""
NO_SIGN: FileSign = (0, 0, 0)


class Row(msgspec.Struct, frozen=True, array_like=True):
    """What is kept of a session: its info (None where a log is deleted or empty), and the file whose sign says that it still holds."""

    info: SessionInfo | None
    file: str
    sign: FileSign


Rows = dict[str, Row]
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Rows).decode


class Catalog:
    """The rows of all sessions, by directory."""

    def __init__(self, root: Path, log_at: Callable[[str, bool], ReadableLog | None]) -> None:
        """Name the store's directory; nothing is read yet.

        Args:
            root: The store's directory.
            log_at: Gives the log of a directory (relative to the root) if it is open, or, when asked to, opens it.
        """
        self._root = root
        self._log_at = log_at
        self._lock = threading.Lock()
        self._rows: dict[str, Rows] = {}

    def infos(self, tenant: str | None = None) -> Iterator[SessionInfo]:
        """Yield the sessions of one tenant or of all, as they are now, in no order; their status as stored."""
        try:
            folders = layout.tenant_folders(self._root) if tenant is None else [layout.safe_name(tenant)]
            for folder in folders:
                yield from self._tenant(folder)
        except OSError as error:
            raise as_turnfold_error(error, self._root) from error

    def _tenant(self, folder: str) -> list[SessionInfo]:
        """Look at every session of a tenant's directory; what is gone is forgotten."""
        path = self._root / layout.TENANTS / folder
        try:
            names = os.listdir(path)  # noqa: PTH208 - ten thousand names, without a Path for each
        except (FileNotFoundError, NotADirectoryError):
            names = []
        with self._lock:
            known = self._rows.get(folder)
        if known is None:
            known = self._load(folder)
        rows: Rows = {}
        read_count = 0
        for name in names:
            row = known.get(name)
            if row is None or not _holds(f"{path}/{name}", row):
                # A log that has changed before is likely to change again: kept open, the next look reads only what is new.
                row = self._read(f"{layout.TENANTS}/{folder}/{name}", keep_open=row is not None)
                read_count += 1
            rows[name] = row
        with self._lock:
            self._rows[folder] = rows
        if read_count > ROWS_READ_MIN:
            self._keep(folder, rows)
        return [row.info for row in rows.values() if row.info is not None]

    def _read(self, relative: str, *, keep_open: bool) -> Row:
        """Read a log for its row; one that is good for this once has no sign."""
        path = self._root / relative
        log = self._log_at(relative, keep_open) or ReadableLog(self._root, relative)
        try:
            sign = sign_of(path.stat())
            with log.lock:
                state = log.refresh()
                if state is None:  # a next incarnation makes a new file in the directory
                    return Row(None, ".", sign)
                number, sign = log.stamp() or (0, NO_SIGN)
                return Row(state.head(0).info, layout.segment_name(number), sign)
        except (StoreCorrupt, FileNotFoundError):
            return Row(None, "", NO_SIGN)

    def _load(self, folder: str) -> Rows:
        """The rows that another process left; they are checked like one's own."""
        try:
            body = unwrap(_rows_file(self._root, folder).read_bytes())
            return {} if body is None else _decode(body)
        except (OSError, msgspec.MsgspecError):
            return {}

    def _keep(self, folder: str, rows: Rows) -> None:
        """Leave the rows for the next process."""
        with contextlib.suppress(OSError):  # not allowed to write here, or no space: then not
            place = _rows_file(self._root, folder)
            place.parent.mkdir(exist_ok=True)
            lock = OpenFile(place.parent, os.O_RDONLY | os.O_DIRECTORY)
            if not try_lock(lock.fd):
                return
            path = self._root / layout.TENANTS / folder
            good = {name: row for name, row in rows.items() if _holds(f"{path}/{name}", row)}
            write_atomically(place, wrap(_encode(good)), durable=False)


def _rows_file(root: Path, folder: str) -> Path:
    return root / layout.CATALOGS / f"{folder}.cache"


def _holds(path: str, row: Row) -> bool:
    """Whether nothing happened to the session since its row was made."""
    try:
        return sign_of(os.stat(f"{path}/{row.file}")) == row.sign  # noqa: PTH116 - the hot line of every list
    except FileNotFoundError:
        return False


def as_seen(info: SessionInfo, now_us: int) -> SessionInfo:
    """The row as readers see it at a time."""
    status = effective_status(info.status, info.expires_at_us, now_us)
    return info if status == info.status else msgspec.structs.replace(info, status=status)


def is_open(info: SessionInfo, now_us: int) -> bool:
    """Whether it counts among its owner's open sessions."""
    return info.kind == "session" and effective_status(info.status, info.expires_at_us, now_us) in OPEN


def is_listed(info: SessionInfo, query: SessionQuery, now_us: int) -> bool:
    """Whether a list holds it (cursor and limit aside)."""
    return (
        info.kind == query.kind
        and (query.owner is None or info.owner == query.owner)
        and (query.agent is None or info.agent == query.agent)
        and (query.status is None or effective_status(info.status, info.expires_at_us, now_us) == query.status)
        and (query.id_prefix is None or info.id.startswith(query.id_prefix))
        and all(tag in info.tags for tag in query.tags)
        and (query.parent_id is None or (info.parent or {}).get("session_id") == query.parent_id)
    )


def is_searched(info: SessionInfo, query: SearchQuery) -> bool:
    """Whether a search looks into it."""
    return (
        (query.owner is None or info.owner == query.owner)
        and (query.agent is None or info.agent == query.agent)
        and (query.session_id is None or info.id == query.session_id)
    )


def key_of(info: SessionInfo) -> SessionKey:
    """The key of a session."""
    return SessionKey(info.tenant, info.id)
