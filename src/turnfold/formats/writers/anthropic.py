"""Writes a conversation as a body for the Anthropic Messages API: ``{"system", "messages"}``.

Roles alternate, beginning with the user; every ``tool_use`` is answered in the next message; thinking goes back only signed and only if it
is Anthropic's. Instructions in the middle of a conversation are said by the user, since the API has one ``system`` for all of it.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Any

import msgspec

from turnfold.core.conversation import Conversation
from turnfold.formats import loss
from turnfold.formats.claude_code.messages import CALL_BLOCKS, RESULT_BLOCKS
from turnfold.formats.loss import LossReport
from turnfold.formats.writers.common import media_note, text_of_part
from turnfold.formats.writers.turns import (
    NO_RESULT,
    IdMap,
    Turn,
    arguments_object,
    is_media,
    json_array,
    model_entries,
    provider_of,
    response_parts,
    tool_name,
    turns_of,
)
from turnfold.model.parts import (
    AnyPart,
    BlobPart,
    FilePart,
    ReasoningPart,
    ServerToolCallPart,
    ServerToolResultPart,
    ToolCallPart,
    ToolResultPart,
    UriPart,
)

PROVIDER = "anthropic"
OPENING = "(The conversation begins with an answer.)"
"""Said by the user where a conversation begins with the assistant, which the API refuses."""
_IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
Block = dict[str, Any]
_encode = msgspec.json.Encoder().encode


class AnthropicWriter:
    """See ``formats.base.Writer``."""

    name = "anthropic"
    suffix = ".json"

    def write(self, conversation: Conversation, losses: LossReport) -> Iterator[bytes]:
        """Yield the object, one message per line."""
        writing = _Writing(conversation, losses)
        system = writing.system()
        yield b"{\n" + (b'"system": ' + _encode(system) + b",\n" if system else b"") + b'"messages": '
        yield from json_array(writing.messages())
        yield b"}\n"


class _Writing:
    def __init__(self, conversation: Conversation, losses: LossReport) -> None:
        self._info = conversation.info
        self._losses = losses
        entries = model_entries(conversation, losses)
        self._turns = turns_of(entries, IdMap(), losses)
        losses.add(loss.TIMES_AND_USAGE, count=len(entries))
        self._system = [conversation.system_prompt] if conversation.system_prompt else []
        while self._turns and self._turns[0].role in {"system", "developer"}:
            turn = self._turns.pop(0)
            self._system += [text for text in (text_of_part(part, losses, turn.seq) for part in turn.parts) if text]

    def system(self) -> str:
        return "\n\n".join(self._system)

    def messages(self) -> Iterator[dict[str, Any]]:
        """The messages, neighbours of one role put together."""
        role, blocks = "user", list[Block]()
        for said_by, more in self._said():
            if not more:
                continue
            if said_by != role:
                blocks = blocks or [_text(OPENING)]
                yield {"role": role, "content": blocks}
                role, blocks = said_by, []
            blocks = [*blocks, *more]
        if blocks:
            yield {"role": role, "content": blocks}

    def _said(self) -> Iterator[tuple[str, list[Block]]]:
        for turn in self._turns:
            if turn.message.name:
                self._losses.add(loss.NAMES, turn.seq)
            if turn.role == "assistant":
                yield "assistant", self._blocks([part for part in turn.parts if not is_media(part)], turn)
                yield "user", self._results(turn)
                shown = self._blocks([part for part in turn.parts if is_media(part)], turn)
                if shown:
                    self._losses.add(loss.MOVED_MEDIA, turn.seq, len(shown))
                yield "user", shown
            else:
                if turn.role != "user":
                    self._losses.add(loss.MOVED_INSTRUCTIONS, turn.seq)
                yield "user", self._blocks(turn.parts, turn)

    def _results(self, turn: Turn) -> list[Block]:
        out: list[Block] = []
        for call in turn.calls:
            found = turn.results.get(call.id)
            if found is not None:
                out.append(self._result(call.id, *found, turn))
            elif not turn.is_pending:
                out.append({"type": "tool_result", "tool_use_id": call.id, "content": NO_RESULT, "is_error": True})
        return out

    def _result(self, call_id: str, result: ToolResultPart, seq: int, turn: Turn) -> Block:
        if result.detail is not None:
            self._losses.add(loss.DETAILS, seq)
        content: Any = self._blocks(response_parts(result.response), turn)
        if len(content) == 1 and content[0]["type"] == "text":
            content = content[0]["text"]
        block: Block = {"type": "tool_result", "tool_use_id": call_id, "content": content or ""}
        return {**block, "is_error": True} if result.is_error else block

    def _blocks(self, parts: list[AnyPart], turn: Turn) -> list[Block]:
        return [block for block in (self._block(part, turn) for part in parts) if block is not None]

    def _block(self, part: AnyPart, turn: Turn) -> Block | None:
        if isinstance(part, ToolCallPart):
            name = tool_name(part, self._losses, turn.seq, 128)
            return {"type": "tool_use", "id": part.id, "name": name, "input": arguments_object(part, self._losses, turn.seq)}
        if isinstance(part, ReasoningPart):
            return self._thinking(part, turn)
        if isinstance(part, BlobPart | UriPart | FilePart):
            return self._media(part, turn)
        if isinstance(part, ServerToolCallPart | ServerToolResultPart) and provider_of(None, turn, self._info) == PROVIDER:
            native = _native(part)
            if native is not None:
                return native
        text = text_of_part(part, self._losses, turn.seq)
        return _text(text) if text and text.strip() else None  # the API refuses blank texts

    def _thinking(self, part: ReasoningPart, turn: Turn) -> Block | None:
        if provider_of(part, turn, self._info) != PROVIDER:
            self._losses.add(loss.FOREIGN_REASONING, turn.seq)
            return None
        if part.redacted and part.encrypted:
            return {"type": "redacted_thinking", "data": part.encrypted}
        if part.signature:
            return {"type": "thinking", "thinking": part.content, "signature": part.signature}
        self._losses.add(loss.UNSIGNED_REASONING, turn.seq)
        return None

    def _media(self, part: BlobPart | UriPart | FilePart, turn: Turn) -> Block | None:
        kind = "image" if part.modality == "image" else "document"
        if isinstance(part, FilePart):
            if provider_of(None, turn, self._info) in {None, PROVIDER}:
                return {"type": kind, "source": {"type": "file", "file_id": part.file_id}}
            return media_note(part, self._losses, turn.seq, loss.FILE_IDS)
        if part.modality in {"audio", "video"}:
            return media_note(part, self._losses, turn.seq)
        if isinstance(part, UriPart):
            return {"type": kind, "source": {"type": "url", "url": part.uri}}
        if not part.content:
            return None  # counted when its bytes were not found
        source = _source(part, kind)
        return media_note(part, self._losses, turn.seq) if source is None else {"type": kind, "source": source, **_title(part, kind)}


def _source(part: BlobPart, kind: str) -> dict[str, Any] | None:
    if part.mime_type in _IMAGES if kind == "image" else part.mime_type in {None, "application/pdf"}:
        return {"type": "base64", "media_type": part.mime_type or "application/pdf", "data": part.content}
    if kind == "document" and part.mime_type is not None and part.mime_type.startswith("text/"):
        try:
            return {"type": "text", "media_type": "text/plain", "data": base64.b64decode(part.content or "").decode()}
        except (binascii.Error, UnicodeDecodeError):
            return None
    return None


def _title(part: BlobPart, kind: str) -> dict[str, Any]:
    return {"title": part.filename} if kind == "document" and part.filename else {}


def _native(part: ServerToolCallPart | ServerToolResultPart) -> Block | None:
    """The block that a use of Anthropic's own tools was read from."""
    native = part.server_tool_call if isinstance(part, ServerToolCallPart) else part.server_tool_call_response
    if not isinstance(native, dict):
        return None
    if isinstance(part, ServerToolCallPart):
        return {**native, "id": part.id, "name": part.name} if native.get("type") in CALL_BLOCKS else None
    return {**native, "tool_use_id": part.id} if native.get("type") in RESULT_BLOCKS else None


def _text(text: str) -> Block:
    return {"type": "text", "text": text}
