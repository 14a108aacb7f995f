"""lexigram-ai-session's stores as a format: how to know their files, and the reader of a session."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from turnfold.formats.base import Document, Find, Line, Projected, Reader, SourceInfo
from turnfold.formats.documents import head_value, tables_of
from turnfold.formats.fields import cost_of, count_of, list_of, name_of, object_of, stem_of, text_of, text_or_none
from turnfold.formats.heads import SQLITE_MAGIC, read_head
from turnfold.formats.lexigram.stores import CHECKPOINT_KEY, SESSION_KEY, documents_of, found_in_database, found_in_json
from turnfold.formats.lines import parse_at
from turnfold.formats.places import OneFile
from turnfold.formats.placing import PlacingReader, place_id
from turnfold.formats.records import call_of, header_of, small_facts
from turnfold.model.message import ROLES, Message
from turnfold.model.parts import Part, TextPart, ToolResultPart
from turnfold.model.usage import Usage

AGENT = "lexigram"
_COLUMNS = frozenset({"session_id", "user_id", "turns", "variables"})
_FIELDS = ("session_id", "user_id", "status", "turns", "variables")
_begins = re.compile(rb'\s*\{\s*"(?:ai:(?:session|checkpoint):|session_id":\s*"[^"]{0,300}",\s*"user_id":\s*"[^"]{0,300}",\s*"status":)')


class LexigramFormat(OneFile):
    """See ``formats.base.DocumentFormat``."""

    name = "lexigram"

    def sniff(self, path: Path, head: bytes) -> float:
        """Look for the database store's table, the fields of a session, or the cache store's keys."""
        if tables_of(path, head).get("ai_sessions", frozenset()) >= _COLUMNS or _begins.match(head):
            return 0.95
        value = object_of(head_value(head))
        if all(name in value for name in _FIELDS) or any(key.startswith((SESSION_KEY, CHECKPOINT_KEY)) for key in value):
            return 0.95
        return 0.0

    def documents(self, path: Path) -> Iterator[Document]:
        """Yield the sessions.

        Raises:
            FormatError: The database cannot be read, or the file is not JSON.
        """
        is_database = read_head(path, len(SQLITE_MAGIC)) == SQLITE_MAGIC
        yield from documents_of(*(found_in_database(path) if is_database else found_in_json(path)))

    def describe(self, path: Path, head: Iterable[bytes]) -> SourceInfo:
        """Read the header; a branch of the package is a session of its own that names the one it was forked from."""
        header = header_of(head)
        parent = text_or_none(header.get("parent_session_id"))
        return SourceInfo(
            native_id=text_of(header.get("session_id")) or path.stem,
            agent=AGENT,
            created_us=parse_at(header.get("at")),
            parent={"session_id": parent, "relation": "fork"} if parent else None,
            metadata=small_facts({name: header.get(name) for name in ("user_id", "branch_name")}),
        )

    def reader(self, path: Path, info: SourceInfo, state: dict[str, Any] | None, find: Find) -> Reader:
        """Return a reader of a session."""
        return LexigramReader(state, find, info.created_us)

    def export_name(self, session_id: str) -> str:
        """Return a name for the session's lines; the store's own form is not written."""
        return f"{stem_of(session_id)}.jsonl"


class LexigramReader(PlacingReader):
    """Reads one session."""

    def _message(self, line: Line, value: dict[str, Any]) -> list[Projected]:
        turn, branch, number = object_of(value.get("record")), text_of(value.get("branch")), count_of(value.get("number"))
        role, content = text_of(turn.get("role")), turn.get("content")
        uuid = place_id(branch, number)
        if role not in ROLES or not isinstance(content, str):
            problem = f"turn {number} has no role that is known, or no text"
            return [self.kept(line, "turn", problem=problem, branch=branch, uuid=uuid)]
        calls = [call for one in list_of(turn.get("tool_calls")) if (call := call_of(one)) is not None]
        ids = {call.id for call in calls if call.id}
        paired = [one for one in list_of(turn.get("skill_results")) if _result_id(one) in ids]
        parts: list[Part] = [TextPart(content)] if content or not calls else []
        if role == "tool":
            parts = [ToolResultPart(text_of(object_of(turn.get("metadata")).get("tool_call_id")), content)]
        message = Message(role, [*parts, *calls], native_id=text_or_none(turn.get("turn_id")), ext=_ext(turn, len(calls), paired))
        message.model, message.provider = text_or_none(turn.get("model")), text_or_none(turn.get("provider"))
        at = parse_at(turn.get("timestamp"))
        usage = _usage(turn, role)
        out = [self.message(line, message, uuid=uuid, at=at, branch=branch, turn=role == "user", usage=usage, tokens=usage.total_tokens)]
        if paired:
            answers: list[Part] = [ToolResultPart(_result_id(one), one.get("result", one.get("output", one))) for one in paired]
            out.append(self.message(None, Message("tool", answers), uuid=f"{uuid}:results", branch=branch))
        return out

    def _state(self, line: Line, value: dict[str, Any]) -> list[Projected]:
        record = object_of(value.get("record"))
        kept = self.event(
            line, "snapshot", {"kind": "session"}, at=parse_at(record.get("updated_at")), problem=text_or_none(value.get("problem"))
        )
        facts = {**small_facts(object_of(record.get("metadata"))), **small_facts({"native_status": record.get("status")})}
        updated = self.updated(metadata=facts, system_prompt=text_or_none(record.get("system_prompt")))
        return [kept, *self.state_set(record.get("variables")), *updated]

    handlers = PlacingReader.handlers | {
        "message": _message,
        "state": _state,
    }


def _result_id(result: Any) -> str:
    fields = object_of(result)
    return text_of(fields.get("tool_call_id")) or text_of(fields.get("id"))


def _ext(turn: dict[str, Any], call_count: int, paired: list[Any]) -> dict[str, Any]:
    """What a turn has and a message has no field for; results that answer no call stay as they are."""
    ext: dict[str, Any] = {}
    left = [one for one in list_of(turn.get("skill_results")) if one not in paired]
    if left:
        ext["skill_results"] = left
    if len(list_of(turn.get("tool_calls"))) != call_count:
        ext["tool_calls"] = turn["tool_calls"]
    if object_of(turn.get("metadata")):
        ext["metadata"] = turn["metadata"]
    return ext


def _usage(turn: dict[str, Any], role: str) -> Usage:
    """A turn's tokens, which are not split: what a model said is output."""
    tokens, model = count_of(turn.get("tokens_used")), name_of(turn.get("model")) or ""
    read_in, out = (0, tokens) if role == "assistant" else (tokens, 0)
    return Usage(read_in, out, cost_microusd=cost_of(turn.get("cost")), model=model)
