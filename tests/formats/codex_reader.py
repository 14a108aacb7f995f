"""Reads Codex rollouts line by line without a store, and builds small ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from turnfold.codec.residual import join
from turnfold.core.fold import payload_of
from turnfold.core.transcript import messages_of
from turnfold.engine.prepare import prepare
from turnfold.formats.base import Line, Projected, SourceInfo
from turnfold.formats.codex import CodexFormat
from turnfold.model.event import Event
from turnfold.model.message import Message
from turnfold.model.usage import NO_USAGE, Usage

CODEX = CodexFormat()


class Read:
    """A file read from its lines, as an importer would, without a store."""

    def __init__(self, data: bytes, state: dict[str, Any] | None = None, name: str = "rollout.jsonl") -> None:
        path = Path(name)
        lines = data.splitlines(keepends=True) if b"\r" not in data else data.split(b"\n")
        self.info: SourceInfo = CODEX.describe(path, lines)
        self.reader = CODEX.reader(path, self.info, state, lambda _uuid: None)
        self.projected: list[Projected] = []
        self.parts: dict[str, bytes] = {}
        offset = 0
        for number, line in enumerate(lines, 1):
            for item in self.reader.feed(Line(number, offset, line), len(self.projected) + 2):
                self.add(item)
            offset += len(line)

    def add(self, item: Projected) -> None:
        self.projected.append(item)
        self.parts.update(item.parts)

    @property
    def events(self) -> list[Event]:
        parts: list[tuple[str, bytes]] = []
        out = [prepare(msgspec.structs.replace(item.event, id=str(n)), None, parts) for n, item in enumerate(self.projected, 2)]
        return [msgspec.structs.replace(event, seq=seq) for seq, event in enumerate(out, 2)]

    @property
    def model_messages(self) -> list[Message]:
        """What the model sees."""
        return messages_of(event for event in self.events if event.visibility in {"model", "both"})

    def written(self) -> bytes:
        events = [event for event in self.events if event.source is not None]
        return b"".join(join(event.source or b"", event.data, self.parts.__getitem__) for event in events)

    def usage(self) -> Usage:
        total = NO_USAGE
        for item in self.projected:
            total += item.event.usage
        return total


def line(kind: str, payload: dict[str, Any], **more: Any) -> bytes:
    fields = {"timestamp": "2026-03-01T10:00:00.000Z", **more, "type": kind, "payload": payload}
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def item(payload: dict[str, Any], **more: Any) -> bytes:
    return line("response_item", payload, **more)


def message(role: str, *texts: str, **more: Any) -> bytes:
    kind = "output_text" if role == "assistant" else "input_text"
    return item({"type": "message", "role": role, "content": [{"type": kind, "text": text} for text in texts], **more})


def one(data: bytes) -> Event:
    (event,) = Read(data).events
    return event


def part_of(data: bytes) -> Any:
    payload = payload_of(one(data))
    assert isinstance(payload, Message)
    (part,) = payload.parts
    return part
