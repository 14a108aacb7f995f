"""Writes a conversation as messages of OpenAI's chat completions.

The API takes text alone in tools' answers and in what the assistant said, so media from there are shown by the user in the next message;
it has no place for reasoning, nor for an error mark: the text of an error begins with ``Error:``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from turnfold.core.conversation import Conversation
from turnfold.formats import loss
from turnfold.formats.loss import LossReport
from turnfold.formats.writers.common import failed_blocks, failed_text, media_note, text_of_part
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
from turnfold.model.parts import AnyPart, BlobPart, FilePart, ReasoningPart, ToolCallPart, ToolResultPart, UriPart

_name = re.compile(r"[^\s<|\\/>]{1,64}")
_SOUNDS = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}
PROVIDER = "openai"


class OpenAiWriter:
    """See ``formats.base.Writer``."""

    name = "openai"
    suffix = ".json"

    def write(self, conversation: Conversation, losses: LossReport) -> Iterator[bytes]:
        """Yield the list, one message per line."""
        yield from json_array(_Writing(conversation, losses).messages())


class _Writing:
    def __init__(self, conversation: Conversation, losses: LossReport) -> None:
        self._conversation = conversation
        self._losses = losses

    def messages(self) -> Iterator[dict[str, Any]]:
        entries = model_entries(self._conversation, self._losses)
        turns = turns_of(entries, IdMap(), self._losses)
        self._losses.add(loss.TIMES_AND_USAGE, count=len(entries))
        if self._conversation.system_prompt:
            yield {"role": "system", "content": self._conversation.system_prompt}
        for turn in turns:
            if turn.role == "assistant":
                yield from self._answer(turn)
                continue
            content = self._content(turn.parts, turn)
            if content:
                yield {"role": turn.role, "content": content, **self._speaker(turn)}

    def _speaker(self, turn: Turn) -> dict[str, str]:
        name = turn.message.name
        if not name:
            return {}
        if _name.fullmatch(name):
            return {"name": name}
        self._losses.add(loss.NAMES, turn.seq)
        return {}

    def _answer(self, turn: Turn) -> Iterator[dict[str, Any]]:
        media = [part for part in turn.parts if is_media(part)]
        said = [part for part in turn.parts if not is_media(part)]
        content = self._content([part for part in said if type(part) is not ToolCallPart], turn)
        calls = [self._call(call, turn) for call in turn.calls]
        if content or calls:
            message: dict[str, Any] = {"role": "assistant", "content": content or None, **self._speaker(turn)}
            yield {**message, "tool_calls": calls} if calls else message
        for call in turn.calls:
            found = turn.results.get(call.id)
            if found is None:
                if not turn.is_pending:
                    yield {"role": "tool", "tool_call_id": call.id, "content": NO_RESULT}
                continue
            parts = response_parts(found[0].response)
            media += [part for part in parts if is_media(part)]
            text = self._content([part for part in parts if not is_media(part)], turn)
            yield {"role": "tool", "tool_call_id": call.id, "content": self._answered(text, found[0], found[1])}
        if media:
            self._losses.add(loss.MOVED_MEDIA, turn.seq, len(media))
            shown = self._content(media, turn)
            if shown:
                yield {"role": "user", "content": shown}

    def _answered(self, content: str | list[Any], result: ToolResultPart, seq: int) -> str | list[Any]:
        if result.detail is not None:
            self._losses.add(loss.DETAILS, seq)
        if not result.is_error:
            return content
        self._losses.add(loss.ERROR_MARKS, seq)
        if isinstance(content, str):
            return failed_text(content)
        return failed_blocks(content, "text")

    def _call(self, call: ToolCallPart, turn: Turn) -> dict[str, Any]:
        name = tool_name(call, self._losses, turn.seq)
        if call.input_kind == "text" and isinstance(call.arguments, str):
            return {"id": call.id, "type": "custom", "custom": {"name": name, "input": call.arguments}}
        return {"id": call.id, "type": "function", "function": {"name": name, "arguments": arguments_text(call)}}

    def _content(self, parts: list[AnyPart], turn: Turn) -> str | list[Any]:
        blocks = [block for block in (self._block(part, turn) for part in parts) if block is not None]
        if len(blocks) == 1 and blocks[0]["type"] == "text":
            return str(blocks[0]["text"])
        return blocks or ""

    def _block(self, part: AnyPart, turn: Turn) -> dict[str, Any] | None:
        if part.type == "refusal":
            if turn.role == "assistant":
                return {"type": "refusal", "refusal": part["content"]}
            return {"type": "text", "text": part["content"]}
        if isinstance(part, ReasoningPart):
            self._losses.add(loss.REASONING, turn.seq)
            return None
        if isinstance(part, BlobPart | UriPart | FilePart):
            return self._media(part, turn)
        text = text_of_part(part, self._losses, turn.seq)
        return {"type": "text", "text": text} if text else None

    def _media(self, part: BlobPart | UriPart | FilePart, turn: Turn) -> dict[str, Any] | None:
        if isinstance(part, FilePart):
            if part.modality != "audio" and provider_of(None, turn, self._conversation.info) in {None, PROVIDER}:
                return {"type": "file", "file": {"file_id": part.file_id}}
            return media_note(part, self._losses, turn.seq, loss.FILE_IDS)
        if isinstance(part, BlobPart) and not part.content:
            return None  # counted when its bytes were not found
        if part.modality == "image":
            url: dict[str, Any] = {"url": part.uri if isinstance(part, UriPart) else data_url(part)}
            return {"type": "image_url", "image_url": {**url, "detail": part.ext["detail"]} if "detail" in part.ext else url}
        if isinstance(part, UriPart):
            return media_note(part, self._losses, turn.seq)
        sound = _SOUNDS.get(part.mime_type or "") if part.modality == "audio" else None
        if sound is not None:
            return {"type": "input_audio", "input_audio": {"data": part.content, "format": sound}}
        return {"type": "file", "file": {"filename": part.filename or "file", "file_data": data_url(part)}}
