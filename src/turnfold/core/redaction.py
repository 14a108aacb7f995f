"""What is left of a redacted event: a tombstone that keeps what the fold counts and nothing that somebody wrote.

The tombstone's fold equals the head that a store has after it removed the event's entries: keys stay, values go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from turnfold.core.fold import payload_of
from turnfold.model.commit import Redact
from turnfold.model.event import Event
from turnfold.model.session import Entry

_encode = msgspec.json.Encoder().encode
_KEPT: dict[str, tuple[str, ...]] = {
    "session.created": ("agent", "owner", "status", "kind", "native", "parent", "ttl_s", "expires_at_us"),
    "session.status_changed": ("status", "previous", "reason"),
    "branch.created": ("name", "parent", "fork_seq"),
    "branch.switched": ("name", "previous"),
    "branch.renamed": ("name", "label", "previous"),
    "branch.abandoned": ("name", "undone"),
    "branch.merged": ("source", "source_seq", "base_seq", "strategy", "brought", "state_seq"),
    "checkpoint": ("name", "branch", "at_seq", "deleted", "parent", "kind"),
    "pin": ("target_seq",),
    "unpin": ("target_seq",),
    "retract": ("seqs", "ranges"),
    "redaction": ("targets",),
    "rollback": ("turns",),
    "compaction": ("first_seq", "last_seq", "keeps", "trigger"),
}


def texts_of(event: Event) -> list[str]:
    """Return the strings of a message's payload that are long enough to be looked for elsewhere."""
    if event.type != "message":
        return []
    parts = event.data.get("parts", ())
    return [
        text for part in parts for text in _strings({k: v for k, v in part.items() if k not in _STRUCTURE}) if len(text) >= ECHO_CHARS_MIN
    ]


_STRUCTURE = frozenset({"type", "id", "name", "modality", "mime_type", "blob_ref"})
ECHO_CHARS_MIN = 8
"""Shorter texts are not looked for in other events: they stand anywhere."""


def echo_of(event: Event, texts: Sequence[str]) -> Redact | None:
    """Return what erases a text from an event that repeats it: a source's second record, a title made of it, an importer's notes.

    Messages are left alone: what somebody else said is theirs to redact.

    Args:
        event: With its kept line.
        texts: Of the message that is redacted.
    """
    if event.redacted or event.type in {"message", "redaction"}:
        return None
    if event.type == "import.cursor":
        data = _without(event.data, texts)
        if data == event.data:
            return None
        raw = _encode(data)
        return Redact(event.seq, event.digest, raw, (), (Entry("import", str(data["source"]), raw, event.seq),))
    encoded = [_encode(text)[1:-1] for text in texts]
    raws = (event.data_raw, event.source or b"", event.meta_raw or b"")
    if any(text in raw for text in encoded for raw in raws) or (event.type == "title" and _begins(event.data.get("title", ""), texts)):
        return redact_of(event)
    return None


def _begins(text: str, texts: Sequence[str]) -> bool:
    start = " ".join(text.rstrip("…").split())
    return len(start) >= ECHO_CHARS_MIN and any(" ".join(whole.split()).startswith(start) for whole in texts)


def _without(value: Any, texts: Sequence[str]) -> Any:
    if isinstance(value, str):
        return "" if any(text in value for text in texts) or _begins(value, texts) else value
    if isinstance(value, dict):
        return {key: _without(item, texts) for key, item in value.items()}
    return [_without(item, texts) for item in value] if isinstance(value, list) else value


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)


def tombstone_of(event: Event) -> tuple[bytes, tuple[Entry, ...]]:
    """Return the payload that replaces an event's, and the head entries that go with the old one."""
    if event.type == "import.cursor":
        return event.data_raw, ()
    data = event.data
    if event.type == "state.set":
        payload = payload_of(event)
        names = [*payload.values, *payload.removed]
        return _encode({"removed": names, "scope": payload.scope}), tuple(
            _entry(event, "state", key, event.branch) for key in payload.values
        )
    if event.type == "title":
        return _encode({"title": ""}), (_entry(event, "title", ""),)
    if event.type == "tag":
        payload = payload_of(event)
        # A tag is its name, so an added one goes wholly; where an earlier event added it too, that one has to be redacted with this.
        return _encode({"removed": payload.removed}), tuple(_entry(event, "tag", tag) for tag in payload.added)
    if event.type == "session.updated":
        return _updated(event, data)
    if event.type == "session.created":
        kept = {key: data[key] for key in _KEPT[event.type] if key in data}
        entries = [_entry(event, "tag", tag) for tag in data.get("tags", ())]
        entries += [_entry(event, "metadata", key) for key in data.get("metadata", {})]
        return _encode(kept), (*entries, _entry(event, "title", ""))
    return _plain(event.type, data), ()


def _plain(kind: str, data: Any) -> bytes:
    """The tombstone of a type without head entries."""
    if not isinstance(data, dict):
        return b"null"
    if kind in {"message", "context"}:
        return _encode({"role": data.get("role", "user"), "parts": _paired(data), "ext": {"redacted": True}})
    return _encode({key: data[key] for key in _KEPT.get(kind, ()) if key in data})


_PAIRED = {"tool_call": ("type", "id", "name"), "tool_call_response": ("type", "id")}


def _paired(data: dict[str, Any]) -> list[dict[str, Any]]:
    """What keeps calls and results together: their ids and names, without arguments and answers."""
    parts = [part for part in data.get("parts", ()) if isinstance(part, dict) and part.get("type") in _PAIRED]
    return [{name: part[name] for name in _PAIRED[part["type"]] if name in part} for part in parts]


def _updated(event: Event, data: dict[str, Any]) -> tuple[bytes, tuple[Entry, ...]]:
    kept: dict[str, Any] = {}
    entries: list[Entry] = []
    for field, kind in (("title", "title"), ("system_prompt", "system_prompt")):
        if data.get(field) is not None:
            kept[field] = ""
            entries.append(_entry(event, kind, ""))
    for field, kind in (("metadata", "metadata"), ("handles", "handle")):
        if data.get(field):
            kept[field] = dict.fromkeys(data[field])
            entries += [_entry(event, kind, key) for key in data[field]]
    if "expires_at_us" in data:
        kept["expires_at_us"] = data["expires_at_us"]
    return _encode(kept), tuple(entries)


def _entry(event: Event, kind: str, name: str, branch: str = "") -> Entry:
    return Entry(kind, name, None, event.seq, branch)


def redact_of(event: Event, parts: tuple[str, ...] = ()) -> Redact:
    """Return the redaction of a stored event.

    Args:
        event: With seq, branch and digest.
        parts: Out-of-line parts that only this event refers to.
    """
    tombstone, entries = tombstone_of(event)
    return Redact(event.seq, event.digest, tombstone, parts, entries)


_PART_REF = re.compile(rb"sha256:([0-9a-f]{64})")
_LINE_REF = re.compile(rb"\x01@([0-9a-f]{64})\x02")


def line_parts(event: Event) -> set[str]:
    """Return the names of the out-of-line parts that an event's kept line is put together from.

    Only a line kept with references (``R``, ``r``, see ``codec.residual``) has any; a whole one may hold bytes that look like them.
    """
    if event.source is None or event.source[:1] not in {b"R", b"r"}:
        return set()
    return {"sha256:" + match[1].decode() for match in _LINE_REF.finditer(event.source)}


def referenced_parts(event: Event) -> set[str]:
    """Return the names of the out-of-line parts that an event may refer to: those of its kept line, and every hash in its payload.

    A payload may also name a hash that is no part of ours (an image digest in a tool's output).
    """
    return line_parts(event) | {"sha256:" + match[1].decode() for match in _PART_REF.finditer(event.data_raw)}
