"""The shapes of session files: which kinds of lines there are, and which fields each has. Values do not matter and are not kept."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

Shapes = dict[str, set[str]]
"""Kind of line → paths of fields."""

DEPTH_MAX = 5
_FREE = frozenset(
    {
        "input",
        "arguments",
        "toolUseResult",
        "trackedFileBackups",
        "modelUsage",
        "state",
        "changes",
        "shape",
        "params",
        "tools",
        "parameters",
        "input_schema",
        "agents_states",
        "structured_content",
        "structuredContent",
        "_meta",
        "result",
        "headers",
        "env",
        "turnfold",
    }
)
"""Fields whose content is data of tools and people, or another program's: its keys are no drift."""
_name = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,59}")
_KIND_FIELDS = {"system": "subtype", "attachment": "attachment.type", "progress": "data.type"}


def kind_of(line: dict[str, Any]) -> str:
    """Return a line's kind: its type, and the type of what is in it where the format has one."""
    kind = _text(line.get("type")) or ("(bare)" if "type" not in line else "(odd)")
    payload = line.get("payload")
    if isinstance(payload, dict):
        inner = _text(payload.get("type"))
        item = payload.get("item")
        deepest = _text(item.get("type")) if isinstance(item, dict) else ""
        return "/".join(word for word in (kind, inner, deepest) if word)
    value: Any = line
    for field in _KIND_FIELDS.get(kind, "").split("."):
        value = value.get(field) if isinstance(value, dict) else None
    return f"{kind}/{_text(value)}" if _text(value) else kind


def shapes_of(lines: Iterable[bytes]) -> Shapes:
    """Return the shapes of a file's lines; what is no JSON object is left out."""
    shapes: Shapes = {}
    for data in lines:
        try:
            line = json.loads(data)
        except ValueError:
            continue
        if isinstance(line, dict):
            shapes.setdefault(kind_of(line), set()).update(_paths(line, "", 1))
    return shapes


def merge(into: Shapes, more: Shapes) -> None:
    """Add shapes to shapes."""
    for kind, paths in more.items():
        into.setdefault(kind, set()).update(paths)


def news(known: Shapes, found: Shapes) -> Shapes:
    """Return what is found and not known; a kind that is new as a whole comes with all its fields."""
    return {kind: new for kind, paths in sorted(found.items()) if (new := paths - known.get(kind, set())) or kind not in known}


def _paths(value: dict[str, Any], before: str, depth: int) -> Iterator[str]:
    for key, item in value.items():
        path = before + (key if _name.fullmatch(key) else "*")
        yield path
        if key in _FREE or depth == DEPTH_MAX:
            continue
        if isinstance(item, dict):
            yield from _paths(item, f"{path}.", depth + 1)
        elif isinstance(item, list):
            for one in item:
                if isinstance(one, dict):
                    yield from _paths(one, f"{path}[{_text(one.get('type'))}].", depth + 1)


def _text(value: Any) -> str:
    return value if isinstance(value, str) and _name.fullmatch(value) else ""
