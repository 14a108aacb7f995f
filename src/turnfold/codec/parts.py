"""Out-of-line media: blob parts larger than the limit travel beside the commit by their hash."""

from __future__ import annotations

from turnfold.codec.residual import part_ref
from turnfold.limits import INLINE_PART_BYTES_MAX
from turnfold.model.message import Message
from turnfold.model.parts import BlobPart


def take_out(message: Message) -> list[tuple[str, bytes]]:
    """Move over-long blob contents (their base64 text) out of the message, in place; return the parts for the commit."""
    parts: list[tuple[str, bytes]] = []
    for part in message.parts:
        if type(part) is BlobPart and part.content is not None and len(part.content) > INLINE_PART_BYTES_MAX:
            content = part.content.encode()
            ref = part_ref(content)
            part.blob_ref, part.content = ref, None
            parts.append((ref, content))
    return parts
