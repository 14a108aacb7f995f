"""Content blocks of the Messages API → parts, as the plain JSON of the payload.

Payloads are built as JSON types, not as structs: they are encoded once at the commit and their strings are cut from the kept line, both of
which need the plain form. Every value is checked for the type that reading it back expects; a block that does not fit stays as it is
in an ``opaque`` part.
"""

from __future__ import annotations

from typing import Any

from turnfold.codec.residual import part_ref
from turnfold.limits import INLINE_PART_BYTES_MAX

Parts = list[dict[str, Any]]
OutOfLine = list[tuple[str, bytes]]

FINISH_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_call",
    "refusal": "content_filter",
    "compaction": "compaction",
}
"""Anthropic's stop reasons in the words of the OpenTelemetry conventions."""


def parts_of(content: Any, out: OutOfLine) -> Parts:
    """Return the parts of a message's content: text, or a list of blocks. Long media are put into ``out``."""
    if type(content) is str:
        return [{"type": "text", "content": content}]
    if type(content) is list:
        return [part_of(block, out) for block in content]
    return [] if content is None else [_opaque(content)]


def part_of(block: Any, out: OutOfLine) -> dict[str, Any]:
    """Return one block as a part."""
    if type(block) is not dict:
        return {"type": "text", "content": block} if type(block) is str else _opaque(block)
    kind = block.get("type")
    convert = _CONVERT.get(kind) if type(kind) is str else None
    part = None if convert is None else convert(block, out)
    return _opaque(block) if part is None else part


def restore(parts: Parts, mark: Any) -> None:
    """Give a call back what its block has no field for: our own writer puts it beside a block of its own line."""
    if type(mark) is not dict or len(parts) != 1 or parts[0]["type"] != "tool_call":
        return
    part, kind = parts[0], mark.get("input_kind")
    inner = part["arguments"].get("input") if type(part["arguments"]) is dict else None
    if kind == "text" and type(inner) is str:
        part["arguments"], part["input_kind"] = inner, "text"
    elif kind == "value" and inner is not None:
        part["arguments"] = inner
    elif kind == "raw" and type(inner) is str:
        part["arguments"], part["arguments_raw"] = None, inner
    for name in ("name", "arguments_raw", "namespace"):
        if type(mark.get(name)) is str:
            part[name] = mark[name]


def _opaque(native: Any) -> dict[str, Any]:
    return {"type": "opaque", "native": native}


def _text(block: dict[str, Any], _out: OutOfLine) -> dict[str, Any] | None:
    text = block.get("text")
    if type(text) is not str:
        return None
    citations = block.get("citations")
    if type(citations) is list and citations:
        return {"type": "text", "content": text, "citations": citations}
    return {"type": "text", "content": text}


def _thinking(block: dict[str, Any], _out: OutOfLine) -> dict[str, Any] | None:
    text, signature = block.get("thinking"), block.get("signature")
    if type(text) is not str:
        return None
    part: dict[str, Any] = {"type": "reasoning", "content": text}
    if type(signature) is str:
        part["signature"] = signature
    return part


def _redacted_thinking(block: dict[str, Any], _out: OutOfLine) -> dict[str, Any] | None:
    data = block.get("data")
    return {"type": "reasoning", "encrypted": data, "redacted": True} if type(data) is str else None


def _tool_use(block: dict[str, Any], _out: OutOfLine) -> dict[str, Any] | None:
    call_id, name = block.get("id", ""), block.get("name", "")
    if type(call_id) is not str or type(name) is not str:
        return None
    part = {"type": "tool_call", "id": call_id, "name": name, "arguments": block.get("input")}
    if "caller" in block:
        part["caller"] = block["caller"]
    return part


def _tool_result(block: dict[str, Any], out: OutOfLine) -> dict[str, Any] | None:
    call_id, content, is_error = block.get("tool_use_id", ""), block.get("content"), block.get("is_error")
    if type(call_id) is not str or (is_error is not None and type(is_error) is not bool):
        return None
    if type(content) is list:
        content = [part_of(item, out) for item in content]
    part = {"type": "tool_call_response", "id": call_id, "response": content}
    if is_error is not None:
        part["is_error"] = is_error
    return part


def _server_tool_use(block: dict[str, Any], _out: OutOfLine) -> dict[str, Any] | None:
    call_id, name = block.get("id", ""), block.get("name", "")
    if type(call_id) is not str or type(name) is not str:
        return None
    native = {key: value for key, value in block.items() if key not in {"id", "name"}}
    return {"type": "server_tool_call", "id": call_id, "name": name, "server_tool_call": native}


def _server_tool_result(block: dict[str, Any], _out: OutOfLine) -> dict[str, Any] | None:
    call_id = block.get("tool_use_id", "")
    if type(call_id) is not str:
        return None
    native = {key: value for key, value in block.items() if key != "tool_use_id"}
    return {"type": "server_tool_call_response", "id": call_id, "server_tool_call_response": native}


def _media(block: dict[str, Any], out: OutOfLine) -> dict[str, Any] | None:
    source = block.get("source")
    if type(source) is not dict:
        return None
    modality = "image" if block["type"] == "image" else "document"
    kind, mime_type, data = source.get("type"), source.get("media_type"), source.get("data")
    if mime_type is not None and type(mime_type) is not str:
        return None
    part: dict[str, Any]
    if kind == "base64" and type(data) is str:
        part = _blob(modality, mime_type, data, out)
    elif kind == "url" and type(source.get("url")) is str:
        part = {"type": "uri", "modality": modality, "uri": source["url"]}
    elif kind == "file" and type(source.get("file_id")) is str:
        part = {"type": "file", "modality": modality, "file_id": source["file_id"]}
    else:
        return None
    extra = {key: value for key, value in block.items() if key not in {"type", "source"} and value is not None}
    if extra:
        part["ext"] = extra
    return part


def _blob(modality: str, mime_type: str | None, data: str, out: OutOfLine) -> dict[str, Any]:
    part: dict[str, Any] = {"type": "blob", "modality": modality}
    if mime_type is not None:
        part["mime_type"] = mime_type
    if len(data) > INLINE_PART_BYTES_MAX:
        # The name and the bytes are those that the kept line's cut finds, so that the media are stored once.
        content = data.encode()
        part["blob_ref"] = part_ref(content)
        out.append((part["blob_ref"], content))
    else:
        part["content"] = data
    return part


_CONVERT = {
    "text": _text,
    "thinking": _thinking,
    "redacted_thinking": _redacted_thinking,
    "tool_use": _tool_use,
    "tool_result": _tool_result,
    "image": _media,
    "document": _media,
    "server_tool_use": _server_tool_use,
    "mcp_tool_use": _server_tool_use,
    "web_search_tool_result": _server_tool_result,
    "web_fetch_tool_result": _server_tool_result,
    "code_execution_tool_result": _server_tool_result,
    "bash_code_execution_tool_result": _server_tool_result,
    "text_editor_code_execution_tool_result": _server_tool_result,
    "mcp_tool_result": _server_tool_result,
}
CALL_BLOCKS = frozenset(kind for kind, make in _CONVERT.items() if make is _server_tool_use)
RESULT_BLOCKS = frozenset(kind for kind, make in _CONVERT.items() if make is _server_tool_result)
"""Blocks of the tools that Anthropic runs itself: their uses, and what they gave."""
