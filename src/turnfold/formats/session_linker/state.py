"""A stored session of agent-session-linker as lines, with its checkpoints, which are whole copies of it under keys of their own."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from turnfold.formats.base import Document
from turnfold.formats.documents import unreadable
from turnfold.formats.fields import list_of, object_of, text_of, text_or_none
from turnfold.formats.lines import clean
from turnfold.formats.records import record_line, safe_name
from turnfold.formats.weave import Placed, weave

VERSION = "1.0"
CHECKPOINT = re.compile(r"__checkpoint__(.+)__(\d{4,9}|index__)\Z", re.DOTALL)
"""Keys of checkpoints and of their index."""
FIELDS = frozenset(
    {
        "session_id",
        "agent_id",
        "schema_version",
        "segments",
        "entities",
        "tasks",
        "tools_used",
        "preferences",
        "summary",
        "parent_session_id",
        "total_cost_usd",
        "created_at",
        "updated_at",
    },
)


class Stored(NamedTuple):
    """What is stored under a key: its value, or what is wrong with it and its bytes."""

    key: str
    value: Any
    problem: str | None = None
    data: bytes = b""
    checksum_problem: str | None = None

    @property
    def segments(self) -> list[Any]:
        """The session's segments."""
        return list_of(object_of(self.value).get("segments"))


def stored_from(key: str, data: bytes) -> Stored:
    """Decode what is stored under a key."""
    try:
        value = json.loads(data)
        problem = _checksum_problem(value) if isinstance(value, dict) and "segments" in value else None
        return Stored(key, clean(value), None, b"", problem)
    except (ValueError, RecursionError) as error:
        return Stored(key, None, f"not JSON: {error}"[:200], data)


def checksum_of(document: dict[str, Any]) -> str:
    """Return the checksum that a session's document must have: over its known fields, as Python writes them sorted."""
    known = {key: value for key, value in document.items() if key in FIELDS}
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def _checksum_problem(document: dict[str, Any]) -> str | None:
    stored = document.get("checksum")
    if stored is None or stored == "" or stored == checksum_of(document):
        return None
    return "its checksum is not that of its content: it was changed after it was written"


def documents_of(found: Iterable[Stored], links: list[Any]) -> Iterator[Document]:
    """Yield the sessions of a store.

    Args:
        found: Everything that is stored.
        links: Links between sessions, as the command line of the package keeps them.
    """
    sessions: list[Stored] = []
    checkpoints: dict[str, list[Stored]] = {}
    for stored in found:
        match = CHECKPOINT.match(stored.key)
        if match is None:
            sessions.append(stored)
        else:
            checkpoints.setdefault(match[1], []).append(stored)
    for stored in sessions:
        yield _document(stored, checkpoints.pop(stored.key, []), links)
    for left in checkpoints.values():  # their session was deleted
        for stored in left:
            if not stored.key.endswith("index__"):
                yield _document(stored, [], [], native_id=orphan_id(stored.key))


def orphan_id(key: str) -> str:
    """Return the session id of a checkpoint whose session is gone."""
    match = CHECKPOINT.match(key)
    return key if match is None else f"{match[1]}/checkpoints/{match[2]}"


def _document(stored: Stored, checkpoints: list[Stored], links: list[Any], native_id: str | None = None) -> Document:
    state = object_of(stored.value)
    session_id = native_id or text_or_none(state.get("session_id")) or stored.key
    facts = {"agent_id": text_or_none(state.get("agent_id")), "parent": text_or_none(state.get("parent_session_id"))}
    lines = [record_line("session", stored.key, None, session_id=session_id, at=state.get("created_at"), **facts)]
    placed = _index(checkpoints)
    copies = [(record, copy) for record, copy in placed if copy is not None and copy.problem is None]
    woven = weave(stored.segments, [copy.segments for _, copy in copies], _key)
    for number, segment in enumerate(woven.messages, 1):
        lines.append(record_line("message", f"segment {number}", segment, number=number))
    settled_count = len(lines)
    names = Counter(text_of(record.get("label")) for record, _ in copies)
    for (record, copy), place in zip(copies, woven.placed, strict=True):
        lines += _checkpoint_lines(record, copy, place, is_label_unique=names[text_of(record.get("label"))] == 1)
    for record, broken in placed:
        if broken is None:
            lines.append(unreadable(f"checkpoint {text_of(record.get('checkpoint_id'))}", "the index names it, but it is gone"))
        elif broken.problem is not None:
            lines.append(unreadable(f"checkpoint {broken.key}", broken.problem, broken.data))
    lines += [record_line("tool", "tool", one) for one in list_of(state.get("tools_used"))]
    lines += [record_line("link", "link", one) for one in links if object_of(one).get("source_session_id") == session_id]
    if stored.problem is not None or not isinstance(stored.value, dict):
        lines.append(unreadable(stored.key, stored.problem or "a JSON value that is no object", stored.data))
    else:
        rest = {key: value for key, value in state.items() if key not in {"segments", "tools_used"}}
        lines.append(record_line("state", stored.key, rest, problem=_problem_of(stored)))
    return Document(native_id=session_id, lines=lines, settled_count=settled_count)


def _problem_of(stored: Stored) -> str | None:
    version = object_of(stored.value).get("schema_version")
    if version != VERSION:
        return f"schema_version {version!r} is not known; it was read as {VERSION!r}"
    return stored.checksum_problem


def _index(checkpoints: list[Stored]) -> list[tuple[dict[str, Any], Stored | None]]:
    """The checkpoints in the order of their index, each with its copy; copies that no index names come last."""
    by_key = {stored.key: stored for stored in checkpoints if not stored.key.endswith("index__")}
    out: list[tuple[dict[str, Any], Stored | None]] = []
    for stored in checkpoints:
        if stored.key.endswith("index__"):
            if stored.problem is not None:
                out.append(({}, stored))
            out += [(object_of(record), by_key.get(text_of(object_of(record).get("checkpoint_id")))) for record in list_of(stored.value)]
    named = {copy.key for _, copy in out if copy is not None}
    return out + [({}, stored) for key, stored in sorted(by_key.items()) if key not in named]


def _checkpoint_lines(record: dict[str, Any], copy: Stored, placed: Placed, *, is_label_unique: bool) -> Iterator[bytes]:
    """A checkpoint as a place in the session, after its own segments where the session was restored and went on otherwise."""
    state = object_of(copy.value)
    label, made_at = text_of(record.get("label")), text_of(record.get("created_at")) or text_of(state.get("updated_at"))
    name = safe_name(label if label and is_label_unique else f"{label or copy.key} {made_at}")
    branch = safe_name(f"checkpoint-{name}") if placed.rest else None
    if branch is not None:
        yield record_line("branch", copy.key, None, branch=branch, through=placed.through)
    last = placed.through + len(placed.rest)
    for number, segment in enumerate(placed.rest, placed.through + 1):
        yield record_line("message", f"{copy.key}, segment {number}", segment, number=number, branch=branch)
    counted = record.get("segment_count")
    problem = copy.checksum_problem
    if isinstance(counted, int) and counted != len(copy.segments):
        problem = f"it was overwritten by a later one: it should have {counted} segments and has {len(copy.segments)}"
    facts: dict[str, Any] = {"name": name, "branch": branch, "through": last, "at": made_at or None, "problem": problem}
    facts["changed"] = {str(index): segment for index, segment in placed.changed.items()} or None
    rest = {key: value for key, value in state.items() if key != "segments"}
    yield record_line("checkpoint", copy.key, {"record": record, "state": rest}, **facts)


def _key(segment: Any) -> str:
    segment_id = text_or_none(object_of(segment).get("segment_id"))
    return f"id:{segment_id}" if segment_id else msgspec.json.encode(segment, order="sorted").decode()
