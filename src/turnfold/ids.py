"""Identifiers: time-ordered event ids, salts, and the composite session id ``agent:channel:peer[:thread]``.

Ids are fixed before the first attempt of a commit, so that a retry carries the same ones (the idempotency key is the id inside its session).
"""

from __future__ import annotations

import os
import threading
import time
from typing import NamedTuple, NewType
from urllib.parse import quote, unquote

from turnfold.errors import InvalidInput
from turnfold.limits import NAME_BYTES_MAX, SESSION_ID_BYTES_MAX

SessionId = NewType("SessionId", str)
EventId = NewType("EventId", str)

SALT_BYTES = 16
_POOL_BYTES = 8192


class _Pool:
    """Random bytes in bulk: one system call serves hundreds of events; emptied in a forked child."""

    __slots__ = ("_data", "_lock", "_used")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        self._data = b""
        self._used = 0

    def take(self, count: int) -> bytes:
        with self._lock:
            used = self._used
            if used + count > len(self._data):
                self._data = os.urandom(_POOL_BYTES)
                used = 0
            self._used = used + count
            return self._data[used : used + count]


_pool = _Pool()
os.register_at_fork(after_in_child=_pool.clear)


def now_us() -> int:
    """Return the wall clock in microseconds since the epoch, UTC (the one place that reads it)."""
    return time.time_ns() // 1000


def new_salt() -> bytes:
    """Return 16 random bytes."""
    return _pool.take(SALT_BYTES)


def new_id() -> str:
    """Return a UUIDv7 (RFC 9562): 48 bits of Unix milliseconds, then 74 random bits."""
    return uuid7(time.time_ns() // 1_000_000, _pool.take(10))


def uuid7(unix_ms: int, entropy: bytes) -> str:
    """Format a UUIDv7 from a time in milliseconds and 10 bytes of entropy."""
    assert len(entropy) == 10
    tail = int.from_bytes(entropy, "big")
    high = (unix_ms & 0xFFFF_FFFF_FFFF) << 16 | 0x7000 | (tail >> 64) & 0x0FFF
    low = 0x8000_0000_0000_0000 | tail & 0x3FFF_FFFF_FFFF_FFFF
    text = f"{high:016x}{low:016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class SessionAddress(NamedTuple):
    """The parts of a composite session id."""

    agent: str
    channel: str
    peer: str
    thread: str | None = None


def format_session_id(address: SessionAddress) -> SessionId:
    """Join the parts with ``:``, percent-escaping what would be ambiguous, so that ``parse_session_id`` gives them back exactly."""
    parts = [address.agent, address.channel, address.peer] + ([] if address.thread is None else [address.thread])
    if any(part == "" for part in parts):
        raise InvalidInput("a composite session id has no empty parts")
    text = ":".join(quote(part, safe="@+-._~!$&'()*,;= /") for part in parts)
    return check_session_id(text)


def parse_session_id(session_id: str) -> SessionAddress:
    """Split a composite session id.

    Raises:
        InvalidInput: It has not three or four parts.
    """
    parts = [unquote(part, errors="strict") for part in session_id.split(":")]
    if len(parts) not in {3, 4}:
        raise InvalidInput(f"{session_id!r} is not of the form agent:channel:peer[:thread]")
    return SessionAddress(*parts)


def check_session_id(session_id: str) -> SessionId:
    """Return the id, or raise if it is empty, too long or not encodable."""
    check_text(session_id, "session_id", SESSION_ID_BYTES_MAX)
    return SessionId(session_id)


def check_name(value: str, what: str, bytes_max: int = NAME_BYTES_MAX) -> str:
    """Return a name (owner, agent, branch …), or raise if it is empty, too long or not encodable."""
    return check_text(value, what, bytes_max)


def check_text(value: str, what: str, bytes_max: int) -> str:
    """Return the text, or raise InvalidInput naming ``what`` and the limit."""
    if not isinstance(value, str) or not value:
        raise InvalidInput(f"{what} must be a non-empty string")
    try:
        size = len(value) if value.isascii() else len(value.encode())
    except UnicodeEncodeError as error:
        raise InvalidInput(f"{what} holds a lone surrogate, which no store can keep") from error
    if size > bytes_max:
        raise InvalidInput(f"{what} has {size} bytes, the limit is {bytes_max}", limit=f"{what}_bytes_max", value=bytes_max)
    return value
