"""What the writers of model APIs do alike with what their API has no place for."""

from __future__ import annotations

from typing import Any

from turnfold.formats import loss
from turnfold.formats.loss import LossReport
from turnfold.model.parts import AnyPart, BlobPart, CompactionPart, FilePart, TextPart, UriPart

ERROR_LEAD = "Error: "


def failed_text(text: str) -> str:
    """Return the text of a failed tool's answer, which says so at its beginning."""
    return text if text[:5].lower() == "error" else ERROR_LEAD + text


def failed_blocks(blocks: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Return a failed tool's answer in blocks: its first text, of type ``kind``, says so; where there is none, one is put first."""
    for index, block in enumerate(blocks):
        if block["type"] == kind:
            return [*blocks[:index], {**block, "text": failed_text(block["text"])}, *blocks[index + 1 :]]
    return [{"type": kind, "text": ERROR_LEAD}, *blocks]


def text_of_part(part: AnyPart, losses: LossReport, seq: int) -> str | None:
    """Return the text of a part that has one; what has none is counted."""
    if isinstance(part, TextPart):
        if part.citations:
            losses.add(loss.CITATIONS, seq, len(part.citations))
        return part.content or None
    if part.type == "refusal":
        losses.add(loss.REFUSALS, seq)
        return str(part["content"]) or None
    if isinstance(part, CompactionPart):
        if not part.content:
            losses.add(loss.SEALED_SUMMARIES, seq)
        return part.content
    losses.add(loss.SERVER_TOOLS if part.type.startswith("server_tool_call") else loss.NATIVE_PARTS, seq)
    return None


def media_note(part: BlobPart | UriPart | FilePart, losses: LossReport, seq: int, kind: str = loss.MEDIA) -> dict[str, Any]:
    """Return a text block that names media which cannot be sent, so that the model knows of them; they are counted as ``kind``."""
    losses.add(kind, seq)
    name = part.uri if isinstance(part, UriPart) else part.filename or (part.file_id if isinstance(part, FilePart) else part.mime_type)
    return {"type": "text", "text": f"[{part.modality or 'file'}: {name or 'without a name'}]"}
