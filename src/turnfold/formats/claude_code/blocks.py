"""Parts → content blocks of the Messages API: the way back of ``messages``. Nothing here knows lines, files or time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from turnfold.formats import loss
from turnfold.formats.carrying.calls import api_name
from turnfold.formats.carrying.media import describe, image_type, is_public, lose, response_text, result_of, searched, text_in
from turnfold.formats.carrying.options import WriteOptions
from turnfold.formats.loss import LossReport
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

PROVIDER = "anthropic"
Block = dict[str, Any]


class Blocks:
    """Says parts as blocks."""

    def __init__(self, losses: LossReport, options: WriteOptions, *, native: bool) -> None:
        """Begin a file; ``native``: the conversation's blocks came from this tool, and may go back as they were."""
        self._losses = losses
        self._options = options
        self._native = native

    def of(self, part: AnyPart, message: Message, seq: int) -> Block | None:
        """Return a part of a message (but for calls and results) as a block; None where there is nothing to write."""
        if type(part) is TextPart or type(part) is RefusalPart:
            return _text(part.content)
        if type(part) is BlobPart or type(part) is UriPart or type(part) is FilePart:
            return self._media(part, seq)
        if type(part) is ReasoningPart:
            return self._reasoning(part, message, seq)
        if type(part) is CompactionPart:
            if not part.content:
                self._losses.add(loss.SEALED_SUMMARIES, seq)
            return _text(part.content or "")
        if type(part) is ServerToolCallPart or type(part) is ServerToolResultPart:
            return self._server(part, message, seq)
        if type(part) is OpaquePart and self._native and isinstance(part.native, dict) and isinstance(part.native.get("type"), str):
            return part.native
        self._losses.add(loss.NATIVE_PARTS, seq)
        return None

    def call(self, part: ToolCallPart, native_id: str) -> tuple[Block, dict[str, Any]]:
        """Return a call as a block, and what the block has no field for."""
        block: Block = {"type": "tool_use", "id": native_id, "name": api_name(part.name)}
        beside: dict[str, Any] = {} if block["name"] == part.name else {"name": part.name}
        if part.namespace:
            beside["namespace"] = part.namespace
        if isinstance(part.arguments, dict) and part.input_kind != "text":
            block["input"] = part.arguments
            if part.arguments_raw is not None:
                beside["arguments_raw"] = part.arguments_raw
        elif part.input_kind == "text":
            block["input"], beside["input_kind"] = {"input": part.arguments}, "text"
        elif part.arguments is None and part.arguments_raw is not None:
            block["input"], beside["input_kind"] = {"input": part.arguments_raw}, "raw"
        elif part.arguments is not None:
            block["input"], beside["input_kind"] = {"input": part.arguments}, "value"
        else:
            block["input"] = {}
        return block, beside

    def result(self, part: ToolResultPart, native_id: str, seq: int) -> Block:
        """Return a result as a block."""
        content, is_error = result_of(part)
        block: Block = {"type": "tool_result", "tool_use_id": native_id}
        if isinstance(content, str):
            block["content"] = content
        else:
            block["content"] = [item for one in content if (item := self._inside(one, seq)) is not None] or ""
        return block if is_error is None else {**block, "is_error": is_error}

    def _inside(self, part: AnyPart, seq: int) -> Block | None:
        """A block of a result's content."""
        if type(part) is not OpaquePart:
            return self.of(part, Message("tool"), seq)
        if self._native and isinstance(part.native, dict):
            return part.native
        self._losses.add(loss.NATIVE_PARTS, seq)
        return _text(response_text(part.native))

    def _media(self, part: BlobPart | UriPart | FilePart, seq: int) -> Block | None:
        extra = {key: value for key, value in part.ext.items() if key in _MEDIA_FIELDS} if self._native else {}
        kind = "image" if part.modality == "image" else "document"
        if type(part) is BlobPart and part.content:
            mime_type = image_type(part)
            if mime_type is not None:
                return {"type": "image", "source": _base64(mime_type, part.content), **extra}
            if part.mime_type == "application/pdf":
                return {"type": "document", "source": _base64(part.mime_type, part.content), **extra}
            inside = text_in(part)
            if inside is not None:
                return _text(inside)
        elif type(part) is UriPart and part.modality in {"image", "document"} and is_public(part):
            return {"type": kind, "source": {"type": "url", "url": part.uri}, **extra}
        elif type(part) is FilePart and self._native:
            return {"type": kind, "source": {"type": "file", "file_id": part.file_id}, **extra}
        lose(self._losses, part, seq)
        return _text(describe(part))

    def _reasoning(self, part: ReasoningPart, message: Message, seq: int) -> Block | None:
        if (part.provider or message.provider) == PROVIDER:
            if part.redacted and part.encrypted:
                return {"type": "redacted_thinking", "data": part.encrypted}
            if part.signature:
                return {"type": "thinking", "thinking": part.content, "signature": part.signature}
        said = "\n\n".join([*(part.summary or ()), *([part.content] if part.content else [])])
        if self._options.reasoning == "note" and said:
            return _text(f"<prior_reasoning>\n{said}\n</prior_reasoning>")
        self._losses.add(loss.FOREIGN_REASONING, seq)
        return None

    def _server(self, part: ServerToolCallPart | ServerToolResultPart, message: Message, seq: int) -> Block | None:
        """A provider's own tool: as it was where it is this provider's, else what can be said of it."""
        call = type(part) is ServerToolCallPart
        native = part.server_tool_call if type(part) is ServerToolCallPart else part.get("server_tool_call_response")
        if self._native and message.provider == PROVIDER and isinstance(native, dict) and "type" in native:
            ids = {"id": part.id, "name": part.get("name")} if call else {"tool_use_id": part.id}
            return {"type": native["type"], **ids, **native}
        self._losses.add(loss.SERVER_TOOLS, seq)
        return _text(f"[{part.get('name') or 'result'}: {searched(native) or response_text(native)}]")


_MEDIA_FIELDS = frozenset({"title", "context", "citations"})


def say(message: Message) -> str:
    """A message as text, for where only text can stand."""
    said: list[str] = []
    for part in message.parts:
        if type(part) is ToolCallPart:
            said.append(f"[called {part.name}: {part.arguments_raw or response_text(part.arguments)}]")
        elif type(part) is ToolResultPart:
            content, _ = result_of(part)
            said.append(f"[result: {content if isinstance(content, str) else _texts(content)}]")
    return "\n".join(said)


def _texts(parts: Sequence[AnyPart]) -> str:
    return "\n".join(part.content for part in parts if type(part) is TextPart)


def _text(text: str) -> Block | None:
    """A text block; the API refuses empty ones."""
    return {"type": "text", "text": text} if text else None


def _base64(mime_type: str, data: str) -> Block:
    return {"type": "base64", "media_type": mime_type, "data": data}
