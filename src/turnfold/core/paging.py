"""Keyset cursors of session lists: the sort key of the last row, opaque to callers."""

from __future__ import annotations

import base64
import binascii

import msgspec

from turnfold.errors import InvalidInput
from turnfold.limits import PAGE_SESSIONS_MAX

_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(tuple[int, str])


def list_cursor(updated_at_us: int, session_id: str) -> str:
    """Return the cursor behind a row; lists run down (updated_at, session id)."""
    return base64.urlsafe_b64encode(_encode((updated_at_us, session_id))).decode().rstrip("=")


def parse_list_cursor(cursor: str | None) -> tuple[int, str] | None:
    """Return the sort key that a list goes on below, None at its start.

    Raises:
        InvalidInput: This is no cursor.
    """
    if cursor is None:
        return None
    try:
        return _decoder.decode(base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True))
    except (binascii.Error, msgspec.DecodeError, ValueError) as error:
        raise InvalidInput(f"{cursor!r} is no cursor of a session list") from error


def check_list_limit(limit: int) -> None:
    """Raise InvalidInput unless 1 ≤ limit ≤ PAGE_SESSIONS_MAX."""
    if not 1 <= limit <= PAGE_SESSIONS_MAX:
        raise InvalidInput(f"a page has 1 to {PAGE_SESSIONS_MAX} sessions, not {limit}", limit="PAGE_SESSIONS_MAX", value=PAGE_SESSIONS_MAX)
