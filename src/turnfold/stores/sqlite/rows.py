"""Rows ↔ events and sessions: what is packed where.

The envelope fields that nearly every event leaves empty share one nullable JSON column, ``extra``: a column costs an append 0.2 µs, empty
or not. Its places are fixed: version, actor, causation_id, correlation_id, block_index, visible_to, hidden_from, redacted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from turnfold.core.checks import effective_status
from turnfold.model.event import MAIN, Event
from turnfold.model.session import SessionInfo
from turnfold.model.usage import NO_USAGE, Usage

SEQ_BITS: Final = 32

INSERT_EVENT: Final = (
    "INSERT INTO event(pos, id, type, data, at_us, recorded_at_us, branch, run_id, message_id, parent_id, visibility, "
    "message_count, turn_count, token_count, usage, extra, meta, salt, digest) "
    "VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
ROWS_TOGETHER_MAX: Final = 16
_HEAD, _, _ROW = INSERT_EVENT.partition(" VALUES")
INSERT_EVENTS: Final = {
    size: f"{_HEAD} VALUES{', '.join([_ROW] * size)}" for size in (1 << power for power in range(ROWS_TOGETHER_MAX.bit_length()))
}
"""The same for 1, 2, 4, 8 and 16 rows."""
_PLAIN_HEAD: Final = "INSERT INTO event(pos, id, type, data, at_us, recorded_at_us, message_count, turn_count, token_count, salt, digest)"
_PLAIN_ROW: Final = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
INSERT_PLAIN: Final = {
    size: f"{_PLAIN_HEAD} VALUES{', '.join([_PLAIN_ROW] * size)}"
    for size in (1 << power for power in range(ROWS_TOGETHER_MAX.bit_length()))
}
"""The same for rows of ``plain_row``."""
EVENT_COLUMNS: Final = (
    "e.pos & 4294967295, e.id, e.type, e.data, e.at_us, e.recorded_at_us, e.branch, e.run_id, e.message_id, e.parent_id, e.visibility, "
    "e.message_count, e.turn_count, e.token_count, e.usage, e.extra, e.meta, e.salt, e.digest"
)

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
    """Return the values of ``INSERT_EVENT``."""
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
        None if plain else _pack_extra(event),
        event.meta_raw,
        event.salt,
        event.digest,
    )


def plain_row(event: Event, pos: int, recorded_at_us: int) -> EventRow | None:
    """Return the values of ``INSERT_PLAIN``, or None for an event that has more: eight columns less are 1.5 µs, and most messages need none."""
    if (
        event.usage is not NO_USAGE
        or event.meta_raw is not None
        or event.run_id is not None
        or event.message_id is not None
        or event.parent_id is not None
        or event.visibility != "both"
        or event.version != 1
        or event.actor is not None
        or event.causation_id is not None
        or event.correlation_id is not None
        or event.block_index is not None
        or event.visible_to is not None
        or event.hidden_from is not None
        or event.redacted
    ):
        return None
    return (
        pos,
        event.id,
        event.type,
        event.data_raw,
        event.at_us,
        recorded_at_us,
        event.message_count,
        event.turn_count,
        event.token_count,
        event.salt,
        event.digest,
    )


def _pack_extra(event: Event) -> bytes:
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
    """Build events from rows of ``EVENT_COLUMNS`` and the kept source line (or NULL)."""
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


HEAD_COLUMNS: Final = (
    "s.sn, s.session_id, s.tenant, s.incarnation, s.owner, s.agent, s.kind, s.created_at_us, s.info, c.status, c.end_reason, "
    "c.updated_at_us, c.expires_at_us, c.last_seq, c.message_count, c.turn_count, c.token_count, c.branch_count, c.active_branch, "
    "c.input_tokens, c.output_tokens, c.cache_read_input_tokens, c.cache_creation_input_tokens, c.reasoning_output_tokens, "
    "c.cost_microusd, c.ttl_us"
)


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
    """Build the light row of a session from ``HEAD_COLUMNS``."""
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
