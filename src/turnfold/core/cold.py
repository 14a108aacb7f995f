"""Which events of a session are cold: unlikely to be erased or read soon, so that they may be kept more tightly and read more slowly."""

from __future__ import annotations

from turnfold.limits import COMPACT_IDLE_S, COMPACT_QUIET_S, COMPACT_TAIL_EVENTS

_SECOND_US = 1_000_000


def is_idle(updated_at_us: int, now_us: int) -> bool:
    """Whether nothing has happened in a session for so long that all of it is cold."""
    return now_us - updated_at_us >= COMPACT_IDLE_S * _SECOND_US


def cold_through(*, last_seq: int, sealed_seq: int, updated_at_us: int, recorded_at_us: int, now_us: int) -> int:
    """Return the seq up to which a session is cold, 0 where nothing is.

    Args:
        last_seq: Its last seq.
        sealed_seq: How far its seals reach: what is sealed was there for a while, and is not written any more.
        updated_at_us: When its last event happened, by its source.
        recorded_at_us: When the store took that event.
        now_us: The store's time.
    """
    if now_us - recorded_at_us < COMPACT_QUIET_S * _SECOND_US:
        return 0
    if is_idle(updated_at_us, now_us):
        return last_seq
    return max(min(sealed_seq, last_seq - COMPACT_TAIL_EVENTS), 0)
