"""The message-log layout of Strands' file and S3 session managers: a folder per session, a file per message.

``session_<id>/session.json`` stands for the folder. The first agent's conversation is the session; further agents of the same session have
message lists of their own and become child sessions ``<id>/agents/<agent id>``. An S3 bucket's keys, copied to a folder, are the same layout.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from turnfold.formats.base import Document, Find, Line, Projected, Reader, SourceInfo
from turnfold.formats.documents import head_value
from turnfold.formats.fields import count_of, object_of, stem_of, text_of, text_or_none
from turnfold.formats.lines import parse_at
from turnfold.formats.places import OneFile, oldest_first
from turnfold.formats.records import RecordReader, header_of, object_line, read_line, read_record, record_line, short, small_facts
from turnfold.formats.strands.blocks import is_turn, message_of

AGENT = "strands"
_message_file = re.compile(r"message_(\d{1,18})\.json\Z", re.ASCII)
_FIRST_AGENT = "\uffff"
"""Sorts an agent without a time of creation after those that have one."""


class _Agent(NamedTuple):
    """An agent's folder: its id, its record, its messages by number."""

    id: str
    path: Path
    record: dict[str, Any]
    messages: list[tuple[int, Path]]


class StrandsFormat(OneFile):
    """See ``formats.base.DocumentFormat``."""

    name = "strands"

    def sniff(self, path: Path, head: bytes) -> float:
        """Look for a session's record, or for the folder around a broken one."""
        value = object_of(head_value(head))
        if isinstance(value.get("session_id"), str) and isinstance(value.get("session_type"), str) and "created_at" in value:
            return 0.95 if "messages" not in value else 0.0
        if path.name == "session.json" and path.parent.name.startswith("session_") and (path.parent / "agents").is_dir():
            return 0.9
        return 0.0

    def documents(self, path: Path) -> Iterator[Document]:
        """Yield the session of the folder, then its further agents' conversations."""
        record = object_of(read_record(path)[0])
        session_id = text_or_none(record.get("session_id")) or path.parent.name.removeprefix("session_") or "strands"
        agents = _agents(path.parent)
        header = {"session_id": session_id, "session_type": text_or_none(record.get("session_type")), "at": record.get("created_at")}
        tail = [
            *(object_line("multi_agent", name, place, id=name) for name, place in _multi_agents(path.parent)),
            object_line("session.record", "session.json", path),
        ]
        yield _document(session_id, header, agents[0] if agents else None, tail)
        for agent in agents[1:]:
            header = {"session_id": session_id, "agent_id": agent.id, "at": agent.record.get("created_at")}
            yield _document(f"{session_id}/agents/{agent.id}", header, agent, [])

    def covered(self, path: Path) -> Iterable[Path]:
        """The files of the session's folder that are read with it."""
        for agent in _agents(path.parent):
            yield agent.path / "agent.json"
            yield from (place for _, place in agent.messages)
        yield from (place for _, place in _multi_agents(path.parent))

    def describe(self, path: Path, head: Iterable[bytes]) -> SourceInfo:
        """Read the header."""
        header = header_of(head)
        session_id, agent_id = text_of(header.get("session_id")) or "strands", text_or_none(header.get("agent_id"))
        return SourceInfo(
            native_id=f"{session_id}/agents/{agent_id}" if agent_id else session_id,
            agent=AGENT,
            created_us=parse_at(header.get("at")),
            parent={"session_id": session_id, "relation": "subagent"} if agent_id else None,
            metadata=small_facts({"session_type": header.get("session_type"), "agent_id": agent_id}),
        )

    def reader(self, path: Path, info: SourceInfo, state: dict[str, Any] | None, find: Find) -> Reader:
        """Return a reader of one agent's conversation."""
        return StrandsReader(state, find, info.created_us)

    def discover(self, home: Path, environ: dict[str, str]) -> Iterator[Path]:
        """Yield the sessions of ``~/.strands/sessions``, oldest first."""
        yield from oldest_first(path for folder in self.folders(home, environ) for path in folder.glob("session_*/session.json"))

    def folders(self, home: Path, environ: dict[str, str]) -> list[Path]:
        """Return that folder."""
        return [home / ".strands" / "sessions"]

    def export_name(self, session_id: str) -> str:
        """Return a name for the session's lines; the layout itself is a folder and is not written."""
        return f"session_{stem_of(session_id)}.jsonl"


def _document(native_id: str, header: dict[str, Any], agent: _Agent | None, tail: list[bytes]) -> Document:
    lines = [record_line("session", "session.json", None, **header)]
    if agent is not None:
        for number, path in agent.messages:
            lines.append(_message_line(agent.id, number, path))
        removed = count_of(object_of(agent.record.get("conversation_manager_state")).get("removed_message_count"))
        through = agent.messages[min(removed, len(agent.messages)) - 1][0] if removed and agent.messages else None
        first = agent.messages[0][0] if agent.messages else None
        tail = [object_line("agent", f"agent_{agent.id}/agent.json", agent.path / "agent.json", first=first, through=through), *tail]
    # The newest message may still be redacted or, in a live conversation, replaced.
    settled_count = 1 if agent is None else 1 + max(0, len(agent.messages) - 1)
    return Document(native_id=native_id, lines=[*lines, *tail], settled_count=settled_count)


def _message_line(agent_id: str, number: int, path: Path) -> bytes:
    """A message's line. What a guardrail redacted is not carried on: the replacement alone is."""
    name = f"agent_{agent_id}/{path.name}"
    read = read_record(path)
    value = object_of(read[0])
    if value.get("redact_message") is not None:
        rest = {key: item for key, item in value.items() if key not in {"message", "redact_message"}}
        return record_line("message", name, {**rest, "message": value["redact_message"]}, agent_id=agent_id, number=number, redacted=True)
    return read_line("message", name, read, agent_id=agent_id, number=number)


def _agents(folder: Path) -> list[_Agent]:
    """The agents of a session, the one that was there first at the head."""
    found = []
    for path in sorted((folder / "agents").glob("agent_*")):
        if path.is_dir() and not path.is_symlink():
            record = object_of(read_record(path / "agent.json")[0])
            numbered = [
                (match, place) for place in (path / "messages").glob("message_*.json") if (match := _message_file.match(place.name))
            ]
            messages = sorted((int(match[1]), place) for match, place in numbered)
            found.append(_Agent(path.name.removeprefix("agent_"), path, record, messages))
    return sorted(found, key=lambda agent: (text_of(agent.record.get("created_at")) or _FIRST_AGENT, agent.id))


def _multi_agents(folder: Path) -> list[tuple[str, Path]]:
    found = sorted((folder / "multi_agents").glob("multi_agent_*/multi_agent.json"))
    return [(path.parent.name.removeprefix("multi_agent_"), path) for path in found]


class StrandsReader(RecordReader):
    """Reads one agent's conversation."""

    def _session(self, line: Line, value: dict[str, Any]) -> list[Projected]:
        return self.header(line, value, uuid="session", at=parse_at(value.get("at")))

    def _message(self, line: Line, value: dict[str, Any]) -> list[Projected]:
        record = object_of(value.get("record"))
        made = message_of(record.get("message"))
        at = parse_at(record.get("created_at"))
        if made is None:
            problem = f"message_{short(value.get('number'))}.json is no message"
            return [self.kept(line, "message", problem=problem)]
        message, usage = made
        if value.get("redacted") is True:
            message.ext = {**message.ext, "redacted": True}
        uuid = f"m:{short(value.get('number'))}"
        return [
            self.message(line, message, uuid=uuid, at=at, turn=is_turn(message), usage=usage, actor=text_or_none(value.get("agent_id")))
        ]

    def _agent(self, line: Line, value: dict[str, Any]) -> list[Projected]:
        record = object_of(value.get("record"))
        manager = object_of(record.get("conversation_manager_state"))
        at = parse_at(record.get("updated_at"))
        facts = small_facts({"agent_id": record.get("agent_id"), "conversation_manager": manager.get("__name__")})
        return [
            self.event(line, "snapshot", {"kind": "agent", "agent_id": short(record.get("agent_id"))}, at=at),
            *self.state_set(record.get("state")),
            *self.updated(metadata=facts),
            *compaction_of(self, manager, first=f"m:{short(value.get('first'))}", through=f"m:{short(value.get('through'))}"),
        ]

    def _multi_agent(self, line: Line, value: dict[str, Any]) -> list[Projected]:
        return [self.event(line, "snapshot", {"kind": "multi_agent", "id": short(value.get("id")), "state": value.get("record")})]

    def _session_record(self, line: Line, value: dict[str, Any]) -> list[Projected]:
        return [self.event(line, "snapshot", {"kind": "session"}, at=parse_at(object_of(value.get("record")).get("updated_at")))]

    handlers = {  # noqa: RUF012  # declared as ClassVar in the base
        "session": _session,
        "message": _message,
        "agent": _agent,
        "multi_agent": _multi_agent,
        "session.record": _session_record,
    }


def compaction_of(reader: RecordReader, manager: dict[str, Any], *, first: str, through: str) -> list[Projected]:
    """Say what the conversation manager took out of the window: from the first message through one, by their native ids."""
    begin, end = reader.find(first), reader.find(through)
    if begin is None or end is None:
        return []
    data: dict[str, Any] = {"first_seq": begin.seq, "last_seq": end.seq, "trigger": "auto"}
    made = message_of(manager.get("summary_message"))
    if made is not None and made[0].text:
        data["summary"] = made[0].text
    return [reader.event(None, "compaction", data, visibility="ui")]
