"""The statements that put events into SQLite's one tree, and their columns; what is packed where is in ``stores.sql.rows``."""

from __future__ import annotations

from typing import Final

from turnfold.model.event import Event
from turnfold.model.usage import NO_USAGE
from turnfold.stores.sql.rows import EventRow

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


HEAD_COLUMNS: Final = (
    "s.sn, s.session_id, s.tenant, s.incarnation, s.owner, s.agent, s.kind, s.created_at_us, s.info, c.status, c.end_reason, "
    "c.updated_at_us, c.expires_at_us, c.last_seq, c.message_count, c.turn_count, c.token_count, c.branch_count, c.active_branch, "
    "c.input_tokens, c.output_tokens, c.cache_read_input_tokens, c.cache_creation_input_tokens, c.reasoning_output_tokens, "
    "c.cost_microusd, c.ttl_us"
)
