"""What can be found of an event, and how a hit ranks. Index and scan answer alike because both ask here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from turnfold.core.filtering import sees
from turnfold.core.tokens import term_text, terms
from turnfold.model.event import Event
from turnfold.model.message import Message, check_open, decode_message
from turnfold.model.parts import (
    CompactionPart,
    GenericPart,
    RefusalPart,
    ServerToolCallPart,
    ServerToolResultPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from turnfold.model.query import IndexRow, SearchQuery

PHRASE_BUCKET = 0
APART_BUCKET = 1
_SAID = frozenset({TextPart, RefusalPart, CompactionPart})


def searchable_text(event: Event) -> str:
    """Return what a search looks at: message text, tool names, arguments and results, summaries and titles; empty where there is nothing.

    Reasoning is left out: it is neither what somebody said nor what somebody did.
    """
    if event.redacted:
        return ""
    if event.type == "message":
        return "\n".join(_message_texts(decode_message(event.data_raw)))
    if event.type in {"title", "session.created", "session.updated"}:
        return str(_object(event).get("title") or "")
    if event.type == "compaction":
        return str(_object(event).get("summary") or "")
    return ""


def _object(event: Event) -> dict[str, Any]:
    check_open(event.data_raw)
    data: dict[str, Any] = event.data
    return data


def _message_texts(message: Message) -> Iterator[str]:
    part: Any
    for part in message.parts:
        kind = type(part)
        if kind in _SAID:
            yield part.content or ""
        elif kind is ToolResultPart:
            yield from _strings(part.response)
        elif kind is ToolCallPart:
            yield part.name
            yield from _strings(part.arguments if part.arguments is not None else part.arguments_raw)
        elif kind is ServerToolCallPart:
            yield part.name
            yield from _strings(part.server_tool_call)
        elif kind is ServerToolResultPart:
            yield from _strings(part.server_tool_call_response)
        elif isinstance(part, GenericPart):
            yield from _strings({key: value for key, value in part.items() if key != "type"})


def _strings(value: Any) -> Iterator[str]:
    """The strings and numbers in a JSON value, in document order; keys are structure, not content."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)


def index_rows(events: Iterable[Event], first_seq: int | None = None) -> list[IndexRow]:
    """Return the index rows of some events; those without a text have none.

    Args:
        events: The events.
        first_seq: The seq of the first, where they follow each other and have none of their own yet.
    """
    rows: list[IndexRow] = []
    for index, event in enumerate(events):
        text = searchable_text(event)
        if text:
            found = term_text(text)
            if not found.isspace():
                seq = event.seq if first_seq is None else first_seq + index
                rows.append(IndexRow(seq, found, event.visible_to, event.hidden_from, derived=True))
    return rows


def bucket_of(wanted: Sequence[str], text_terms: Sequence[str]) -> int | None:
    """Return the rank bucket: 0 where the terms stand as a phrase, 1 where all are there, None where one is missing."""
    if not wanted or not set(wanted) <= set(text_terms):
        return None
    size = len(wanted)
    wanted = list(wanted)
    phrase = any(list(text_terms[at : at + size]) == wanted for at in range(len(text_terms) - size + 1))
    return PHRASE_BUCKET if phrase else APART_BUCKET


def scan(query: SearchQuery, events: Iterable[Event]) -> Iterator[tuple[int, int]]:
    """Yield (bucket, seq) of the events that the query finds, in the order of the events."""
    for event in events:
        if sees(query.viewer, event.visible_to, event.hidden_from):
            bucket = bucket_of(query.terms, terms(searchable_text(event)))
            if bucket is not None:
                yield bucket, event.seq
