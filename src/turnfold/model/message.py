"""A message ``{role, parts[], name?, finish_reason?}`` and the helpers that build one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from turnfold.errors import InvalidInput, KeyUnavailable
from turnfold.model.parts import AnyPart, GenericPart, Part, TextPart, ToolCallPart, ToolResultPart
from turnfold.model.usage import Usage

Role = Literal["system", "developer", "user", "assistant", "tool"]
ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})


class Message(msgspec.Struct, omit_defaults=True, gc=False):
    """What one participant said, or one part of it (a source may write a message in several events).

    ``seq`` is not stored: it is the place of the message's first event. ``visible_to`` and ``hidden_from`` name agents.
    """

    role: str
    parts: list[Part] = []
    name: str | None = None
    finish_reason: str | None = None
    model: str | None = None
    provider: str | None = None
    response_id: str | None = None
    request_id: str | None = None
    native_finish_reason: str | None = None
    usage: Usage | None = None
    phase: str | None = None
    synthetic: bool = False
    native_id: str | None = None
    ext: dict[str, Any] = {}
    seq: int = 0

    @property
    def text(self) -> str:
        """The text parts joined."""
        parts = self.parts
        if len(parts) == 1 and type(parts[0]) is TextPart:
            return parts[0].content
        return "".join(part.content for part in parts if type(part) is TextPart)

    @property
    def tool_calls(self) -> list[ToolCallPart]:
        """The calls in this message, in order."""
        return [part for part in self.parts if type(part) is ToolCallPart]

    @property
    def tool_results(self) -> list[ToolResultPart]:
        """The tool answers in this message, in order."""
        return [part for part in self.parts if type(part) is ToolResultPart]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, defaults left out; includes ``seq`` when the message was read from a session."""
        return dict(msgspec.to_builtins(self))


class _LooseMessage(msgspec.Struct):
    """A message whose parts are decoded one by one, for part types of a newer version."""

    parts: list[msgspec.Raw] = []


_decoder = msgspec.json.Decoder(Message)
_loose_decoder = msgspec.json.Decoder(_LooseMessage)
_part_decoder: msgspec.json.Decoder[Part] = msgspec.json.Decoder(Part)
_encoder = msgspec.json.Encoder()


SEALED = b'["tf1:'
"""How a payload begins that ``codec.cipher`` sealed."""


def check_open(data: bytes) -> None:
    """Raise KeyUnavailable if a payload is sealed: an encrypted store was opened without its wrapper."""
    if data.startswith(SEALED):
        raise KeyUnavailable("the payload is encrypted", hint="open the store as encrypted+URL, with its keyring")


def decode_message(data: bytes) -> Message:
    """Decode a message payload; a part of an unknown type becomes a GenericPart with all its fields."""
    try:
        return _decoder.decode(data)
    except msgspec.ValidationError:
        check_open(data)
        parts = [_decode_part(raw) for raw in _loose_decoder.decode(data).parts]
        rest = {**msgspec.json.decode(data), "parts": []}
        message = msgspec.convert(rest, Message)
        message.parts = parts  # type: ignore[assignment]
        return message


def _decode_part(raw: msgspec.Raw) -> AnyPart:
    try:
        return _part_decoder.decode(raw)
    except msgspec.ValidationError:
        return GenericPart(msgspec.json.decode(raw))


def encode_message(message: Message) -> bytes:
    """Encode a message as the payload of a ``message`` event (without ``seq``)."""
    if message.seq:
        message = msgspec.structs.replace(message, seq=0)
    return _encoder.encode(message)


Content = str | Part | Sequence[str | Part]


def _parts(content: Content) -> list[Part]:
    if isinstance(content, str):
        return [TextPart(content)]
    if isinstance(content, Sequence):
        return [TextPart(item) if isinstance(item, str) else item for item in content]
    return [content]


def message(role: str, content: Content, **fields: Any) -> Message:
    """Build a message of any role from text, a part, or a list of both."""
    if role not in ROLES:
        raise InvalidInput(f"role {role!r} is none of {', '.join(sorted(ROLES))}")
    return Message(role, _parts(content), **fields)


def user(content: Content, *, name: str | None = None) -> Message:
    """Build a user message."""
    return Message("user", _parts(content), name)


def assistant(content: Content = (), *, usage: Usage | None = None, model: str | None = None, name: str | None = None) -> Message:
    """Build an assistant message; ``usage`` is what producing it cost."""
    return Message("assistant", _parts(content), name, model=model, usage=usage)


def system(content: Content) -> Message:
    """Build a system message."""
    return Message("system", _parts(content))


def tool_call(call_id: str, name: str, arguments: Any = None, **fields: Any) -> Message:
    """Build an assistant message that calls one tool."""
    return Message("assistant", [ToolCallPart(call_id, name, arguments, **fields)])


def tool_result(call_id: str, response: Any = None, *, is_error: bool | None = None, **fields: Any) -> Message:
    """Build a tool message that answers one call."""
    return Message("tool", [ToolResultPart(call_id, response, is_error, **fields)])
