"""Rows ↔ events and sessions, where the SQL stores agree: the order of the columns, and what is packed into one of them.

The envelope fields that nearly every event leaves empty share one nullable JSON column, ``extra``: a column costs an append 0.2 µs (SQLite),
empty or not. Its places are fixed: version, actor, causation_id, correlation_id, block_index, visible_to, hidden_from, redacted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from turnfold.core.checks import effective_status
from turnfold.model.event import MAIN, Event
from turnfold.model.session import SessionInfo
from turnfold.model.usage import NO_USAGE, Usage

Extra = tuple[
    int,
    str | None,
    str | None,
    str | None,
    int | None,
    tuple[str, ...] | None,
    tuple[str, ...] | None,
    bool,
]
_UsageFields = tuple[int, int, int, int, int, int, str]

_encode = msgspec.json.Encoder().encode
_extra_decoder = msgspec.json.Decoder(Extra)
_usage_decoder = msgspec.json.Decoder(_UsageFields)
EventRow = tuple[Any, ...]


def event_row(event: Event, pos: int, recorded_at_us: int, branch: str | None) -> EventRow:
    """Return the values of the columns id, type, data, at_us … in the order of the event table.

    Args:
        event: What is stored.
        pos: Its place: the row's key.
        recorded_at_us: The store's time.
        branch: None while the session has never forked.
    """
    usage = event.usage
    visibility = event.visibility
    plain = (
        event.version == 1
        and event.actor is None
        and event.causation_id is None
        and event.correlation_id is None
        and event.block_index is None
        and event.visible_to is None
        and event.hidden_from is None
        and not event.redacted
    )
    return (
        pos,
        event.id,
        event.type,
        event.data_raw,
        event.at_us,
        recorded_at_us,
        branch,
        event.run_id,
        event.message_id,
        event.parent_id,
        None if visibility == "both" else visibility,
        event.message_count,
        event.turn_count,
        event.token_count,
        None if usage is NO_USAGE or usage == NO_USAGE else _encode((*usage.numbers(), usage.model)),
        None if plain else pack_extra(event),
        event.meta_raw,
        event.salt,
        event.digest,
    )


def pack_extra(event: Event) -> bytes:
    """Return the rare envelope fields as JSON."""
    return _encode(
        (
            event.version,
            event.actor,
            event.causation_id,
            event.correlation_id,
            event.block_index,
            event.visible_to,
            event.hidden_from,
            event.redacted,
        ),
    )


NO_EXTRA: Final[Extra] = (1, None, None, None, None, None, None, False)


def decode_extra(raw: bytes | None) -> Extra:
    """Return the packed fields of an event."""
    return NO_EXTRA if raw is None else _extra_decoder.decode(raw)


def redacted_extra(raw: bytes | None) -> bytes:
    """Return the packed fields with the redaction marked."""
    return _encode((*decode_extra(raw)[:7], True))


def events_of(rows: Iterable[EventRow]) -> list[Event]:
    """Build events from rows of the event table's columns, as ``event_row`` has them but with the seq first, and the kept source line (or NULL)."""
    out: list[Event] = []
    append = out.append
    for (
        seq,
        id_,
        type_,
        data,
        at,
        recorded,
        branch,
        run,
        message,
        parent,
        vis,
        messages,
        turns,
        tokens,
        usage,
        extra,
        meta,
        salt,
        digest,
        line,
    ) in rows:
        version, actor, cause, correlation, block, visible, hidden, redacted = NO_EXTRA if extra is None else _extra_decoder.decode(extra)
        append(
            Event(
                seq,
                id_,
                type_,
                data,
                at,
                recorded,
                version,
                branch or MAIN,
                run,
                actor,
                cause,
                correlation,
                message,
                block,
                parent,
                vis or "both",
                visible,
                hidden,
                meta,
                messages,
                turns,
                tokens,
                NO_USAGE if usage is None else Usage(*_usage_decoder.decode(usage)),
                line,
                salt,
                digest,
                redacted,
            ),
        )
    return out


class ListInfo(msgspec.Struct, omit_defaults=True):
    """The fields of a list row that are head entries, packed beside the session's names."""

    title: str | None = None
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] = {}
    native: dict[str, Any] | None = None
    parent: dict[str, Any] | None = None


_info_decoder = msgspec.json.Decoder(ListInfo)
_NO_INFO: Final = ListInfo()


def session_info(row: tuple[Any, ...], now_us: int) -> SessionInfo:
    """Build the light row of a session from a store's ``HEAD_COLUMNS``: each SQL store names the same columns in the same order."""
    raw, status, expires_at_us, usage = row[8], row[9], row[12], row[19:25]
    info = _NO_INFO if raw is None else _info_decoder.decode(raw)
    return SessionInfo(
        id=row[1],
        tenant=row[2],
        owner=row[4],
        agent=row[5],
        status=status if expires_at_us is None else effective_status(status, expires_at_us, now_us),
        end_reason=row[10],
        kind=row[6],
        title=info.title,
        tags=info.tags,
        metadata=dict(info.metadata) if info is _NO_INFO else info.metadata,
        native=info.native,
        parent=info.parent,
        created_at_us=row[7],
        updated_at_us=row[11],
        expires_at_us=expires_at_us,
        last_seq=row[13],
        message_count=row[14],
        turn_count=row[15],
        token_count=row[16],
        usage=Usage(*usage) if any(usage) else NO_USAGE,
        branch_count=row[17],
        active_branch=row[18],
        incarnation=row[3],
    )
