"""What a program sent to its model: texts, tool calls and results by id, images; of both APIs alike."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

JSON = dict[str, Any]


@dataclass
class Sent:
    """The content of one request.

    Attributes:
        texts: Role and text, in order; the system prompt is left out.
        calls: Call id → name and arguments (free text stays text).
        results: Call id → the result's text.
        images: Base64 content of every image, those inside results too.
        reasoning_count: Blocks of reasoning.
    """

    texts: list[tuple[str, str]] = field(default_factory=list)
    calls: dict[str, tuple[str, Any]] = field(default_factory=dict)
    results: dict[str, str] = field(default_factory=dict)
    images: list[str] = field(default_factory=list)
    reasoning_count: int = 0

    @property
    def text(self) -> str:
        """All texts, joined."""
        return "\n".join(text for _, text in self.texts)

    def unpaired(self) -> set[str]:
        """Ids of calls without a result and of results without a call."""
        return self.calls.keys() ^ self.results.keys()


def sent_of(body: JSON) -> Sent:
    """Read a Messages or a Responses request."""
    sent = Sent()
    if "messages" in body:
        for message in _objects(body["messages"]):
            _read_content(message.get("content"), str(message.get("role")), sent)
    else:
        items = body.get("input")
        for item in _objects([{"type": "message", "role": "user", "content": items}] if isinstance(items, str) else items):
            _read_item(item, sent)
    return sent


def _objects(value: Any) -> Iterator[JSON]:
    return (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())


def _read_content(content: Any, role: str, sent: Sent) -> None:
    if isinstance(content, str):
        sent.texts.append((role, content))
        return
    for block in _objects(content):
        kind = block.get("type")
        if kind in {"text", "input_text", "output_text"}:
            sent.texts.append((role, str(block.get("text"))))
        elif kind == "tool_use":
            sent.calls[str(block.get("id"))] = (str(block.get("name")), block.get("input"))
        elif kind == "tool_result":
            sent.results[str(block.get("tool_use_id"))] = _result(block.get("content"), sent)
        elif kind in {"thinking", "redacted_thinking"}:
            sent.reasoning_count += 1
        else:
            _read_image(block, sent)


def _read_item(item: JSON, sent: Sent) -> None:
    kind = item.get("type", "message")
    call_id = str(item.get("call_id"))
    if kind == "message":
        _read_content(item.get("content"), str(item.get("role")), sent)
    elif kind == "function_call":
        sent.calls[call_id] = (str(item.get("name")), _arguments(item.get("arguments")))
    elif kind == "custom_tool_call":
        sent.calls[call_id] = (str(item.get("name")), item.get("input"))
    elif kind == "local_shell_call":
        sent.calls[call_id] = ("local_shell", item.get("action"))
    elif kind == "tool_search_call":
        sent.calls[call_id] = ("tool_search", item.get("arguments"))
    elif kind == "tool_search_output":
        sent.results[call_id] = json.dumps(item.get("tools"))
    elif isinstance(kind, str) and kind.endswith("_call_output") and "call_id" not in item:
        sent.texts.append(("developer", _result(item.get("output"), sent)))  # Codex tells its model something in the form of an output
    elif isinstance(kind, str) and kind.endswith("_call_output"):
        sent.results[call_id] = _result(item.get("output"), sent)
    elif kind == "reasoning":
        sent.reasoning_count += 1


def _arguments(text: Any) -> Any:
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        return text


def _result(content: Any, sent: Sent) -> str:
    if isinstance(content, str):
        return content
    texts: list[str] = []
    for block in _objects(content):
        if isinstance(block.get("text"), str):
            texts.append(block["text"])
        else:
            _read_image(block, sent)
    return "\n".join(texts)


def _read_image(block: JSON, sent: Sent) -> None:
    source = block.get("source")
    url = block.get("image_url")
    if block.get("type") == "image" and isinstance(source, dict) and isinstance(source.get("data"), str):
        sent.images.append(source["data"])
    elif block.get("type") == "input_image" and isinstance(url, str):
        sent.images.append(url.partition(";base64,")[2] or url)
