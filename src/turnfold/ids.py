"""Identifiers: time-ordered event ids, salts, and the composite session id ``agent:channel:peer[:thread]``.

Ids are fixed before the first attempt of a commit, so that a retry carries the same ones (the idempotency key is the id inside its session).
"""

from __future__ import annotations

import os
import threading
import time
from typing import NamedTuple, NewType

from turnfold.errors import InvalidInput
from turnfold.limits import NAME_BYTES_MAX, SESSION_ID_BYTES_MAX

SessionId = NewType("SessionId", str)
EventId = NewType("EventId", str)

SALT_BYTES = 16
ENTROPY_BYTES = 10
_POOL_BYTES = 8192
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
"""The variant bits 10 in front of two random ones."""


class _Pool:
    """Random bytes in bulk: one system call serves hundreds of events; emptied in a forked child."""

    __slots__ = ("_data", "_hex", "_lock", "_used")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        self._data = b""
        self._hex = ""
        self._used = 0

    def take(self, id_bytes: int, salt_bytes: int) -> tuple[str, bytes]:
        """Return some bytes as hexadecimal digits and some as they are: slices, where converting would cost as much as the rest of an id."""
        with self._lock:
            first = self._used
            last = first + id_bytes + salt_bytes
            if last > len(self._data):
                self._data = os.urandom(_POOL_BYTES)
                self._hex = self._data.hex()
                first, last = 0, id_bytes + salt_bytes
            self._used = last
            middle = first + id_bytes
            return self._hex[2 * first : 2 * middle], self._data[middle:last]


_pool = _Pool()
os.register_at_fork(after_in_child=_pool.clear)


def now_us() -> int:
    """Return the wall clock in microseconds since the epoch, UTC (the one place that reads it)."""
    return time.time_ns() // 1000


def new_salt() -> bytes:
    """Return 16 random bytes."""
    return _pool.take(0, SALT_BYTES)[1]


def new_id() -> str:
    """Return a UUIDv7 (RFC 9562): 48 bits of Unix milliseconds, then 74 random bits."""
    return uuid7(time.time_ns() // 1_000_000, _pool.take(ENTROPY_BYTES, 0)[0])


def new_id_and_salt(at_us: int) -> tuple[str, bytes]:
    """Return what every event needs, with one look at the pool: a UUIDv7 of that time, and a salt."""
    digits, salt = _pool.take(ENTROPY_BYTES, SALT_BYTES)
    return uuid7(at_us // 1_000, digits), salt


def uuid7(unix_ms: int, digits: str) -> str:
    """Format a UUIDv7 from a time in milliseconds and 20 hexadecimal digits of entropy (the last one and two bits are left over)."""
    time_digits = f"{unix_ms:012x}"
    return f"{time_digits[:8]}-{time_digits[8:]}-7{digits[:3]}-{_VARIANT[digits[3]]}{digits[4:7]}-{digits[7:19]}"


class SessionAddress(NamedTuple):
    """The parts of a composite session id."""

    agent: str
    channel: str
    peer: str
    thread: str | None = None


def format_session_id(address: SessionAddress) -> SessionId:
    """Join the parts with ``:``, percent-escaping what would be ambiguous, so that ``parse_session_id`` gives them back exactly."""
    from urllib.parse import quote

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
    from urllib.parse import unquote

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
