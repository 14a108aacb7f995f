"""Writes a conversation as a USF document."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from turnfold.core.conversation import COMPACTION, Conversation, ConversationEntry
from turnfold.formats.fields import object_of, text_of
from turnfold.formats.lines import title_of
from turnfold.formats.loss import SUBAGENTS, LossReport
from turnfold.formats.usf.document import EXTENSION, VERSION, write_document
from turnfold.formats.usf.message import event_facts, message_text, usf_message
from turnfold.model.event import from_us
from turnfold.model.event_types import MESSAGE

USF_FACTS = "usf"
"""Key of a session's metadata for what a USF document has and a session has no field for."""


class UsfWriter:
    """See ``formats.base.Writer``."""

    name = "usf"
    suffix = ".json"

    def write(self, conversation: Conversation, losses: LossReport) -> Iterator[bytes]:
        """Yield the document in one piece. Messages that only people saw, context and compactions go beside the messages."""
        info = conversation.info
        facts = object_of(info.metadata.get(USF_FACTS))
        messages: list[dict[str, Any]] = []
        aside: list[dict[str, Any]] = []
        numbers: dict[int, int] = {}
        for entry in conversation.entries:
            if entry.type == MESSAGE and entry.message is not None and entry.for_model:
                messages.append(usf_message(entry))
                numbers[entry.seq] = len(messages)
            elif entry.type == COMPACTION:
                aside.append(_compaction(entry, len(messages), numbers))
            elif entry.message is not None:
                aside.append(_aside(entry, len(messages)))
        source = text_of(facts.get("framework_source")) or info.agent or "turnfold"
        extension = {
            "agent": info.agent if info.agent != source else None,
            "title": info.title if info.title != _derived_title(conversation.entries) else None,
            "tags": list(info.tags),
            "metadata": {key: value for key, value in info.metadata.items() if key != USF_FACTS},
            "system_prompt": conversation.system_prompt,
            "entries": aside,
        }
        extension = {key: value for key, value in extension.items() if value}
        own = object_of(facts.get("metadata"))
        if conversation.children:
            losses.add(SUBAGENTS, count=len(conversation.children))
        document = {
            **object_of(facts.get("other")),
            "version": VERSION,
            "session_id": info.id,
            "created_at": from_us(info.created_at_us).isoformat(),
            "updated_at": from_us(info.updated_at_us).isoformat(),
            "framework_source": source,
            "messages": messages,
            "working_memory": dict(conversation.state),
            "entities": facts.get("entities") or [],
            "task_state": facts.get("task_state") or [],
            "metadata": {**own, EXTENSION: extension} if extension else own,
        }
        yield write_document(document)


def _derived_title(entries: Sequence[ConversationEntry]) -> str | None:
    """The title that a reader gives a session without one: the beginning of its first prompt."""
    for entry in entries:
        if entry.is_turn and entry.visibility == "both" and entry.message is not None:
            return title_of(entry.message.text.strip().partition("\n")[0])
    return None


def _aside(entry: ConversationEntry, after: int) -> dict[str, Any]:
    assert entry.message is not None
    at = from_us(entry.at_us).isoformat()
    return {"after": after, "type": entry.type, "at": at, "message": message_text(entry.message), **event_facts(entry)}


def _compaction(entry: ConversationEntry, after: int, numbers: dict[int, int]) -> dict[str, Any]:
    """A compaction, with the messages that it names counted from 1 instead of by their places in the log."""
    data = {key: value for key, value in (entry.data or {}).items() if key not in {"first_seq", "last_seq", "keeps"}}
    first, last = (entry.data or {}).get("first_seq") or 0, (entry.data or {}).get("last_seq") or entry.seq - 1
    covered = [number for seq, number in numbers.items() if first <= seq <= last]
    keeps = [numbers[seq] for seq in (entry.data or {}).get("keeps") or () if seq in numbers]
    facts: dict[str, Any] = {
        "after": after,
        "type": entry.type,
        "at": from_us(entry.at_us).isoformat(),
        "visibility": entry.visibility,
        "data": data,
    }
    if covered:
        facts |= {"first": min(covered), "last": max(covered)}
    return facts | ({"keeps": keeps} if keeps else {})
