"""Writes conversations, reads them back, and takes stock of what is in them."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from tests.formats.list_driver import ReadList
from turnfold.core.conversation import Conversation, ConversationEntry
from turnfold.formats.documents import line_of
from turnfold.formats.loss import LossReport
from turnfold.formats.registry import formats
from turnfold.formats.writers.turns import NO_RESULT, response_parts
from turnfold.model.message import Message
from turnfold.model.parts import BlobPart, TextPart, ToolCallPart, ToolResultPart
from turnfold.model.session import SessionInfo

TO_READ_BACK = ["openai", "openai-responses", "anthropic", "langchain"]
_orphan_note = re.compile(r"\[Result of tool call .*\]", re.DOTALL)


def conversation(messages: Sequence[Message], *, native: str | None = None, **fields: Any) -> Conversation:
    """A session of these messages, one a second."""
    entries = [
        ConversationEntry(seq=seq, last_seq=seq, at_us=seq * 1_000_000, type="message", message=message)
        for seq, message in enumerate(messages, 1)
    ]
    info = SessionInfo(id="s1", agent="tester", native=None if native is None else {"format": native, "id": "s1"})
    return Conversation(info=info, branch="main", **{"entries": entries, **fields})


def write(name: str, said: Conversation) -> tuple[Any, LossReport]:
    """Write a conversation; the JSON value and what was lost."""
    losses = LossReport()
    data = b"".join(formats().writer(name).write(said, losses))
    return json.loads(data), losses


def write_messages(name: str, messages: Sequence[Message], **more: Any) -> tuple[Any, LossReport]:
    return write(name, conversation(messages, **more))


def read_back(name: str, value: Any) -> list[Message]:
    """Read what a writer wrote."""
    items = value["messages"] if isinstance(value, dict) else value
    read = ReadList(name, [line_of(item) for item in items])
    assert read.problems == []
    return [msgspec.structs.replace(message, parts=[_inline_part(part, read.parts) for part in message.parts]) for message in read.messages]


def _inline(block: Any, parts: dict[str, bytes]) -> Any:
    return {**block, "content": parts[block["blob_ref"]].decode()} if isinstance(block, dict) and "blob_ref" in block else block


def _inline_part(part: Any, parts: dict[str, bytes]) -> Any:
    if isinstance(part, BlobPart) and part.blob_ref is not None:
        return msgspec.structs.replace(part, content=parts[part.blob_ref].decode())
    if isinstance(part, ToolResultPart) and isinstance(part.response, list):
        return msgspec.structs.replace(part, response=[_inline(block, parts) for block in part.response])
    return part


class Stock:
    """What is in messages: texts, images, calls with their answers; each with how often."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self.texts: Counter[str] = Counter()
        self.images: Counter[str] = Counter()
        self.calls: Counter[tuple[str, str]] = Counter()
        self.pairs: Counter[tuple[str, str, str]] = Counter()
        waiting: dict[str, list[ToolCallPart]] = {}
        for message in messages:
            for part in message.parts:
                if isinstance(part, ToolCallPart):
                    self.calls[called(part)] += 1
                    waiting.setdefault(part.id, []).append(part)
            for part in message.parts:
                if isinstance(part, ToolResultPart):
                    self._result(part, waiting.get(part.id))
                elif isinstance(part, BlobPart) and part.content:
                    self.images[part.content] += 1
                elif isinstance(part, TextPart) and part.content.strip() and not _orphan_note.fullmatch(part.content):
                    self.texts[part.content] += 1

    def _result(self, result: ToolResultPart, calls: list[ToolCallPart] | None) -> None:
        if result.response == NO_RESULT:
            return
        parts = response_parts(result.response)
        self.images.update(part.content for part in parts if isinstance(part, BlobPart) and part.content)
        texts = [part.content for part in parts if isinstance(part, TextPart) and part.content.strip()]
        if calls:
            self.pairs[(*called(calls.pop(0)), "\n".join(texts).removeprefix("Error: "))] += 1
        else:
            self.texts.update(texts)


def called(call: ToolCallPart) -> tuple[str, str]:
    """A call's name and arguments, as every API can say them."""
    value = call.arguments
    if value is None and call.arguments_raw is not None:
        try:
            value = msgspec.json.decode(call.arguments_raw)
        except msgspec.DecodeError:
            value = call.arguments_raw
    if not isinstance(value, dict):
        value = {} if value is None else {"input": value}
    return re.sub(r"[^a-zA-Z0-9_-]", "_", call.name)[:64] or "unnamed", json.dumps(value, sort_keys=True)
