"""A conversation as model APIs want it: turns with every tool result directly behind the turn that calls.

Real sessions are looser than the APIs: one answer comes in several messages, results arrive late, twice or never, ids repeat or break the
API's rules, and media stand where no API takes them. All of that is settled here once, and what is lost by it counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from turnfold.core.conversation import COMPACTION, CONTEXT, Conversation, ConversationEntry
from turnfold.formats import loss
from turnfold.formats.loss import LossReport
from turnfold.model.event_types import MESSAGE
from turnfold.model.message import Message, decode_message
from turnfold.model.parts import AnyPart, BlobPart, FilePart, ReasoningPart, TextPart, ToolCallPart, ToolResultPart, UriPart
from turnfold.model.session import SessionInfo
from turnfold.model.usage import NO_USAGE, Usage

NO_RESULT = "(no result was recorded)"
"""What stands for the result of a call that never got one: the APIs refuse a call without."""
ORIGINS = {"claude-code": "anthropic", "anthropic": "anthropic", "anthropic-jsonl": "anthropic", "codex": "openai", "openai": "openai"}
ORIGINS |= {"openai-jsonl": "openai", "openai-responses": "openai", "openai-responses-jsonl": "openai"}
"""Formats whose sessions are of one provider's models."""
_encode = msgspec.json.Encoder().encode


class Turn(msgspec.Struct):
    """What one participant says at a time.

    Attributes:
        role: ``system``, ``developer``, ``user`` or ``assistant``; results are in the turn that calls.
        parts: What is said; calls have ids that are unique in the session and fit the target.
        seq: Place of its first event.
        at_us, last_us: Times of its first and last event.
        message: Its first message, for the facts about it.
        results: Results by the (new) id of their call, each with its seq.
        usage: Of all its messages.
        closed: A result came in: what the assistant says next is another turn.
        is_pending: It is the last one, nothing has to follow it, and its calls are still to be answered; elsewhere a call without a result is
            given one.
    """

    role: str
    parts: list[AnyPart]
    seq: int
    at_us: int
    last_us: int
    message: Message
    results: dict[str, tuple[ToolResultPart, int]] = {}
    usage: Usage = NO_USAGE
    closed: bool = False
    is_pending: bool = False

    @property
    def calls(self) -> list[ToolCallPart]:
        """The calls, in order."""
        return [part for part in self.parts if type(part) is ToolCallPart]


class IdMap:
    """New ids for the calls of one session: a native id stays where it fits and is not taken."""

    def __init__(self, allowed: str = r"[^a-zA-Z0-9_-]", chars_max: int = 64) -> None:
        """Set up; ``allowed`` matches a character that may not be in an id."""
        self._bad = re.compile(allowed)
        self._chars_max = chars_max
        self._taken: set[str] = set()

    def take(self, native: str) -> str:
        """Return the id to use for a call."""
        base = self._bad.sub("_", native)[: self._chars_max] or "call"
        name, number = base, 1
        while name in self._taken or name == "call":
            number += 1
            suffix = f"_{number}"
            name = base[: self._chars_max - len(suffix)] + suffix
        self._taken.add(name)
        return name


class _Gathering:
    """Puts messages together to turns."""

    def __init__(self, ids: IdMap, losses: LossReport) -> None:
        self.turns: list[Turn] = []
        self._ids = ids
        self._losses = losses
        self._waiting: dict[str, list[tuple[Turn, str]]] = {}

    def add(self, message: Message, entry: ConversationEntry) -> None:
        count_extra(message, self._losses, entry.seq)
        results: list[ToolResultPart] = [part for part in message.parts if type(part) is ToolResultPart]
        others: list[AnyPart] = [part for part in message.parts if type(part) is not ToolResultPart]
        if message.role == "assistant":
            self._say(others, message, entry)
        for result in results:
            self._result(result, message, entry)
        if others and message.role != "assistant":
            role = "user" if message.role == "tool" else message.role
            self.turns.append(Turn(role, others, entry.seq, entry.at_us, entry.at_us, message, usage=entry.usage))

    def _say(self, parts: list[AnyPart], message: Message, entry: ConversationEntry) -> None:
        last = self.turns[-1] if self.turns else None
        if last is None or last.role != "assistant" or last.closed or last.message.name != message.name:
            last = Turn("assistant", [], entry.seq, entry.at_us, entry.at_us, message)
            self.turns.append(last)
        last.last_us = entry.at_us
        last.usage = last.usage + entry.usage
        for part in parts:
            if type(part) is ToolCallPart:
                new = msgspec.structs.replace(part, id=self._ids.take(part.id))
                self._waiting.setdefault(part.id, []).append((last, new.id))
                last.parts.append(new)
            elif type(part) is ReasoningPart and part.provider is None and message.provider:
                last.parts.append(msgspec.structs.replace(part, provider=message.provider))
            else:
                last.parts.append(part)

    def _result(self, result: ToolResultPart, message: Message, entry: ConversationEntry) -> None:
        waiting = self._waiting.get(result.id)
        if waiting:
            turn, call_id = waiting.pop(0)
            turn.results[call_id] = (result, entry.seq)
            turn.closed = True
            return
        self._losses.add(loss.ORPHAN_RESULTS, entry.seq)
        note = TextPart(f"[Result of tool call {result.id}]")
        parts = [note, *response_parts(result.response)]
        self.turns.append(Turn("user", parts, entry.seq, entry.at_us, entry.at_us, message))


def turns_of(entries: Iterable[ConversationEntry], ids: IdMap, losses: LossReport) -> list[Turn]:
    """Put entries together to turns; a call without a result is counted, unless all of the last turn's are still to come."""
    gathering = _Gathering(ids, losses)
    for entry in entries:
        for message in messages_in(entry, losses):
            gathering.add(message, entry)
    for turn in gathering.turns:
        turn.is_pending = turn is gathering.turns[-1] and not turn.results and not any(map(is_media, turn.parts))
        missing = [call for call in turn.calls if call.id not in turn.results]
        if missing and not turn.is_pending:
            losses.add(loss.OPEN_CALLS, turn.seq, len(missing))
    return gathering.turns


def model_entries(conversation: Conversation, losses: LossReport) -> list[ConversationEntry]:
    """Return what a model would get next, and count what that leaves out."""
    kept = [entry for entry in conversation.for_model if entry.type != CONTEXT]
    seqs = {entry.seq for entry in kept}
    for entry in conversation.entries:
        if entry.type == CONTEXT:
            losses.add(loss.NOTES, entry.seq)
        elif entry.type == MESSAGE and entry.seq not in seqs:
            losses.add(loss.SUMMARISED if entry.for_model else loss.ONLY_FOR_PEOPLE, entry.seq)
    if conversation.children:
        losses.add(loss.SUBAGENTS, count=len(conversation.children))
    return kept


def messages_in(entry: ConversationEntry, losses: LossReport) -> list[Message]:
    """Return the messages of an entry: its own, or what a compaction put in place of others."""
    if entry.message is not None and entry.message.synthetic and entry.message.role == "assistant":
        losses.add(loss.MADE_UP, entry.seq)
        return []
    if entry.type != COMPACTION:
        return [] if entry.message is None else [entry.message]
    data = entry.data or {}
    replacement = [message for message in map(_decoded, data.get("replacement") or ()) if message is not None]
    if not replacement and entry.message is None and data.get("encrypted"):
        losses.add(loss.SEALED_SUMMARIES, entry.seq)
    return replacement or ([] if entry.message is None else [entry.message])


def _decoded(native: Any) -> Message | None:
    try:
        return decode_message(_encode(native))
    except msgspec.MsgspecError:
        return None


WRITTEN_EXTRA = frozenset({"detail", "filename"})
"""Fields in ``ext`` that the writers know."""


def count_extra(message: Message, losses: LossReport, seq: int) -> None:
    """Count what a message and its parts have in ``ext``."""
    for one in (message, *message.parts):
        extra = one.get("ext") if isinstance(one, dict) else one.ext
        if extra and not WRITTEN_EXTRA.issuperset(extra):
            losses.add(loss.EXTRA_FIELDS, seq)


def provider_of(part: ReasoningPart | None, turn: Turn, info: SessionInfo) -> str | None:
    """Return whose part of a turn it is: only that provider may get its signatures and file ids back."""
    named = (None if part is None else part.provider) or turn.message.provider
    return named or ORIGINS.get(str((info.native or {}).get("format")))


def response_parts(response: Any) -> list[AnyPart]:
    """Return a tool's answer as parts: of text, of a list of parts, or of any other JSON as its text."""
    if response is None:
        return []
    if isinstance(response, str):
        return [TextPart(response)]
    if isinstance(response, list) and response and all(map(_is_part, response)):
        message = _decoded({"role": "tool", "parts": response})
        if message is not None:
            return list(message.parts)
    return [TextPart(_encode(response).decode())]


_PART_FIELDS = {"text": "content", "blob": "modality", "uri": "uri", "file": "file_id", "opaque": "native", "refusal": "content"}


def _is_part(value: Any) -> bool:
    """Whether a value is one of our parts, and not a block of some tool's own that has the same type."""
    kind = value.get("type") if isinstance(value, dict) else None
    return isinstance(kind, str) and _PART_FIELDS.get(kind, " ") in value


def is_media(part: AnyPart) -> bool:
    """Whether a part is an image, a file or the like."""
    return type(part) in {BlobPart, UriPart, FilePart}


def arguments_text(call: ToolCallPart) -> str:
    """Return a call's arguments as JSON text, as the source wrote it where it is known."""
    if call.arguments_raw is not None:
        return call.arguments_raw
    return "{}" if call.arguments is None else _encode(call.arguments).decode()


def arguments_object(call: ToolCallPart, losses: LossReport, seq: int) -> dict[str, Any]:
    """Return a call's arguments as an object; anything else is put into one, as ``input``."""
    if isinstance(call.arguments, dict):
        return call.arguments
    value = call.arguments_raw if call.arguments is None else call.arguments
    if value is None:
        return {}
    losses.add(loss.CHANGED_ARGUMENTS, seq)
    return {"input": value}


_bad_in_name = re.compile(r"[^a-zA-Z0-9_-]")


def tool_name(call: ToolCallPart, losses: LossReport, seq: int, chars_max: int = 64) -> str:
    """Return a tool's name as the APIs take it: real ones may be garbage that a model once wrote."""
    name = _bad_in_name.sub("_", call.name)[:chars_max] or "unnamed"
    if name != call.name:
        losses.add(loss.CHANGED_TOOL_NAMES, seq)
    return name


_mime_type = re.compile(r"[\w.+-]+/[\w.+-]+", re.ASCII)


def data_url(part: BlobPart) -> str:
    """Return media as a data URL."""
    mime_type = part.mime_type if part.mime_type and _mime_type.fullmatch(part.mime_type) else "application/octet-stream"
    return f"data:{mime_type};base64,{part.content or ''}"


def json_array(items: Iterable[Any]) -> Iterable[bytes]:
    """Yield a JSON array with one item per line."""
    lead = b"[\n"
    for item in items:
        yield lead + _encode(item)
        lead = b",\n"
    yield b"[]\n" if lead == b"[\n" else b"\n]\n"
