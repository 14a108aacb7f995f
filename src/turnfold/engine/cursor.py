"""Cursors: the last seq a reader has, as an int that also knows the session's incarnation and can travel as a signed token."""

from __future__ import annotations

import msgspec

from turnfold.errors import InvalidInput

_TAG_BYTES = 12
_DEFAULT_KEY = b"turnfold/cursor/1"
"""Without a configured key the signature finds typos, not forgers; a cursor gives no right to read anything."""


class Cursor(int):
    """A place in a session's log. Compares and adds like its seq."""

    incarnation: str | None = None

    @classmethod
    def at(cls, seq: int, incarnation: str | None) -> Cursor:
        """Make a cursor at ``seq`` of that incarnation."""
        cursor = cls(seq)
        cursor.incarnation = incarnation or None
        return cursor

    def token(self, key: bytes | None = None) -> str:
        """Return the opaque, signed form for other processes and URLs."""
        body = msgspec.json.encode([int(self), self.incarnation])
        import base64

        return base64.urlsafe_b64encode(_sign(body, key) + body).decode().rstrip("=")

    @classmethod
    def parse(cls, value: int | str, key: bytes | None = None) -> Cursor:
        """Accept an int, a Cursor or a token.

        Raises:
            InvalidInput: Not a seq, or not a token signed with this key.
        """
        if isinstance(value, Cursor):
            return value
        if isinstance(value, int):
            if value < 0:
                raise InvalidInput(f"a cursor is 0 or a seq, not {value}")
            return cls(value)
        if value.isdecimal():
            return cls(int(value))
        import base64
        from hmac import compare_digest

        try:
            raw = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
            tag, body = raw[:_TAG_BYTES], raw[_TAG_BYTES:]
            seq, incarnation = msgspec.json.decode(body, type=tuple[int, str | None])
        except (msgspec.DecodeError, ValueError) as error:
            raise InvalidInput("this is no cursor of ours", hint="take it from page.cursor.token()") from error
        if not compare_digest(tag, _sign(body, key)):
            raise InvalidInput("the cursor's signature does not match", hint="it was made with another key, or changed on the way")
        return cls.at(seq, incarnation)


def _sign(body: bytes, key: bytes | None) -> bytes:
    from hmac import digest

    return digest(key or _DEFAULT_KEY, body, "sha256")[:_TAG_BYTES]
