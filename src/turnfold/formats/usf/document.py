"""A USF document as a whole: its fields, its version, its checksum.

The checksum is the SHA-256 of the document without it, written by Python's ``json.dumps`` with sorted keys and its usual separators, all
but ASCII escaped. It shows accidents, not tampering: there is no key in it.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from turnfold.errors import FormatError

VERSION = "1.0"
FIELDS = (
    "version",
    "session_id",
    "created_at",
    "updated_at",
    "framework_source",
    "messages",
    "working_memory",
    "entities",
    "task_state",
    "metadata",
)
EXTENSION = "turnfold"
"""Key of a ``metadata`` object under which Turnfold keeps what USF has no field for."""


def checksum_of(document: dict[str, Any]) -> str:
    """Return the checksum that a document must have."""
    rest = {key: value for key, value in document.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def write_document(document: dict[str, Any]) -> bytes:
    """Return the document as a file's content, with its checksum."""
    return json.dumps({**document, "checksum": checksum_of(document)}, sort_keys=True).encode()


def parse_document(data: bytes, path: Path) -> tuple[dict[str, Any], str | None]:
    """Read a document and see that it is one.

    Returns:
        The document, and what is to be said about it, if anything.

    Raises:
        FormatError: It is no USF document, of another version, or not what its checksum says.
    """
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: not a USF document: {error}"[:500], path=str(path)) from error
    if not isinstance(document, dict):
        raise FormatError(f"{path}: not a USF document: a JSON value that is no object", path=str(path))
    version = document.get("version")
    if version != VERSION:
        raise FormatError(f"{path}: USF version {version!r} is not known", hint=f"version {VERSION!r} can be read", path=str(path))
    stored = document.get("checksum")
    if stored is None or stored == "":
        return document, "the document has no checksum: nothing says whether it is complete"
    if not isinstance(stored, str) or stored not in _checksums(document):
        hint = "the file was changed or cut after it was written; write it again with what made it"
        raise FormatError(f"{path}: the checksum is not that of the content", hint=hint, path=str(path), checksum=str(stored)[:80])
    return document, None


def _checksums(document: dict[str, Any]) -> set[str]:
    """What may be written in a sound document: the checksum of it as it is, and of it as agent-session-linker would hold it."""
    known = {key: document[key] for key in FIELDS if key in document}
    held: dict[str, Any] = {key: _iso(value) if key in {"created_at", "updated_at"} else value for key, value in known.items()}
    messages = held.get("messages")
    if isinstance(messages, list):
        held["messages"] = [{**one, "timestamp": _iso(one.get("timestamp"))} if isinstance(one, dict) else one for one in messages]
    return {checksum_of(document), checksum_of(known), checksum_of(held)}


def _iso(text: Any) -> Any:
    """A time as Python writes it, in UTC where it names no zone."""
    try:
        at = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return text
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).isoformat()
