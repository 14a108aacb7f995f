"""Parts of a message: the OpenTelemetry GenAI vocabulary, plus what it lacks (signatures, raw arguments, native leftovers).

Each part type is a struct tagged by ``type``. ``ext`` holds what the source had and the schema has not. A part of an unknown type is read
as ``GenericPart`` and keeps all its fields. Parts also answer ``part["type"]`` and ``part.get(name)``, for code that treats them as JSON.
Source: ``gen_ai`` message schema of the OpenTelemetry semantic conventions.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec


class _Part(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="type", gc=False):
    """Common behaviour of the part types."""

    ext: dict[str, Any] = {}

    @property
    def type(self) -> str:
        """The discriminator as written in JSON."""
        return str(self.__struct_config__.tag)

    def __getitem__(self, name: str) -> Any:
        """Read a field by its JSON name."""
        try:
            return getattr(self, name)
        except AttributeError:
            raise KeyError(name) from None

    def get(self, name: str, default: Any = None) -> Any:
        """Read a field by its JSON name, or the default."""
        return getattr(self, name, default)


class TextPart(_Part, tag="text", kw_only=False):
    """Plain text."""

    content: str = ""
    citations: list[Any] | None = None


class ReasoningPart(_Part, tag="reasoning", kw_only=False):
    """A model's reasoning; ``signature`` and ``encrypted`` may go back only to the provider that made them."""

    content: str = ""
    summary: list[str] | None = None
    signature: str | None = None
    encrypted: str | None = None
    redacted: bool = False
    provider: str | None = None
    model: str | None = None
    id: str | None = None


class ToolCallPart(_Part, tag="tool_call", kw_only=False):
    """A call that the model asks for. ``arguments_raw`` keeps the source's string where it is not canonical JSON."""

    id: str = ""
    name: str = ""
    arguments: Any = None
    namespace: str | None = None
    arguments_raw: str | None = None
    input_kind: str = "json"
    item_id: str | None = None
    status: str | None = None
    caller: Any = None


class ToolResultPart(_Part, tag="tool_call_response", kw_only=False):
    """What a tool answered; ``response`` is text, JSON, or a list of parts as JSON; ``detail`` the structured twin some tools give."""

    id: str = ""
    response: Any = None
    is_error: bool | None = None
    exit_code: int | None = None
    item_id: str | None = None
    detail: Any = None


class ServerToolCallPart(_Part, tag="server_tool_call", kw_only=False):
    """A tool that the provider runs itself (web search …)."""

    id: str = ""
    name: str = ""
    server_tool_call: Any = None


class ServerToolResultPart(_Part, tag="server_tool_call_response", kw_only=False):
    """The answer of a provider's own tool."""

    id: str = ""
    server_tool_call_response: Any = None


class BlobPart(_Part, tag="blob", kw_only=False):
    """Media: inline as base64 ``content``, or out of line by ``blob_ref`` (``sha256:…``)."""

    modality: str = ""
    mime_type: str | None = None
    content: str | None = None
    blob_ref: str | None = None
    filename: str | None = None
    size_bytes: int | None = None


class UriPart(_Part, tag="uri", kw_only=False):
    """Media at an address."""

    modality: str = ""
    uri: str = ""
    mime_type: str | None = None


class FilePart(_Part, tag="file", kw_only=False):
    """Media by a provider's file id."""

    modality: str = ""
    file_id: str = ""
    mime_type: str | None = None
    filename: str | None = None


class CompactionPart(_Part, tag="compaction", kw_only=False):
    """A summary that stands for earlier messages."""

    content: str | None = None
    encrypted: str | None = None
    id: str | None = None


class RefusalPart(_Part, tag="refusal", kw_only=False):
    """The model declined."""

    content: str = ""


class OpaquePart(_Part, tag="opaque", kw_only=False):
    """A block of a source format that has no counterpart here, kept as it was."""

    native: Any = None


class GenericPart(dict[str, Any]):
    """A part of a type unknown to this version: all its fields, also as attributes."""

    def __getattr__(self, name: str) -> Any:
        """Read a field as an attribute."""
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


Part: TypeAlias = (
    TextPart
    | ReasoningPart
    | ToolCallPart
    | ToolResultPart
    | ServerToolCallPart
    | ServerToolResultPart
    | BlobPart
    | UriPart
    | FilePart
    | CompactionPart
    | RefusalPart
    | OpaquePart
)
AnyPart: TypeAlias = Part | GenericPart
