"""All sessions of the store: what lists, searches and followers of changes go through.

The rows are a cache per process. A row is good while the last segment of its log has the number, inode, size and time that it had when the row
was made; so a list costs one look at the directory of the tenant and one ``stat`` per session, and reads only what changed.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from turnfold.core.checks import effective_status
from turnfold.core.lifecycle import OPEN
from turnfold.model.query import SearchQuery, SessionQuery
from turnfold.model.session import SessionInfo, SessionKey
from turnfold.stores.files import layout
from turnfold.stores.files.disk import as_turnfold_error
from turnfold.stores.files.replay import FileSign, ReadableLog, sign_of


class Row(msgspec.Struct, frozen=True, gc=False):
    """What is kept of a session: its info (None where a log is deleted or empty), and by what to know that it still holds."""

    info: SessionInfo | None
    segment: int
    sign: FileSign


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
        self._rows: dict[str, dict[str, Row]] = {}

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
            known = self._rows.get(folder, {})
        rows: dict[str, Row] = {}
        infos: list[SessionInfo] = []
        for name in names:
            row = known.get(name)
            if row is None or not _holds(f"{path}/{name}", row):
                # A log that has changed before is likely to change again: kept open, the next look reads only what is new.
                row = self._read(f"{layout.TENANTS}/{folder}/{name}", keep_open=row is not None)
            if row is None:
                continue
            rows[name] = row
            if row.info is not None:
                infos.append(row.info)
        with self._lock:
            self._rows[folder] = rows
        return infos

    def _read(self, relative: str, *, keep_open: bool) -> Row | None:
        """Read a log for its row; a row that is good for this once has no sign."""
        log = self._log_at(relative, keep_open) or ReadableLog(self._root, relative)
        with log.lock:
            state = log.refresh()
            if state is None:
                return None
            segment, sign = log.stamp() or (0, (0, 0, 0))
            return Row(state.head(0).info, segment, sign)


def _holds(path: str, row: Row) -> bool:
    """Whether nothing happened to the session since its row was made."""
    try:
        return sign_of(os.stat(f"{path}/{layout.segment_name(row.segment)}")) == row.sign  # noqa: PTH116 - the hot line of every list
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
