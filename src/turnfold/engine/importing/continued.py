"""Files that were written from a session of the store, and in which a tool may have gone on since.

Such a file is a session of its own with that one as its parent: the tool may have compacted or rewound what it was given. What it was given
is in both; its usage counts in the session that it came from alone. While the tool has added nothing, there is nothing to import.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, NamedTuple

from turnfold.engine.importing.batch import Target
from turnfold.engine.importing.source import SourceFile
from turnfold.engine.reading import read_all
from turnfold.errors import SessionNotFound
from turnfold.formats.base import SourceInfo
from turnfold.formats.carrying.options import RELATION
from turnfold.ids import check_session_id
from turnfold.model.event import Event

RESUMED = "resumed"
"""Kind of the ``link`` event that says where a session went on."""
_LINKS = frozenset({"link"})
_CHUNK_BYTES = 1024 * 1024


class Origin(NamedTuple):
    """The session that a file was written from, and how many of the file's first bytes are what was written."""

    session_id: str
    byte_count: int


def links_of(events: Iterable[Event]) -> list[dict[str, Any]]:
    """The payloads of the events that say where a session went on."""
    found = [event.data for event in events if not event.redacted]
    return [data for data in found if isinstance(data, dict) and data.get("kind") == RESUMED]


def origin_of(target: Target, info: SourceInfo, file: SourceFile) -> Origin | None:
    """Return the origin of a file where it is in the store, says that it went on in this file, and the file begins with what was written."""
    parent = info.parent or {}
    if parent.get("relation") != RELATION:
        return None
    session_id = check_session_id(parent["session_id"])
    try:
        links = links_of(read_all(target.store, target.key(session_id), owner=target.owner, types=_LINKS))
    except SessionNotFound:
        return None
    for link in links:
        size = link.get("byte_count")
        if link.get("native_id") == info.native_id and type(size) is int and _sha256(file, size) == link.get("sha256"):
            return Origin(session_id, size)
    return None


def _sha256(file: SourceFile, size: int) -> str:
    """The hash of a file's first bytes."""
    digest = hashlib.sha256()
    file.file.seek(0)
    while size > 0 and (data := file.file.read(min(size, _CHUNK_BYTES))):
        digest.update(data)
        size -= len(data)
    return digest.hexdigest()
