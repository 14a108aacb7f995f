"""LangGraph's ``JsonPlusSerializer`` as plain JSON, without importing or building a single class that the bytes name.

An object is in msgpack as an extension that holds (module, name, arguments …). It is said as ``{"$type": "module.name", "value": arguments}``.
Source: the extension codes of langgraph-checkpoint 4.3.
"""

from __future__ import annotations

import base64
import math
from typing import Any

import msgspec

from turnfold.formats.lines import decode_line

TYPE = "$type"
NUMPY_ARRAY, DELTA_SNAPSHOT = 6, 7
NAMED = frozenset({0, 1, 2, 3, 4, 5})
"""Extensions that hold a module, a name and one value."""


class Unreadable(Exception):
    """Bytes of a serialiser that cannot be read: a pickle, ciphertext, a newer form, or damage. The text says which."""


def decode(kind: Any, data: Any) -> Any:
    """Return a serialised value as plain JSON types.

    Args:
        kind: What the serialiser calls it: ``msgpack``, ``json``, ``null``, ``bytes`` …; None where an old table does not say.
        data: The bytes.

    Raises:
        Unreadable: It is of another kind, or broken.
    """
    if kind == "null":
        return None
    content = data.encode(errors="replace") if isinstance(data, str) else data
    if not isinstance(content, bytes):
        raise Unreadable("there are no bytes")
    if kind in {"bytes", "bytearray"}:
        return plain(content)
    if kind == "msgpack":
        return _msgpack(content)
    if kind == "json" or (kind is None and content[:1] in {b"{", b"["}):
        value, problem = decode_line(content)
        if problem is not None:
            raise Unreadable(problem)
        return value
    raise Unreadable(f"serialised as {str(kind)[:40]!r}, which is not read")


def _msgpack(content: bytes) -> Any:
    try:
        return plain(msgspec.msgpack.decode(content, ext_hook=_extension))
    except RecursionError:
        raise Unreadable("nested too deeply") from None
    except (msgspec.MsgspecError, ValueError, TypeError, OverflowError) as error:
        raise Unreadable(f"not msgpack: {error}"[:200]) from None


def _extension(code: int, data: memoryview) -> Any:
    """Return an extension's content; nothing that it names is looked up."""
    content = bytes(data)
    if code not in NAMED | {NUMPY_ARRAY, DELTA_SNAPSHOT}:
        return {TYPE: f"ext.{code}", "value": content}
    value = msgspec.msgpack.decode(content, ext_hook=_extension)
    if code == DELTA_SNAPSHOT:
        return value
    if code == NUMPY_ARRAY or not isinstance(value, list) or len(value) < 3:
        return {TYPE: "numpy.ndarray" if code == NUMPY_ARRAY else f"ext.{code}", "value": value}
    return {TYPE: f"{value[0]}.{value[1]}", "value": value[2]}


def plain(value: Any) -> Any:
    """Return a value with JSON types alone."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {TYPE: "float", "value": str(value)}
    if isinstance(value, dict):
        return {key if isinstance(key, str) else str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, bytes | bytearray | memoryview):
        return {TYPE: "bytes", "value": base64.b64encode(value).decode()}
    return {TYPE: type(value).__name__, "value": str(value)}


def arguments_of(value: Any) -> dict[str, Any] | None:
    """Return the keyword arguments of an object in either form (msgpack, and the JSON of old), or None if it is no such object."""
    if not isinstance(value, dict):
        return None
    inner = value.get("value") if TYPE in value else value.get("kwargs") if value.get("type") == "constructor" else None
    return inner if isinstance(inner, dict) else None
