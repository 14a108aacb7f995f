"""Writes a conversation as input items of OpenAI's Responses API, one item per message part where the API has an item for it.

Reasoning goes back only where it is OpenAI's and encrypted: the API needs it before the call that it led to, and refuses any other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from turnfold.core.conversation import Conversation
from turnfold.formats import loss
from turnfold.formats.loss import LossReport
from turnfold.formats.responses import ITEM_TYPES
from turnfold.formats.writers.common import failed_blocks, media_note, text_of_part
from turnfold.formats.writers.turns import (
    NO_RESULT,
    IdMap,
    Turn,
    arguments_text,
    data_url,
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
    CompactionPart,
    FilePart,
    ReasoningPart,
    ServerToolCallPart,
    ToolCallPart,
    ToolResultPart,
    UriPart,
)

PROVIDER = "openai"
Item = dict[str, Any]


class ResponsesWriter:
    """See ``formats.base.Writer``."""

    name = "openai-responses"
    suffix = ".json"

    def write(self, conversation: Conversation, losses: LossReport) -> Iterator[bytes]:
        """Yield the list, one item per line."""
        yield from json_array(_Writing(conversation, losses).items())


class _Writing:
    def __init__(self, conversation: Conversation, losses: LossReport) -> None:
        self._conversation = conversation
        self._losses = losses

    def items(self) -> Iterator[Item]:
        entries = model_entries(self._conversation, self._losses)
        turns = turns_of(entries, IdMap(), self._losses)
        self._losses.add(loss.TIMES_AND_USAGE, count=len(entries))
        if self._conversation.system_prompt:
            yield _message("developer", [{"type": "input_text", "text": self._conversation.system_prompt}])
        for turn in turns:
            if turn.message.name:
                self._losses.add(loss.NAMES, turn.seq)
            if turn.role == "assistant":
                yield from self._answer(turn)
                continue
            content = self._contents(turn.parts, turn)
            if content:
                yield _message(turn.role, content)

    def _answer(self, turn: Turn) -> Iterator[Item]:
        media: list[AnyPart] = []
        for part in turn.parts:
            if is_media(part):
                media.append(part)
            else:
                item = self._item(part, turn)
                if item is not None:
                    yield item
        for call in turn.calls:
            found = turn.results.get(call.id)
            if found is not None:
                yield self._output(call, *found, turn)
            elif not turn.is_pending:
                yield {"type": _output_type(call), "call_id": call.id, "output": NO_RESULT}
        shown = self._contents(media, turn)
        if shown:
            self._losses.add(loss.MOVED_MEDIA, turn.seq, len(shown))
            yield _message("user", shown)

    def _item(self, part: AnyPart, turn: Turn) -> Item | None:
        if isinstance(part, ToolCallPart):
            return self._call(part, turn)
        if isinstance(part, ReasoningPart):
            return self._reasoning(part, turn)
        is_own = provider_of(None, turn, self._conversation.info) == PROVIDER
        if isinstance(part, ServerToolCallPart) and is_own and isinstance(part.server_tool_call, dict):
            kind = f"{part.server_tool_call.get('type')}_call"
            if kind in ITEM_TYPES and kind != "image_generation_call":
                return {**part.server_tool_call, "type": kind, **({"id": part.id} if part.id else {})}
        if isinstance(part, CompactionPart) and part.encrypted and is_own:
            return {"type": "compaction", "encrypted_content": part.encrypted, **({"id": part.id} if part.id else {})}
        text = text_of_part(part, self._losses, turn.seq)
        return None if text is None else _message("assistant", text)

    def _reasoning(self, part: ReasoningPart, turn: Turn) -> Item | None:
        if provider_of(part, turn, self._conversation.info) != PROVIDER:
            self._losses.add(loss.FOREIGN_REASONING, turn.seq)
            return None
        if not part.encrypted:
            self._losses.add(loss.UNSIGNED_REASONING, turn.seq)
            return None
        summary = [{"type": "summary_text", "text": text} for text in part.summary or ()]
        item: Item = {"type": "reasoning", "summary": summary, "encrypted_content": part.encrypted}
        if part.id:
            item["id"] = part.id
        if part.content:
            item["content"] = [{"type": "reasoning_text", "text": part.content}]
        return item

    def _call(self, call: ToolCallPart, turn: Turn) -> Item:
        name = tool_name(call, self._losses, turn.seq, 128)
        space = {"namespace": call.namespace} if call.namespace else {}
        if _is_custom(call):
            return {"type": "custom_tool_call", "call_id": call.id, "name": name, "input": call.arguments, **space}
        return {"type": "function_call", "call_id": call.id, "name": name, "arguments": arguments_text(call), **space}

    def _output(self, call: ToolCallPart, result: ToolResultPart, seq: int, turn: Turn) -> Item:
        if result.detail is not None:
            self._losses.add(loss.DETAILS, seq)
        blocks = self._contents(response_parts(result.response), turn)
        if result.is_error:
            self._losses.add(loss.ERROR_MARKS, seq)
            blocks = failed_blocks(blocks, "input_text")
        is_text = len(blocks) == 1 and blocks[0]["type"] == "input_text"
        return {"type": _output_type(call), "call_id": call.id, "output": blocks[0]["text"] if is_text else blocks or ""}

    def _contents(self, parts: list[AnyPart], turn: Turn) -> list[Item]:
        return [block for block in (self._content(part, turn) for part in parts) if block is not None]

    def _content(self, part: AnyPart, turn: Turn) -> Item | None:
        if isinstance(part, BlobPart | UriPart | FilePart):
            return self._media(part, turn)
        if isinstance(part, ReasoningPart):
            self._losses.add(loss.REASONING, turn.seq)
            return None
        text = text_of_part(part, self._losses, turn.seq)
        return None if text is None else {"type": "input_text", "text": text}

    def _media(self, part: BlobPart | UriPart | FilePart, turn: Turn) -> Item | None:
        kind = "input_image" if part.modality == "image" else "input_file"
        detail = {"detail": part.ext.get("detail", "auto")} if kind == "input_image" else {}
        if isinstance(part, FilePart):
            if provider_of(None, turn, self._conversation.info) in {None, PROVIDER}:
                return {"type": kind, "file_id": part.file_id, **detail}
            return _as_input(media_note(part, self._losses, turn.seq, loss.FILE_IDS))
        if isinstance(part, BlobPart) and not part.content:
            return None  # counted when its bytes were not found
        if part.modality in {"audio", "video"}:
            return _as_input(media_note(part, self._losses, turn.seq))
        if kind == "input_image":
            return {"type": kind, "image_url": part.uri if isinstance(part, UriPart) else data_url(part), **detail}
        if isinstance(part, UriPart):
            return {"type": kind, "file_url": part.uri}
        return {"type": kind, "filename": part.filename or "file", "file_data": data_url(part)}


def _message(role: str, content: str | list[Item]) -> Item:
    return {"type": "message", "role": role, "content": content}


def _as_input(block: Item) -> Item:
    return {**block, "type": "input_text"}


def _is_custom(call: ToolCallPart) -> bool:
    return call.input_kind == "text" and isinstance(call.arguments, str)


def _output_type(call: ToolCallPart) -> str:
    return "custom_tool_call_output" if _is_custom(call) else "function_call_output"
