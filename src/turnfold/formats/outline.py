"""A conversation as a person reads it: turns, in them messages, in them text, reasoning, and tool calls with their results.

What ``formats.html`` and ``formats.markdown`` say, in their own words. Pure; nothing is escaped here. A tool's result stands with its call, a
result whose call is not there stands alone; each keeps the seq of its own message, so that a link to any message finds it.
"""

from __future__ import annotations

import binascii
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from turnfold.core.conversation import COMPACTION, CONTEXT, Conversation, ConversationEntry
from turnfold.formats import loss
from turnfold.formats.arguments import FIELD_KINDS, gist, outlined
from turnfold.formats.loss import LossReport
from turnfold.formats.outline_blocks import Block, Call, Data, Field, Item, Note, Picture, Reasoning, Result, Text, Turn
from turnfold.formats.phrases import data_size, one_line
from turnfold.formats.wrapped import Wrapped, image_caption, unwrap
from turnfold.model.message import Message
from turnfold.model.parts import (
    AnyPart,
    BlobPart,
    CompactionPart,
    FilePart,
    OpaquePart,
    ReasoningPart,
    RefusalPart,
    ServerToolCallPart,
    ServerToolResultPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    UriPart,
)

PICTURES: Final = {"image/png": "png", "image/jpeg": "jpeg", "image/gif": "gif", "image/webp": "webp", "image/avif": "avif"}
"""Media that a page shows. SVG is a document of its own, which may hold anything."""
SIZE_BYTES_MAX: Final = 2**63
"""What says to be larger says nonsense."""
BEFORE: Final = "Before the first message"
SUMMARY: Final = "Summary"
"""Speaker of what stands for the messages before a compaction."""
OUTPUT: Final = "Output"
"""Kind of the ``Data`` that a command which a person typed has printed."""
WHOLE: Final = "Conversation"


_ResultPart: TypeAlias = ToolResultPart | ServerToolResultPart


class Outline:
    """Builds the turns of a conversation."""

    def __init__(self, conversation: Conversation, losses: LossReport) -> None:
        """Look through the conversation once, to find which result belongs to which call: to the latest one of its id."""
        self._entries = conversation.entries
        self._losses = losses
        self._results: dict[int, list[tuple[int, _ResultPart]]] = {}
        self._paired: set[int] = set()
        latest: dict[str, int] = {}
        for entry in self._entries:
            for part in entry.message.parts if entry.message is not None else ():
                if isinstance(part, ToolCallPart | ServerToolCallPart) and part.id:
                    latest[part.id] = id(part)
                elif isinstance(part, ToolResultPart | ServerToolResultPart) and part.id in latest:
                    self._results.setdefault(latest[part.id], []).append((entry.seq, part))
                    self._paired.add(id(part))
        self._has_turns = any(entry.is_turn for entry in self._entries)

    def turns(self) -> list[Turn]:
        """Return the turns, oldest first."""
        groups: list[list[ConversationEntry]] = [[]]
        for entry in self._entries:
            if entry.is_turn and not all(_is_background(one) for one in groups[-1]):
                context: list[ConversationEntry] = []  # what a tool said just before belongs to what was asked then
                while _is_background(groups[-1][-1]) and groups[-1][-2].type != COMPACTION:  # the summary stays with its compaction
                    context.insert(0, groups[-1].pop())
                groups.append(context)
            groups[-1].append(entry)
        return [self._turn(group, number) for number, group in enumerate(groups, int(any(one.is_turn for one in groups[0]))) if group]

    def _turn(self, group: Sequence[ConversationEntry], number: int) -> Turn:
        first = next((entry for entry in group if entry.is_turn), None)
        title = (BEFORE if self._has_turns else WHOLE) if first is None or first.message is None else _title(first.message)
        items: list[Item] = []
        before: ConversationEntry | None = None
        for entry in group:
            item = self._item(entry, is_summary=before is not None and _goes_on(before, entry))
            items += [] if item is None else [item]
            before = entry
        return Turn(number, title, items, sum(entry.usage.total_tokens for entry in group))

    def _item(self, entry: ConversationEntry, *, is_summary: bool) -> Item | None:
        kind, speaker = ("context", SUMMARY) if is_summary else _speaker(entry)
        message = entry.message
        blocks: list[Block] = []
        if message is not None:
            wrapped = unwrap(message.text) if message.role == "user" else None
            if wrapped is not None and wrapped.typed is None and kind == "user":
                kind, speaker = "tool", "Output of a command"
            elif kind == "user" and self._has_turns and not entry.is_turn:  # an interruption, a task that ended
                kind, speaker = "tool", "Added by the tool"
            blocks = self._blocks(message, entry.seq, wrapped, markup=is_summary or kind in {"assistant", "compaction"})
            if message.ext.get("redacted"):
                blocks.append(Note("This message was erased."))
        if not blocks and kind != "compaction":
            return None
        return Item(entry.seq, entry.at_us, kind, speaker, blocks, message.model if message is not None else None)

    def _blocks(self, message: Message, seq: int, wrapped: Wrapped | None, *, markup: bool) -> list[Block]:
        out: list[Block] = []
        if wrapped is not None:
            typed, output = wrapped
            out += [Text(typed, markup=False)] if typed else []
            out += [Data(OUTPUT, output) if output else Note("No output.")] if output is not None else []
        for part in message.parts:
            if wrapped is not None and part["type"] == "text":
                continue
            block = self._block(part, seq, markup=markup)
            if isinstance(block, Text) and not markup and (caption := image_caption(block.text)) is not None:
                block = Note(caption) if caption else None
            last = out[-1] if out else None
            if isinstance(block, Text) and isinstance(last, Text):  # a message's text may come in several parts
                out[-1] = Text(f"{last.text}\n\n{block.text}", block.markup)
            elif block is not None:
                out.append(block)
        return out

    def _block(self, part: AnyPart, seq: int, *, markup: bool) -> Block | None:
        match part:
            case TextPart() | RefusalPart() | CompactionPart():
                if isinstance(part, TextPart) and part.citations:
                    self._losses.add(loss.CITATIONS, seq, len(part.citations))
                return Text(part.content, markup) if part.content and part.content.strip() else None
            case ReasoningPart():
                return self._reasoning(part, seq)
            case ToolCallPart() | ServerToolCallPart():
                return self._call(part, seq)
            case ToolResultPart() | ServerToolResultPart():
                return None if id(part) in self._paired else self._result(part, seq)
            case BlobPart() | UriPart() | FilePart():
                return self._media(part, seq)
            case OpaquePart(native):
                label = native.get("type") if isinstance(native, dict) else None
                return Data(_word(label, "opaque"), self._json(native, seq))
            case _:
                return Data(_word(part.get("type"), "part"), self._json(part, seq))

    def _reasoning(self, part: ReasoningPart, seq: int) -> Block | None:
        if part.encrypted or part.signature:
            self._losses.add(loss.SEALED_REASONING, seq)
        text = part.content or "\n\n".join(part.summary or ())
        return Reasoning(text) if text.strip() else None

    # ---- tools -------------------------------------------------------------------------------------------------------------------------

    def _call(self, part: ToolCallPart | ServerToolCallPart, seq: int) -> Call:
        found = [self._result(answer, at) for at, answer in self._results.get(id(part), ())]
        pieces = [piece for result in found for piece in result.pieces]
        answered = msgspec.structs.replace(found[0], pieces=pieces) if found else None
        if isinstance(part, ServerToolCallPart):
            arguments = part.server_tool_call
        else:
            arguments = part.arguments_raw if part.arguments is None else part.arguments
        return Call(part.name or "tool", gist(arguments), self._fields(arguments, seq), answered)

    def _fields(self, arguments: Any, seq: int) -> list[Field]:
        if arguments is None or arguments == {}:
            return []
        if isinstance(arguments, Mapping):
            return [Field(str(name), self._text(value, seq), FIELD_KINDS.get(name, "text")) for name, value in arguments.items()]
        text = self._text(arguments, seq)
        return [Field("input", text, "diff" if text.startswith(("*** Begin Patch", "diff --git")) else "text")]

    def _text(self, value: Any, seq: int) -> str:
        if isinstance(value, str):
            return value
        lines = outlined(value) if isinstance(value, list | Mapping) else None
        return self._json(value, seq) if lines is None else "\n".join(lines)

    def _result(self, part: _ResultPart, seq: int) -> Result:
        if isinstance(part, ServerToolResultPart):
            return Result(seq, list(self._pieces(part.server_tool_call_response, seq)))
        if part.detail is not None:
            self._losses.add(loss.DETAILS, seq)
        return Result(seq, list(self._pieces(part.response, seq)), bool(part.is_error), part.exit_code)

    def _pieces(self, response: Any, seq: int) -> Iterable[Text | Picture | Note | Data]:
        if isinstance(response, str):
            if response.strip():
                yield Text(response, markup=False)
        elif isinstance(response, list) and response and all(isinstance(piece, dict) for piece in response):
            for piece in response:
                yield self._piece(piece, seq)
        elif response is not None and response != []:
            yield Data("json", self._json(response, seq))

    def _piece(self, piece: dict[str, Any], seq: int) -> Text | Picture | Note | Data:
        kind = _word(piece.get("type"), "json")
        text = piece.get("content") if kind == "text" else piece.get("text")
        if isinstance(text, str):
            return Text(text, markup=False)
        return self._media(piece, seq) if kind in {"blob", "uri", "file"} else Data(kind, self._json(piece, seq))

    # ---- media and values --------------------------------------------------------------------------------------------------------------

    def _media(self, part: AnyPart | Mapping[str, Any], seq: int) -> Picture | Note:
        content, mime_type = part.get("content"), _word(part.get("mime_type"), "")
        size_bytes = part.get("size_bytes")
        if not isinstance(size_bytes, int) or not 0 <= size_bytes < SIZE_BYTES_MAX:
            size_bytes = None
        if isinstance(content, str) and size_bytes is None:
            size_bytes = len(content) * 3 // 4 - content[-2:].count("=")
        name = part.get("filename")
        if isinstance(content, str) and mime_type in PICTURES and _is_base64(content):
            return Picture(mime_type, content, size_bytes or 0, name if isinstance(name, str) else None)
        self._losses.add(loss.HIDDEN_MEDIA, seq)
        facts = [part.get("modality") or part.get("type"), mime_type, name, part.get("uri"), part.get("file_id")]
        said = [fact for fact in facts if isinstance(fact, str) and fact]
        return Note(f"Not shown: {', '.join([*said, *([data_size(size_bytes)] if isinstance(size_bytes, int) else [])])}")

    def _json(self, value: Any, seq: int) -> str:
        try:
            return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
        except (UnicodeEncodeError, TypeError, ValueError, RecursionError, msgspec.MsgspecError):
            pass
        try:
            return json.dumps(value, default=str)  # half a surrogate pair, or a value of a caller's own type
        except (ValueError, RecursionError):
            self._losses.add(loss.TOO_DEEP, seq)
            return "(nested too deeply to be written)"


def _word(value: Any, otherwise: str) -> str:
    return value if isinstance(value, str) and value else otherwise


def _is_base64(content: str) -> bool:
    try:
        return bool(binascii.a2b_base64(content.encode("ascii"), strict_mode=True))
    except (binascii.Error, UnicodeEncodeError):
        return False


_ROLES: Final = {"user": "User", "assistant": "Assistant", "tool": "Tool", "system": "System", "developer": "Developer"}


def _title(message: Message) -> str:
    wrapped = unwrap(message.text)
    texts = [part.content for part in message.parts if isinstance(part, TextPart)]
    text = " ".join(text for text in texts if image_caption(text) is None)
    return one_line((wrapped.typed if wrapped is not None else None) or text) or "(no text)"


def _goes_on(before: ConversationEntry, entry: ConversationEntry) -> bool:
    """Whether an entry is the summary that a tool gave the model after a compaction, as a message of its own."""
    return before.type == COMPACTION and before.message is None and entry.message is not None and _is_background(entry)


def _is_background(entry: ConversationEntry) -> bool:
    return not entry.is_turn and entry.type != COMPACTION and _is_context(entry)


def _is_context(entry: ConversationEntry) -> bool:
    return entry.type == CONTEXT or entry.visibility == "model" or entry.message is None or entry.message.role in {"system", "developer"}


def _speaker(entry: ConversationEntry) -> tuple[str, str]:
    if entry.type == COMPACTION:
        return "compaction", "Compaction"
    message = entry.message
    assert message is not None
    role = _ROLES.get(message.role, message.role)
    if _is_context(entry):
        return "context", f"Context ({role.lower()})"
    return message.role if message.role in {"user", "assistant"} else "tool", message.name or role
