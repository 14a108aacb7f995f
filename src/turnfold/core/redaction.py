"""What is left of an erased payload: what the fold counts and what keeps tool calls and results paired, and nothing else."""

from __future__ import annotations

from typing import Any

import msgspec

from turnfold.model.event import Event
from turnfold.model.event_types import MESSAGE
from turnfold.model.session import Entry

REDACTED = {"redacted": True}
_PAIRED = {"tool_call": ("type", "id", "name"), "tool_call_response": ("type", "id")}


def tombstone_of(event: Event) -> bytes:
    """Return the payload that replaces an event's."""
    data: Any = event.data
    if event.type in {MESSAGE, "context"} and isinstance(data, dict):
        parts = [
            {name: part[name] for name in _PAIRED[part["type"]] if name in part}
            for part in data.get("parts", ())
            if part["type"] in _PAIRED
        ]
        return msgspec.json.encode({"role": data.get("role", "user"), "parts": parts, "ext": REDACTED})
    if event.type == "state.set" and isinstance(data, dict):
        removed = [*data.get("values", {}), *data.get("removed", ())]
        return msgspec.json.encode({"removed": removed, "scope": data.get("scope", "session")})
    return msgspec.json.encode(REDACTED)


def erased_entries(event: Event) -> tuple[Entry, ...]:
    """The head entries that must go with an event's payload, where they still come from it."""
    data: Any = event.data
    if event.type == "state.set" and isinstance(data, dict):
        return tuple(Entry("state", key, None, event.seq, event.branch) for key in data.get("values", {}))
    return ()


REDACTABLE_NOT = frozenset({"session.created", "branch.created", "branch.switched", "checkpoint", "session.status_changed", "redaction"})
"""Types that hold structure, not content; their erasure would break the fold."""


def referenced_parts(event: Event) -> set[str]:
    """Names of the out-of-line parts that an event refers to, in its payload or its kept line."""
    found: set[str] = set()
    for raw in (event.data_raw, event.source or b""):
        start = raw.find(b"sha256:")
        while start >= 0:
            name = raw[start : start + 71]
            if len(name) == 71:
                found.add(name.decode("ascii", "replace"))
            start = raw.find(b"sha256:", start + 7)
    source = event.source or b""
    start = source.find(b"\x01@")
    while start >= 0:
        found.add("sha256:" + source[start + 2 : start + 66].decode("ascii", "replace"))
        start = source.find(b"\x01@", start + 2)
    return found
