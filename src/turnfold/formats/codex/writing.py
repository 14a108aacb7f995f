"""Messages → Responses API items: the way back of ``items``. Nothing here knows lines, files or time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from turnfold.formats import loss
from turnfold.formats.carrying.calls import UNKNOWN_TOOL, CallIds, api_name
from turnfold.formats.carrying.media import ERROR_MARK, describe, image_type, is_public, lose, response_text, result_of, text_in
from turnfold.formats.carrying.options import WriteOptions
from turnfold.formats.documents import line_of
from turnfold.formats.loss import LossReport
from turnfold.model.message import Message
from turnfold.model.parts import (
    AnyPart,
    BlobPart,
    CompactionPart,
    FilePart,
    ReasoningPart,
    RefusalPart,
    ServerToolCallPart,
    ServerToolResultPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    UriPart,
)

CALL_ID_CHARS_MAX = 64
PROVIDER = "openai"
Item = dict[str, Any]


class Items:
    """Says messages as items, one call id map for all of them."""

    def __init__(self, losses: LossReport, options: WriteOptions) -> None:
        """Begin a file."""
        self._losses = losses
        self._options = options
        self._ids = CallIds(CALL_ID_CHARS_MAX)
        self._free_text: set[str] = set()
        self.open_calls: dict[str, None] = {}
        """Calls that have no result so far."""
        self.names: dict[str, str] = {}
        """Names of calls that are others in the file."""

    def of(self, message: Message, seq: int) -> Iterator[Item]:
        """Yield the items of a message; ``seq`` is where losses are."""
        role = "assistant" if message.role == "assistant" else "developer" if message.role in {"system", "developer"} else "user"
        content: list[Item] = []
        for part in message.parts:
            block = self._block(part, role, seq)
            if block is None:
                if content:
                    yield _message(role, content, message)
                    content = []
                yield from self._items(part, message, seq)
            elif block.get("type") == "input_image" and role == "assistant":  # an assistant's message holds text alone
                if content:
                    yield _message(role, content, message)
                    content = []
                yield _message("user", [block], None)
            elif block:
                content.append(block)
        if content:
            yield _message(role, content, message)

    # ---- content -----------------------------------------------------------------------------------------------------------------------

    def _block(self, part: AnyPart, role: str, seq: int) -> Item | None:
        """Return the part as content of a message, {} where nothing is to be written, None where it is an item of its own."""
        text = "output_text" if role == "assistant" else "input_text"
        if type(part) is TextPart or type(part) is RefusalPart:
            return {"type": text, "text": part.content} if part.content else {}
        if type(part) is BlobPart or type(part) is UriPart or type(part) is FilePart:
            return self._media(part, text, seq)
        return None

    def _media(self, part: BlobPart | UriPart | FilePart, text: str, seq: int) -> Item:
        detail = part.ext.get("detail")
        extra = {"detail": detail} if isinstance(detail, str) else {}
        if type(part) is UriPart and part.modality == "image" and is_public(part):
            return {"type": "input_image", "image_url": part.uri, **extra}
        if type(part) is BlobPart and part.content:
            mime_type = image_type(part)
            if mime_type is not None:
                return {"type": "input_image", "image_url": f"data:{mime_type};base64,{part.content}", **extra}
            if part.modality == "audio":
                return {"type": "input_audio", "audio_url": f"data:{part.mime_type or 'audio/wav'};base64,{part.content}"}
            inside = text_in(part)
            if inside is not None:
                return {"type": text, "text": inside} if inside else {}
        lose(self._losses, part, seq)
        return {"type": text, "text": describe(part)}

    # ---- items -------------------------------------------------------------------------------------------------------------------------

    def _items(self, part: AnyPart, message: Message, seq: int) -> Iterator[Item]:
        if type(part) is ToolCallPart:
            yield self._call(part)
        elif type(part) is ToolResultPart:
            yield from self._result(part, seq)
        elif type(part) is ReasoningPart:
            yield from self._reasoning(part, message, seq)
        elif type(part) is ServerToolCallPart:
            yield self._server_call(part, message, seq)
        elif type(part) is CompactionPart and part.encrypted:
            yield {"type": "compaction", **({"id": part.id} if part.id else {}), "encrypted_content": part.encrypted}
        elif type(part) is CompactionPart and part.content:
            yield _message("user", [{"type": "input_text", "text": part.content}], None)
        elif type(part) is ServerToolResultPart:
            self._losses.add(loss.SERVER_TOOLS, seq)
            yield _text(response_text(part.server_tool_call_response))
        else:
            self._losses.add(loss.NATIVE_PARTS, seq)

    def _call(self, part: ToolCallPart) -> Item:
        call_id = self._ids.call(part.id)
        self.open_calls[call_id] = None
        also = {"namespace": part.namespace} if part.namespace else {}
        name = api_name(part.name)
        if name != part.name:
            self.names[call_id] = part.name
        if part.input_kind == "text":
            self._free_text.add(call_id)
            return {
                "type": "custom_tool_call",
                "status": "completed",
                "call_id": call_id,
                "name": part.name,
                **also,
                "input": _as_text(part),
            }
        arguments = part.arguments_raw if part.arguments_raw is not None else _as_text(part)
        return {"type": "function_call", "name": name, **also, "arguments": arguments, "call_id": call_id}

    def _result(self, part: ToolResultPart, seq: int) -> Iterator[Item]:
        call_id = self._ids.result(part.id)
        if call_id is None:
            call_id = self._ids.call(part.id)
            self._ids.result(part.id)
            self._losses.add(loss.ORPHAN_RESULTS, seq)
            yield {"type": "function_call", "name": UNKNOWN_TOOL, "arguments": "{}", "call_id": call_id}
        self.open_calls.pop(call_id, None)
        content, is_error = result_of(part)
        if part.detail is not None:
            self._losses.add(loss.DETAILS, seq)
        output: Any
        if isinstance(content, str):
            output = ERROR_MARK + content if is_error else content
        else:
            blocks = [block for item in content if (block := self._block(item, "user", seq) or self._opaque(item, seq))]
            if is_error:
                blocks = _marked(blocks)
            output = blocks or ""
        kind = "custom_tool_call_output" if call_id in self._free_text else "function_call_output"
        yield {"type": kind, "call_id": call_id, "output": output}

    def _opaque(self, part: AnyPart, seq: int) -> Item:
        """A block of another tool's result as JSON text."""
        native = part.get("native")
        if native is None:
            return {}
        self._losses.add(loss.NATIVE_PARTS, seq)
        return {"type": "input_text", "text": response_text(native)}

    def _reasoning(self, part: ReasoningPart, message: Message, seq: int) -> Iterator[Item]:
        provider = part.provider or message.provider
        if provider == PROVIDER and (part.encrypted or not part.signature):
            yield {
                "type": "reasoning",
                **({"id": part.id} if part.id else {}),
                "summary": [{"type": "summary_text", "text": text} for text in part.summary or ()],
                **({"content": [{"type": "reasoning_text", "text": part.content}]} if part.content else {}),
                "encrypted_content": part.encrypted,
            }
            return
        said = "\n\n".join([*(part.summary or ()), *([part.content] if part.content else [])])
        if self._options.reasoning == "note" and said:
            yield _text(f"<prior_reasoning>\n{said}\n</prior_reasoning>")
        else:
            self._losses.add(loss.FOREIGN_REASONING, seq)

    def _server_call(self, part: ServerToolCallPart, message: Message, seq: int) -> Item:
        native = part.server_tool_call if isinstance(part.server_tool_call, dict) else {}
        if part.name == "web_search":
            action = native.get("action")
            if not isinstance(action, dict):
                asked = native.get("input")
                action = {"type": "search", "query": asked.get("query") if isinstance(asked, dict) else None}
            return {"type": "web_search_call", **({"id": part.id} if part.id else {}), "status": "completed", "action": action}
        self._losses.add(loss.SERVER_TOOLS, seq)
        return _text(f"[{part.name}: {response_text(part.server_tool_call)}]")


def _as_text(part: ToolCallPart) -> str:
    """A call's arguments as the text that the item holds."""
    if part.input_kind == "text" and isinstance(part.arguments, str):
        return part.arguments
    return "{}" if part.arguments is None else line_of(part.arguments).decode()


def _message(role: str, content: list[Item], message: Message | None) -> Item:
    phase = None if message is None or role != "assistant" else message.phase
    return {"type": "message", "role": role, "content": content, **({"phase": phase} if phase else {})}


def _text(text: str) -> Item:
    return _message("assistant", [{"type": "output_text", "text": text}], None)


def _marked(blocks: list[Item]) -> list[Item]:
    if blocks and blocks[0]["type"] == "input_text":
        return [{**blocks[0], "text": ERROR_MARK + blocks[0]["text"]}, *blocks[1:]]
    return [{"type": "input_text", "text": ERROR_MARK}, *blocks]
