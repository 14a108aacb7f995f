"""Values that a tool's result or a message may hold, in one shape: parts, whatever they came as."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

from turnfold.core.conversation import Conversation, ConversationEntry
from turnfold.formats.documents import line_of
from turnfold.formats.loss import FILE_IDS, MEDIA, LossReport
from turnfold.model.message import decode_message
from turnfold.model.parts import AnyPart, BlobPart, FilePart, TextPart, ToolResultPart, UriPart

_PART_TYPES = frozenset({"text", "blob", "uri", "file", "opaque", "refusal"})
ERROR_MARK = "[the tool reported an error]\n"
"""In front of a result's text where the target has no field for it; taken away again on the way back."""
IMAGE_TYPES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
"""What both providers' APIs take as an image; a history with another is refused."""
TEXT_TYPES = ("text/", "application/json", "application/xml", "application/yaml")


def response_parts(response: Any) -> list[AnyPart] | None:
    """Return a tool's response as parts where it is a list of them, else None."""
    if not isinstance(response, list) or not response:
        return None
    if not all(isinstance(item, dict) and item.get("type") in _PART_TYPES for item in response):
        return None
    try:
        return list(decode_message(line_of({"role": "tool", "parts": response})).parts)
    except msgspec.MsgspecError:
        return None


def response_text(response: Any) -> str:
    """Return a tool's response as text: text as it is, anything else as JSON, nothing as nothing."""
    if isinstance(response, str):
        return response
    return "" if response is None or response == [] else line_of(response).decode()


def result_of(part: ToolResultPart) -> tuple[str | list[AnyPart], bool | None]:
    """Return what a result says, as text or parts, and whether it is an error; our own mark is taken away."""
    parts = response_parts(part.response)
    content: str | list[AnyPart] = response_text(part.response) if parts is None else parts
    is_error = part.is_error
    first = content if isinstance(content, str) else content[0].content if content and type(content[0]) is TextPart else ""
    if first.startswith(ERROR_MARK):
        rest, is_error = first.removeprefix(ERROR_MARK), True
        content = rest if isinstance(content, str) else [*([TextPart(rest)] if rest else []), *content[1:]]
    return content, is_error


def searched(native: Any) -> str | None:
    """What a provider's search was for, or which page it opened; None where that is not what it says."""
    action = native.get("action") if isinstance(native, dict) else None
    found = (action.get("query") or action.get("url") or action.get("pattern")) if isinstance(action, dict) else None
    return found if isinstance(found, str) else None


def text_in(part: BlobPart) -> str | None:
    """Return the text of a document that is one, or None."""
    if part.content is None or not (part.mime_type or "").startswith(TEXT_TYPES):
        return None
    try:
        return base64.b64decode(part.content, validate=True).decode()
    except (binascii.Error, ValueError):
        return None


def image_type(part: BlobPart) -> str | None:
    """The media type of an image that the APIs take, or None."""
    kind = part.mime_type or "image/png"
    return kind if part.modality == "image" and kind in IMAGE_TYPES else None


def is_public(part: AnyPart) -> bool:
    """Whether a provider can fetch media from their address."""
    return type(part) is UriPart and part.uri.startswith(("https://", "http://"))


def describe(part: AnyPart) -> str:
    """Return a line that stands for media which the target cannot hold."""
    name = getattr(part, "filename", None) or getattr(part, "mime_type", None) or getattr(part, "modality", None) or "attachment"
    where = part.uri if type(part) is UriPart else part.file_id if type(part) is FilePart else ""
    return f"[{' '.join(str(name).split())} not carried over{f': {where}' if where else ''}]"


def lose(losses: LossReport, part: AnyPart, seq: int) -> None:
    """Count media that the target cannot hold."""
    losses.add(FILE_IDS if type(part) is FilePart else MEDIA, seq)


def is_injected_by_tool(entry: ConversationEntry) -> bool:
    """Whether an entry is what Claude Code tells its model about itself: lists of its tools, its environment, its reminders.

    What the user named (files, prompts that waited in the queue) is content.
    """
    if entry.type != "context" or entry.message is None:
        return False
    native = entry.message.ext.get("native_type")
    return isinstance(native, str) and native.startswith("attachment/") and native not in _CONTENT


_CONTENT = frozenset(
    f"attachment/{kind}"
    for kind in (
        "file",
        "queued_command",
        "edited_text_file",
        "nested_memory",
        "compact_file_reference",
        "plan_file_reference",
        "selected_lines_in_ide",
    )
)


def came_from(conversation: Conversation) -> str:
    """Name of the format that a session was imported from, or an empty string."""
    return str((conversation.info.native or {}).get("format") or "")
