"""Projects Gemini CLI's records: a session's facts, messages, ``$set`` and ``$rewindTo``.

A message is written again whenever it has grown: with its tokens, with a call, with the call's answer. What is new becomes further events of
the same message, so nothing stands twice; a message whose text has changed is retracted and said anew. A message holds its calls with their
answers; its events carry its id, so that a redaction takes all of it.

``$set`` with messages is the whole conversation once more: after tools' outputs were masked it says nothing new; with messages that were
never written before it is a compaction, whose summary they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from zlib import crc32

import msgspec

from turnfold.formats.base import Find, Line, Projected
from turnfold.formats.fields import count_of, list_of, name_of, object_of, some, text_of, text_or_none
from turnfold.formats.gemini.parts import PROVIDER, call_of, parts_of, result_of
from turnfold.formats.lines import DETAIL_LINE_BYTES_MAX, opaque, parse_at
from turnfold.formats.media import Parts
from turnfold.formats.rows import RowReader, native, said, told
from turnfold.model.event import Visibility
from turnfold.model.message import Message
from turnfold.model.parts import Part, ReasoningPart, ToolCallPart, ToolResultPart
from turnfold.model.usage import NO_USAGE, Usage

OPEN_MAX = 48
"""Messages of late that may be written again."""
_MODEL = frozenset({"gemini", "model"})
_NOTES = {"info": "context", "warning": "context", "error": "run.error"}
_INJECTED = ("<session_context>", "<hook_context>")
_COMMANDS = ("/", "?")
"""Beginnings of what a person says to the CLI and not to the model."""
_encode = msgspec.json.Encoder(order="deterministic").encode


Said = tuple[Message, Visibility, bool]
"""A message, who sees it, and whether it begins a turn."""


class Written(msgspec.Struct):
    """A message as far as it has been written.

    Attributes:
        seqs: Of its events.
        role: Of its last event.
        content: Checksum of its content.
        thoughts: How many.
        calls: Ids of its calls.
        answers: Id of a call → checksum of its answer.
        tokens: Its usage.
    """

    seqs: list[int]
    role: str = ""
    content: int = 0
    thoughts: int = 0
    calls: list[str] = []
    answers: dict[str, int] = {}
    tokens: Usage = NO_USAGE


class GeminiReader(RowReader):
    """Reader of one session's records."""

    def __init__(self, state: dict[str, Any] | None, find: Find) -> None:
        """Begin at the start, or go on from ``state``."""
        super().__init__(state)
        self._find = find
        self._open = msgspec.convert((state or {}).get("open", {}), dict[str, Written])

    def state(self) -> dict[str, Any]:
        """What a later reader needs to go on."""
        return super().state() | {"open": msgspec.to_builtins(self._open)}

    def project(self, line: Line, value: dict[str, Any], seq: int) -> list[Projected]:
        """Return the events of a record."""
        self.seen_at(parse_at(value.get("timestamp")))
        if isinstance(value.get("$rewindTo"), str):
            return [self._rewind(line, value["$rewindTo"], seq)]
        if isinstance(value.get("id"), str):
            return self._message(line, value, seq)
        if isinstance(value.get("$set"), dict):
            return [self._set(line, value["$set"], seq)]
        if "role" in value and "parts" in value:
            return self._content(line, value)
        if isinstance(value.get("sessionId"), str) or "history" in value:
            return self._header(line, value, seq)
        return [opaque(line, self.at_us, None)]

    def _header(self, line: Line, record: dict[str, Any], seq: int) -> list[Projected]:
        """The session's facts; once the tool put a whole older session into this line."""
        self.seen_at(parse_at(record.get("startTime")))
        rest = {name: value for name, value in record.items() if name != "messages"}
        out = [self._titled(line, record, rest) or native(line, "settings", "session", rest, at=self.at_us, visibility="none")]
        for item in list_of(record.get("messages")):
            if isinstance(object_of(item).get("id"), str):
                self.seen_at(parse_at(item.get("timestamp")))
                out += self._message(None, item, seq + len(out))
        return out

    # ---- messages --------------------------------------------------------------------------------------------------------------------

    def _message(self, line: Line | None, record: dict[str, Any], seq: int) -> list[Projected]:
        kind, native_id = text_of(record.get("type")), name_of(record.get("id"))
        content = _content_of(record)
        if kind in _NOTES:
            return self._note(line, kind, record)
        if kind not in _MODEL | {"user"} or native_id is None:
            return [] if line is None else [opaque(line, self.at_us, f"message/{kind}" if kind else "message")]
        new = Written([], content=crc32(_encode(content)))
        old = _copy(self._open.get(native_id))
        before: list[Projected] = []
        if old is not None and old.content != new.content:
            before = [self._retract(old.seqs)]
            new.tokens, old = old.tokens, None
        elif old is None and len(self._open) == OPEN_MAX and (place := self._find(native_id)) is not None:
            before = [self._retract([place.seq])]  # asked only where something may have been forgotten: a look-up may read the session
        out: Parts = []
        written = old or new
        if kind == "user":
            made = [] if old is not None else self._user(content, out)
            usage = NO_USAGE
        else:
            made = self._model(record, written, out, again=old is not None)
            usage = self._tokens(record, written)
        events = list(self._events(line, native_id, made, written, seq=seq + len(before), out=out))
        self._remember(native_id, written)
        if not events and usage and written.role == "assistant" and line is not None:
            message = Message("assistant", model=text_or_none(record.get("model")), provider=PROVIDER, native_id=native_id)
            written.seqs = [*written.seqs, seq]
            return [said(line, message, at=self.at_us, message_id=native_id, message_count=0, usage=usage)]
        if not events:
            data = {"id": native_id}
            return [] if line is None else [native(line, "usage", "message", data, at=self.at_us, visibility="none", usage=usage)]
        return [*before, *_with_usage(events, usage)]

    def _user(self, content: Any, out: Parts) -> list[Said]:
        parts = parts_of(content, out)
        if parts and all(type(part) is ToolResultPart for part in parts):
            return [(Message("tool", parts), "both", False)]
        message = Message("user", parts)
        text = message.text.strip()
        if text.startswith(_INJECTED):
            return [(message, "model", False)]
        if text.startswith(_COMMANDS):
            return [(message, "ui", False)]
        self.typed(message)
        return [(message, "both", True)]

    def _model(self, record: dict[str, Any], written: Written, out: Parts, *, again: bool) -> list[Said]:
        """What a model's message says that it has not said yet: an answer of the model, and those of its tools."""
        model = text_or_none(record.get("model"))
        parts = [] if again else parts_of(_content_of(record), out)
        thoughts, records = list_of(record.get("thoughts")), [object_of(item) for item in list_of(record.get("toolCalls"))]
        if not any(type(part) is ReasoningPart for part in parts):
            parts = [*(_thought(item, model) for item in thoughts[written.thoughts :]), *parts]
        written.thoughts = max(len(thoughts), written.thoughts)
        asked = [part for part in parts if type(part) is ToolCallPart]
        for part, fields in zip(asked, records, strict=False):
            part.id = part.id or text_of(fields.get("id"))
        written.calls = [*written.calls, *(part.id for part in asked)]
        answers: list[Part] = []
        for fields in records:
            call = call_of(fields)
            if call.id not in written.calls:
                written.calls = [*written.calls, call.id]
                parts.append(call)
            checksum = crc32(_encode(fields.get("result")))
            if fields.get("result") is None or written.answers.get(call.id) == checksum:
                continue
            result = result_of(fields, out)
            if result is not None:
                shown = fields.get("resultDisplay")
                if shown not in (None, result.response) and len(_encode(shown)) <= DETAIL_LINE_BYTES_MAX:
                    result.detail = shown
                answers.append(result)
                written.answers = {**written.answers, call.id: checksum}
        made: list[Said] = []
        if parts or not (again or answers):
            made.append((Message("assistant", parts, model=model, provider=PROVIDER), "both", False))
        if answers:
            made.append((Message("tool", answers), "both", False))
        return made

    def _events(
        self, line: Line | None, native_id: str, made: list[Said], written: Written, *, seq: int, out: Parts
    ) -> Iterator[Projected]:
        """Say the messages; the first keeps the line, and the first of all is where the message is looked up."""
        for message, seen_by, typed in made:
            message.native_id = native_id
            joins = written.role == message.role and bool(written.seqs)
            meta = {"uuid": native_id} if not written.seqs else None
            written.role = message.role
            written.seqs = [*written.seqs, seq]
            fields: dict[str, Any] = {"at": self.at_us, "message_id": native_id, "meta": meta, "visibility": seen_by}
            yield said(line, message, out, message_count=int(not joins), turn_count=int(typed), **fields)
            line, out, seq = None, [], seq + 1

    def _tokens(self, record: dict[str, Any], written: Written) -> Usage:
        """What a message's usage has grown by."""
        tokens = record.get("tokens")
        if not isinstance(tokens, dict):
            return NO_USAGE
        usage = usage_of(tokens, text_of(record.get("model")))
        step = usage - written.tokens
        written.tokens = usage
        return step or NO_USAGE

    def _remember(self, native_id: str, written: Written) -> None:
        self._open.pop(native_id, None)
        self._open[native_id] = written
        if len(self._open) > OPEN_MAX:
            del self._open[next(iter(self._open))]

    def _note(self, line: Line | None, kind: str, record: dict[str, Any]) -> list[Projected]:
        """What the CLI says to the person."""
        if line is None:
            return []
        rest = {name: value for name, value in record.items() if name not in {"type", "timestamp"}}
        return [native(line, _NOTES[kind], kind, rest, at=self.at_us, visibility="ui", meta=some({"uuid": name_of(record.get("id"))}))]

    def _content(self, line: Line, value: dict[str, Any]) -> list[Projected]:
        """A turn of a saved conversation, which has neither id nor time."""
        out: Parts = []
        if value.get("role") == "model":
            return [said(line, Message("assistant", parts_of(value["parts"], out), provider=PROVIDER), out, at=self.at_us)]
        ((message, seen_by, typed),) = self._user(value["parts"], out)
        return [said(line, message, out, at=self.at_us, visibility=seen_by, turn_count=int(typed))]

    # ---- everything else -------------------------------------------------------------------------------------------------------------

    def _retract(self, seqs: list[int]) -> Projected:
        return told(None, "retract", {"seqs": seqs, "reason": "written anew"}, at=self.at_us, visibility="none")

    def _rewind(self, line: Line, native_id: str, seq: int) -> Projected:
        """Everything from that message on is gone; everything, where there is no such message."""
        first = self._first_seq(native_id) or 1
        self._open = {name: written for name, written in self._open.items() if min(written.seqs, default=0) < first}
        data = {"ranges": [[first, max(seq - 1, first)]], "reason": "rewind"}
        return told(line, "retract", data, at=self.at_us, visibility="none")

    def _first_seq(self, native_id: str) -> int | None:
        written = self._open.get(native_id)
        if written is not None and written.seqs:
            return written.seqs[0]
        place = self._find(native_id)
        return None if place is None else place.seq

    def _titled(self, line: Line, record: dict[str, Any], rest: dict[str, Any]) -> Projected | None:
        summary = text_of(record.get("summary")).strip()
        return self.title(line, summary) if summary else None

    def _set(self, line: Line, changes: dict[str, Any], seq: int) -> Projected:
        self.seen_at(parse_at(changes.get("lastUpdated")))
        if isinstance(changes.get("messages"), list):
            return self._conversation(line, changes["messages"], seq)
        return self._titled(line, changes, changes) or native(line, "settings", "$set", changes, at=self.at_us, visibility="none")

    def _conversation(self, line: Line, messages: list[Any], seq: int) -> Projected:
        """The whole conversation once more: masked, or compacted."""
        summary: list[str] = []
        keeps: list[int] = []
        for item in messages:
            fields = object_of(item)
            native_id = name_of(fields.get("id"))
            if native_id is None:
                continue
            known = self._open.get(native_id)
            first = self._first_seq(native_id)
            if first is not None:
                keeps += known.seqs if known is not None else [first]
                if known is not None:
                    known.content = crc32(_encode(_content_of(fields)))  # it is written like this from now on
                continue
            summary.append(Message("user", parts_of(_content_of(fields), [])).text)
            self._remember(native_id, Written([seq], content=crc32(_encode(_content_of(fields)))))
        if not summary:
            data = {"message_count": len(messages)}
            return native(line, "context", "$set", data, at=self.at_us, visibility="none")
        text = "\n\n".join(filter(None, summary)) or None
        data = some({"summary": text, "first_seq": 1, "last_seq": max(seq - 1, 1), "keeps": sorted(set(keeps)) or None})
        return told(line, "compaction", data, at=self.at_us)


def _content_of(record: dict[str, Any]) -> Any:
    return record["content"] if "content" in record else record.get("parts")


def _copy(written: Written | None) -> Written | None:
    """Return what a line may change before it is known that the line can be said."""
    return None if written is None else msgspec.structs.replace(written)


def usage_of(tokens: dict[str, Any], model: str) -> Usage:
    """Return native tokens: input holds the cached ones, output leaves the thoughts out, and what tools put into a prompt is input."""
    thoughts = count_of(tokens.get("thoughts"))
    total = count_of(tokens.get("input")) + count_of(tokens.get("tool"))
    return Usage(total, count_of(tokens.get("output")) + thoughts, count_of(tokens.get("cached")), 0, thoughts, model=model)


def _with_usage(events: list[Projected], usage: Usage) -> list[Projected]:
    if not usage:
        return events
    first = events[0]
    return [msgspec.structs.replace(first, event=msgspec.structs.replace(first.event, usage=usage)), *events[1:]]


def _thought(item: Any, model: str | None) -> Part:
    fields = object_of(item)
    subject = text_or_none(fields.get("subject"))
    text = item if isinstance(item, str) else text_of(fields.get("description"))
    return ReasoningPart(text, [subject] if subject else None, provider=PROVIDER, model=model)
