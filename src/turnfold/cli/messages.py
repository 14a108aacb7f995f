"""How a conversation looks: a heading per message, its text, and tool calls and results cut to what one reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from turnfold.cli.out import Out
from turnfold.cli.safe import safe
from turnfold.cli.words import short_number, size
from turnfold.model.message import Message
from turnfold.model.parts import AnyPart

ROLE_STYLES: Final = {
    "user": "bold cyan",
    "assistant": "bold green",
    "tool": "bold yellow",
    "system": "bold magenta",
    "developer": "bold magenta",
}
TOOL_LINES: Final = 12
"""Lines of a tool call or result that are shown unless all is asked for."""
TOOL_CHARS: Final = 2_000
MEDIA: Final = frozenset({"blob", "uri", "file"})


def print_message(out: Out, message: Message, *, full: bool = False) -> None:
    """Print a message under a heading with its place, role and model."""
    label = " ".join(str(part) for part in (message.name, message.model) if part)
    tokens = f"  {short_number(message.usage.total_tokens)} tokens" if message.usage and message.usage.total_tokens else ""
    out.line(f"#{message.seq} {message.role}{'  ' + label if label else ''}{tokens}", ROLE_STYLES.get(message.role, "bold"))
    for style, text in render(message.parts, full=full):
        out.line(text, style)
    out.line()


def render(parts: Sequence[AnyPart], *, full: bool = False) -> Iterator[tuple[str, str]]:
    """Yield (style, text) for each part, in order."""
    for part in parts:
        kind = str(part["type"])
        if kind == "text":
            yield "", str(part.get("content") or "")
        elif kind == "reasoning":
            yield "dim italic", _indented(_reasoning(part), full=full)
        elif kind in {"tool_call", "server_tool_call"}:
            yield "yellow", f"→ {part.get('name') or 'tool'}  {part.get('id') or ''}"
            yield "", _indented(_arguments(part), full=full)
        elif kind in {"tool_call_response", "server_tool_call_response"}:
            yield ("red" if part.get("is_error") else "yellow"), f"← {'error ' if part.get('is_error') else ''}{part.get('id') or ''}"
            yield "", _indented(_response(part), full=full)
        else:
            yield "dim", _other(kind, part)


def _reasoning(part: AnyPart) -> str:
    text = part.get("content") or "\n".join(part.get("summary") or ())
    return str(text) if text else "(reasoning kept, not readable)"


def _arguments(part: AnyPart) -> str:
    raw = part.get("arguments_raw")
    if part.get("arguments") is None and isinstance(raw, str):
        return raw
    value = part.get("arguments") if part.get("arguments") is not None else part.get("server_tool_call")
    if isinstance(value, dict) and value and all(isinstance(one, str | int | float | bool) for one in value.values()):
        return "\n".join(f"{name}: {one}" for name, one in value.items())
    return "" if value is None else _json(value)


def _response(part: AnyPart) -> str:
    value = part.get("response") if part.get("response") is not None else part.get("server_tool_call_response")
    if isinstance(value, list) and all(isinstance(one, dict) for one in value):
        return "\n".join(_piece(one) for one in value)
    return value if isinstance(value, str) else "" if value is None else _json(value)


def _piece(piece: dict[str, Any]) -> str:
    text = piece.get("content") if piece.get("type") == "text" else piece.get("text")
    return text if isinstance(text, str) else _media(piece) if piece.get("type") in MEDIA else _json(piece)


def _other(kind: str, part: AnyPart) -> str:
    if kind in MEDIA:
        return _media(part)
    text = part.get("content")
    return f"[{kind}] {text}" if isinstance(text, str) and text else f"[{kind}]"


def _media(part: AnyPart | dict[str, Any]) -> str:
    content = part.get("content")
    bytes_count = part.get("size_bytes") or (len(content) * 3 // 4 if isinstance(content, str) else 0)
    facts = (part.get("modality"), part.get("mime_type"), part.get("filename"), part.get("uri"), size(bytes_count) if bytes_count else None)
    return "[" + " ".join(str(fact) for fact in facts if fact) + "]"


def _indented(text: str, *, full: bool) -> str:
    """Indent, and cut to ``TOOL_LINES`` lines unless all is asked for."""
    cut = text if full else text[:TOOL_CHARS]
    lines = safe(cut).rstrip("\n").split("\n")
    shown = lines if full else lines[:TOOL_LINES]
    left = text.rstrip("\n").count("\n") + 1 - len(shown)
    out = "\n".join("  " + line for line in shown)
    if full or (len(cut) == len(text) and left <= 0):
        return out
    return out + (
        f"\n  … {left} more lines, --full shows them" if left > 0 else f"\n  … {len(text) - len(cut)} more characters, --full shows them"
    )


def _json(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
