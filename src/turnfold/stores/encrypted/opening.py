"""From what the inner store gives to what was committed: heads, rows of lists, runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from turnfold.codec.cipher import SessionCipher, kid_in, kid_in_text
from turnfold.core.fold import info_fields
from turnfold.errors import IntegrityError
from turnfold.model.run import Run
from turnfold.model.session import Entry, Head, SessionInfo
from turnfold.stores.encrypted.sealing import CLEAR_KINDS, NAMED_KINDS, SEALED, TAG_MARK

KEY_UNAVAILABLE: Final[dict[str, Any]] = {"turnfold:key": "unavailable"}
"""Metadata of a listed session whose key is not in the keyring: everything else that lists show of its content is empty."""
DAMAGED: Final[dict[str, Any]] = {"turnfold:key": "does not fit"}
"""The same where its key is there and does not open what lists show."""
CipherOf = Callable[[str], SessionCipher]
"""Gives the cipher for a key id."""
_replace = msgspec.structs.replace
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def open_head(head: Head, cipher_of: CipherOf, names_of: Callable[[], SessionCipher]) -> Head:
    """Return a head as it was committed.

    Args:
        head: As the inner store gave it.
        cipher_of: Gives the cipher for a key id.
        names_of: Gives a cipher of the session for names whose values are gone.
    """
    names: dict[str, str] = {}
    entries: list[Entry] = []
    for entry in head.entries:
        if entry.kind == "metadata" and entry.name.startswith(TAG_MARK):
            token = entry.name.removeprefix(TAG_MARK)
            assert entry.value is not None
            names[token] = _decode(_cipher(entry.value, entry.kind, cipher_of).open_value("tag", token, entry.value))
    for entry in head.entries:
        if entry.kind == "tag":
            entries.append(_replace(entry, name=_tag(entry.name, names)))
        elif entry.kind != "metadata" or not entry.name.startswith(TAG_MARK):
            entries.append(_open_entry(entry, cipher_of, names_of))
    entries.sort(key=lambda entry: (entry.kind, entry.name, entry.branch))
    info = _replace(head.info, end_reason=_open_status(head.info.end_reason, cipher_of), **_fields(entries))
    return _replace(head, info=info, entries=tuple(entries))


def _fields(entries: Iterable[Entry]) -> dict[str, Any]:
    fields = {"title": None, "native": None, "parent": None}
    return fields | info_fields(entries)


def _tag(token: str, names: dict[str, str]) -> str:
    if token not in names:
        raise IntegrityError(f"the text of the tag {token} is missing", hint="restore the session from a backup")
    return names[token]


def _kid(value: bytes, kind: str) -> str | None:
    if kind in {"native", "parent"}:
        data = _decode(value)
        sealed = data.get(SEALED) if isinstance(data, dict) else None
        return kid_in_text(sealed) if isinstance(sealed, str) else None
    return kid_in(value)


def _cipher(value: bytes, kind: str, cipher_of: CipherOf) -> SessionCipher:
    kid = _kid(value, kind)
    if kid is None:
        raise IntegrityError(f"a {kind} entry is not sealed, although the store is encrypted", hint="restore the session from a backup")
    return cipher_of(kid)


def _open_entry(entry: Entry, cipher_of: CipherOf, names_of: Callable[[], SessionCipher]) -> Entry:
    if entry.kind in CLEAR_KINDS:
        return entry
    if entry.value is None:
        return _replace(entry, name=names_of().open_name(entry.kind, entry.name)) if entry.kind in NAMED_KINDS else entry
    cipher = _cipher(entry.value, entry.kind, cipher_of)
    name = cipher.open_name(entry.kind, entry.name) if entry.kind in NAMED_KINDS else entry.name
    value = entry.value
    if entry.kind in {"native", "parent"}:
        value = _encode(_decode(value)[SEALED])
    return _replace(entry, name=name, value=cipher.open_value(entry.kind, name, value))


def _open_status(reason: str | None, cipher_of: CipherOf) -> str | None:
    if reason is None:
        return None
    kid = kid_in_text(reason)
    if kid is None:
        raise IntegrityError(
            "the reason of a session's end is not sealed, although the store is encrypted", hint="restore it from a backup"
        )
    return cipher_of(kid).open_status(reason)


def open_info(info: SessionInfo, cipher_of: CipherOf) -> SessionInfo:
    """Return a row of a list as it was committed."""
    entries: list[Entry] = []
    if info.title is not None:
        entries.append(Entry("title", "", _encode(info.title)))
    if info.native is not None:
        entries.append(Entry("native", "", _encode(info.native)))
    if info.parent is not None:
        entries.append(Entry("parent", "", _encode(info.parent)))
    entries += [Entry("metadata", name, _encode(value)) for name, value in info.metadata.items()]
    entries += [Entry("tag", token, b"true") for token in info.tags]
    return open_head(Head(info=info, entries=tuple(entries)), cipher_of, _no_names).info


def _no_names() -> SessionCipher:
    raise AssertionError("a row of a list has no entry without a value")


def closed_info(info: SessionInfo, mark: dict[str, Any]) -> SessionInfo:
    """Return a row of a list whose content cannot be opened: what is clear, and the mark."""
    parent = None if info.parent is None else {name: value for name, value in info.parent.items() if name != SEALED}
    return _replace(info, title=None, tags=(), metadata=dict(mark), native=None, parent=parent, end_reason=None)


def open_run(run: Run, cipher_of: CipherOf) -> Run:
    """Return a run row as it was committed."""
    sealed = run.data.get(SEALED)
    if not run.data:
        return run
    kid = kid_in_text(sealed) if isinstance(sealed, str) else None
    if kid is None or not isinstance(sealed, str):
        raise IntegrityError(f"the run {run.id!r} is not sealed, although the store is encrypted", hint="restore the session from a backup")
    return _replace(run, data=_decode(cipher_of(kid).open_run(run.id, sealed)))
