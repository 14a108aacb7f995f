"""What a compaction leaves to the model, whichever tool made it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from turnfold.core.compaction import COMPACTION, split
from turnfold.core.conversation import ConversationEntry
from turnfold.model.message import Message
from turnfold.model.parts import CompactionPart


class Compacted(msgspec.Struct, frozen=True, kw_only=True):
    """What the model has after a compaction.

    Attributes:
        before: Entries kept from earlier times: they stand before the summary.
        summary: Messages that are the summary, or the source's whole replacement.
        after: Entries kept from late, after the summary.
        summary_seq: The entry that the summary is, where it is one of its own.
        said: The summary's text.
    """

    before: Sequence[ConversationEntry] = ()
    summary: Sequence[Message] = ()
    after: Sequence[ConversationEntry] = ()
    summary_seq: int | None = None
    said: str = ""

    @property
    def is_readable(self) -> bool:
        """Whether any tool's model can go on from it.

        What only its provider can read is not; neither is a replacement that keeps what the user said and has nothing in place of the
        answers (the sealed part of it was taken out of the file).
        """
        if any(type(part) is CompactionPart and not part.content for message in self.summary for part in message.parts):
            return False
        return bool(self.said) or any(message.role in {"assistant", "tool"} for message in self.summary)


def compacted_at(entries: Sequence[ConversationEntry], index: int, context: Sequence[ConversationEntry]) -> Compacted:
    """Say what the compaction at ``index`` leaves.

    Args:
        entries: The conversation's.
        index: Of the compaction.
        context: What the model had before it.
    """
    entry = entries[index]
    replacement = entry.replacement
    if replacement:
        return Compacted(summary=replacement, said="" if entry.message is None else entry.message.text)
    before, after = ([], []) if entry.span is None else split(context, entry.span)
    if entry.message is not None:
        return Compacted(before=before, summary=[entry.message], after=after, said=entry.message.text)
    follows = _summary_after(entries, index)
    if follows is None or follows.message is None:
        return Compacted(before=before, after=after)
    return Compacted(before=before, summary=[follows.message], after=after, summary_seq=follows.seq, said=follows.message.text)


def _summary_after(entries: Sequence[ConversationEntry], index: int) -> ConversationEntry | None:
    """The message that is a compaction's summary, in the tools that write it as a line of its own."""
    for entry in entries[index + 1 :]:
        if entry.meta.get("compact_summary") is True:
            return entry
        if entry.type == COMPACTION or (entry.message is not None and (entry.is_turn or entry.message.role == "assistant")):
            return None
    return None


def note_index(entries: Sequence[ConversationEntry], *, encrypted: bool) -> int:
    """Return before which entry the note of origin goes: the first of what the model still has.

    Args:
        entries: The conversation's.
        encrypted: Whether the target takes compactions that only their provider can read.
    """
    place = 0
    for index, entry in enumerate(entries):
        if entry.type == COMPACTION:
            left = compacted_at(entries, index, ())
            if left.is_readable or (encrypted and left.summary):
                place = index + 1
                while left.summary_seq is not None and entries[place - 1].seq != left.summary_seq:
                    place += 1
    return place
