"""The layout of Strands' snapshot manager: a whole agent in one file, the newest state beside its immutable history.

``<session>/scopes/agent/<agent>/snapshots/snapshot_latest.json`` stands for the folder; ``immutable_history/snapshot_<uuid7>.json`` are
checkpoints of it. All snapshots together are woven into one history: what the conversation manager has trimmed since is still in an older
snapshot, and a snapshot whose messages went another way is a branch. Messages have no time of their own; they get that of the snapshot in
which they were first met.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from turnfold.errors import FormatError
from turnfold.formats.base import Document, Find, Line, Projected, Reader, SourceInfo
from turnfold.formats.documents import head_value, unreadable
from turnfold.formats.fields import count_of, list_of, object_of, stem_of, text_of, text_or_none
from turnfold.formats.lines import decode_line, parse_at
from turnfold.formats.places import OneFile
from turnfold.formats.placing import PlacingReader, checkpoint_event, place_id
from turnfold.formats.records import read_record, record_line, safe_name, short, small_facts
from turnfold.formats.strands.blocks import is_turn, message_of
from turnfold.formats.strands.files import AGENT, compaction_of
from turnfold.formats.weave import Placed, weave

LATEST = "snapshot_latest.json"
VERSION = "1.0"
DEFAULT_AGENT = "default"
"""What Strands calls an agent that was given no id."""
_immutable = re.compile(r"snapshot_([\w-]+)\.json\Z")
_begins = re.compile(rb'\s*\{\s*"scope":\s*"(?:agent|multiAgent)",\s*"schema_version":')
_place = re.compile(r"(?:^|/)([^/]+)/scopes/(agent|multiAgent)/([^/]+)/snapshots/snapshot_latest\.json\Z")


class _Snapshot(NamedTuple):
    id: str
    record: dict[str, Any]

    @property
    def messages(self) -> list[Any]:
        return list_of(object_of(self.record.get("data")).get("messages"))

    @property
    def slim(self) -> dict[str, Any]:
        """The record without its messages: those are lines of their own."""
        data = {key: value for key, value in object_of(self.record.get("data")).items() if key != "messages"}
        return {**self.record, "data": data}


class StrandsSnapshotFormat(OneFile):
    """See ``formats.base.DocumentFormat``."""

    name = "strands-snapshot"

    def sniff(self, path: Path, head: bytes) -> float:
        """Look for a snapshot's first fields. An immutable one is read with its latest, and alone where there is none."""
        if _begins.match(head) is None:
            value = object_of(head_value(head))
            if value.get("scope") not in {"agent", "multiAgent"} or "schema_version" not in value:
                return 0.9 if path.name == LATEST and _place.search(path.as_posix()) and not value else 0.0
        if path.name != LATEST and path.parent.name == "immutable_history" and (path.parent.parent / LATEST).is_file():
            return 0.0
        return 0.95

    def documents(self, path: Path) -> Iterator[Document]:
        """Yield the agent's (or orchestrator's) session.

        Raises:
            FormatError: The latest snapshot is of a version that cannot be read.
        """
        latest, problem, data = read_record(path)
        if problem is None and not isinstance(latest, dict):
            problem = "a JSON value that is no object"
        record = object_of(latest)
        if problem is None:
            _check_version(record, path)
        header = _header(path, record)
        lines = [record_line("session", path.name, None, **header)]
        tail: list[bytes] = [] if problem is None else [unreadable(path.name, problem, data)]
        older: list[_Snapshot] = []
        for place in self.covered(path):
            value, wrong, content = read_record(place)
            if wrong is None and not (isinstance(value, dict) and value.get("schema_version") == VERSION):
                wrong = f"schema_version {object_of(value).get('schema_version')!r} is not {VERSION!r}"
                content = place.read_bytes()
            if wrong is None:
                older.append(_Snapshot(place.name.removeprefix("snapshot_").removesuffix(".json"), value))
            else:
                tail.append(unreadable(f"immutable_history/{place.name}", wrong, content))
        newest = _Snapshot("latest", record) if problem is None or not older else older[-1]
        woven = weave(newest.messages, [one.messages for one in older], _key)
        lines += [record_line("message", f"message {n}", message, number=n) for n, message in enumerate(woven.messages)]
        settled_count = len(lines)
        for snapshot, placed in zip(older, woven.placed, strict=True):
            lines += _checkpoint_lines(snapshot, placed)
        lines.append(record_line("latest", LATEST, newest.slim, window_start=woven.window_start or None))
        yield Document(native_id=header["id"], lines=[*lines, *tail], settled_count=settled_count)

    def covered(self, path: Path) -> Iterable[Path]:
        """The immutable snapshots, oldest first (their ids sort by time)."""
        found = (path.parent / "immutable_history").glob("snapshot_*.json") if path.name == LATEST else ()
        return sorted((place for place in found if _immutable.match(place.name)), key=lambda place: place.name)

    def describe(self, path: Path, head: Iterable[bytes]) -> SourceInfo:
        """Read the header, and the times of the snapshots, which come last."""
        header: dict[str, Any] = {}
        created: list[int] = []
        latest: int | None = None
        for data in head:
            if header and b'"kind":"checkpoint"' not in data[:64] and b'"kind":"latest"' not in data[:64]:
                continue
            value = object_of(decode_line(data)[0])
            header = header or value
            at = parse_at(object_of(value.get("record")).get("created_at"))
            if at is not None:
                created.append(at)
                latest = at
        facts = small_facts({name: header.get(name) for name in ("session_id", "agent_id", "scope")})
        if latest is not None:
            facts["snapshot_at_us"] = latest
        native_id = text_of(header.get("id")) or AGENT
        return SourceInfo(native_id=native_id, agent=AGENT, created_us=min(created, default=None), metadata=facts)

    def reader(self, path: Path, info: SourceInfo, state: dict[str, Any] | None, find: Find) -> Reader:
        """Return a reader; messages that are new get the time of the latest snapshot."""
        return SnapshotReader(state, find, info.created_us, met_at=info.metadata.get("snapshot_at_us"))

    def export_name(self, session_id: str) -> str:
        """Return a name for the session's lines; the layout itself is a folder and is not written."""
        return f"snapshot_{stem_of(session_id)}.jsonl"


def _check_version(record: dict[str, Any], path: Path) -> None:
    version = record.get("schema_version")
    if version != VERSION:
        hint = "only this version of Strands' snapshots is known"
        raise FormatError(f"{path}: schema_version is {version!r}, {VERSION!r} can be read", hint=hint, path=str(path))


def _header(path: Path, record: dict[str, Any]) -> dict[str, Any]:
    """The facts that never change, all from the place of the file: whose snapshots these are.

    The agent that has Strands' default name is the session itself, so that the usual session has its own id.
    """
    match = _place.search(path.as_posix())
    if match is None:
        return {"id": path.stem, "scope": text_of(record.get("scope")) or "agent"}
    session_id, scope, owner_id = match[1], match[2], match[3]
    folder = "agents" if scope == "agent" else "multi_agents"
    native_id = session_id if scope == "agent" and owner_id == DEFAULT_AGENT else f"{session_id}/{folder}/{owner_id}"
    return {"id": native_id, "session_id": session_id, "scope": scope, "agent_id": owner_id}


def _key(message: Any) -> str:
    """What makes two messages the same one: the id that Strands tracks them by, or all of their content."""
    fields = object_of(message)
    tracking_id = text_or_none(fields.get("tracking_id"))
    if tracking_id is not None:
        return f"id:{tracking_id}"
    said = {name: fields.get(name) for name in ("role", "content")} if fields else message
    return msgspec.json.encode(said, order="sorted").decode()


def _checkpoint_lines(snapshot: _Snapshot, placed: Placed) -> Iterator[bytes]:
    """A snapshot as a place in the history, after its own messages where it left it."""
    branch = safe_name(f"snapshot-{snapshot.id}") if placed.rest else None
    name = f"snapshot_{snapshot.id}.json"
    if branch is not None:
        yield record_line("branch", name, None, branch=branch, through=placed.through)
    for number, message in enumerate(placed.rest, placed.through):
        yield record_line("message", f"{name}, message {number}", message, number=number, branch=branch)
    last = placed.through + len(placed.rest)
    changed = {str(index): message for index, message in placed.changed.items()} or None
    yield record_line("checkpoint", name, snapshot.slim, id=snapshot.id, branch=branch, through=last, changed=changed)


class SnapshotReader(PlacingReader):
    """Reads the history of one agent or orchestrator; messages that are new were met at the time of the latest snapshot, ``met_at``."""

    def __init__(self, state: dict[str, Any] | None, find: Find, at_us: int | None, *, met_at: int | None) -> None:
        """Begin, or go on."""
        super().__init__(state, find, at_us)
        self._met_at = met_at

    def _message(self, line: Line, value: dict[str, Any]) -> list[Projected]:
        made = message_of(value.get("record"))
        branch, number = text_of(value.get("branch")), count_of(value.get("number"))
        uuid = place_id(branch, number + 1)
        if made is None:
            return [self.kept(line, "message", problem=f"message {number + 1} of the snapshots is no message", branch=branch, uuid=uuid)]
        message, usage = made
        return [self.message(line, message, uuid=uuid, at=self._met_at, branch=branch, turn=is_turn(message), usage=usage)]

    def _checkpoint(self, line: Line, value: dict[str, Any]) -> list[Projected]:
        branch, through = text_of(value.get("branch")), count_of(value.get("through"))
        at = parse_at(object_of(value.get("record")).get("created_at"))
        name = safe_name(f"snapshot-{short(value.get('id'))}")
        return [checkpoint_event(self, line, name, branch=branch, through=through, at=at)]

    def _latest(self, line: Line, value: dict[str, Any]) -> list[Projected]:
        record = object_of(value.get("record"))
        data = object_of(record.get("data"))
        manager = object_of(data.get("conversation_manager_state"))
        scope = text_of(record.get("scope"))
        facts = small_facts({"conversation_manager": manager.get("__name__")})
        out = [self.kept(line, scope or "latest", {} if scope == "agent" else {"state": data})]
        out += [*self.state_set(data.get("state")), *self.updated(metadata=facts, system_prompt=_prompt(data.get("system_prompt")))]
        start = count_of(value.get("window_start"))
        return [*out, *compaction_of(self, manager, first=place_id("", 1), through=place_id("", start))] if start else out

    handlers = PlacingReader.handlers | {
        "message": _message,
        "checkpoint": _checkpoint,
        "latest": _latest,
    }


def _prompt(value: Any) -> str | None:
    """A system prompt, which is text or a list of blocks."""
    if isinstance(value, str):
        return value
    return "".join(text_of(object_of(block).get("text")) for block in list_of(value)) or None
