"""What a keyring file holds: one JSON object per line, and how secrets are wrapped in it.

The kinds of lines: a header; master keys (their bytes, or only their ids where they are kept elsewhere); the wrapped index secret; the wrapped
data keys of sessions, of which a later line with the same id replaces an earlier one (wrapped anew); ids that were dropped; sessions whose keys
were forgotten; the begin and end of a rotation. Lines are only added, except that forgetting and the end of a rotation write the file
anew without what has to be gone.
"""

from __future__ import annotations

from base64 import b64encode
from secrets import token_bytes
from typing import Any

import msgspec

from turnfold.codec.cipher import KEY_BYTES, gcm, open_raw, prefixed, seal_raw
from turnfold.errors import IntegrityError, KeyUnavailable

VERSION = 1
_encode = msgspec.json.Encoder().encode
_WRAP = b"turnfold/wrap/1"


class Line(msgspec.Struct, omit_defaults=True, kw_only=True):
    """One line of a keyring file; which fields are set says what kind it is."""

    turnfold_keyring: int | None = None
    masters_in: str | None = None
    master: str | None = None
    key: bytes | None = None
    index: bytes | None = None
    kid: str | None = None
    tenant: str | None = None
    session: str | None = None
    incarnation: str | None = None
    born: str | None = None
    wrapped: bytes | None = None
    drop: str | None = None
    forgotten: tuple[str, ...] | None = None
    rotating: str | None = None
    rotated: str | None = None
    at_us: int = 0

    def __repr__(self) -> str:
        """Without key material."""
        return f"Line(kid={self.kid!r}, master={self.master!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """The same for tracebacks that show local variables."""
        return [("kid", self.kid), ("master", self.master)]


_decoder = msgspec.json.Decoder(Line)


def encode_line(line: Line) -> bytes:
    """Return a line with its newline."""
    return _encode(line) + b"\n"


def decode_line(raw: bytes, number: int, where: str) -> Line:
    """Read a line.

    Raises:
        IntegrityError: It is none; names file and line, and shows nothing of it.
    """
    try:
        line = _decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        line = None
    if line is None or (line.key is not None and len(line.key) != KEY_BYTES) or (line.kid is not None and line.wrapped is None):
        raise IntegrityError(f"the keyring {where} is damaged at line {number}", hint="restore it from a backup", line=number)
    return line


def wrap(master: bytes, secret: bytes, context: bytes) -> bytes:
    """Encrypt a secret under a master key."""
    return seal_raw(gcm(master), secret, _WRAP + context)


def unwrap(master: bytes, wrapped: bytes, context: bytes, what: str) -> bytes:
    """Decrypt what ``wrap`` gave, or raise IntegrityError that names ``what``."""
    secret = open_raw(gcm(master), wrapped, _WRAP + context)
    if secret is None:
        raise IntegrityError(f"{what} cannot be unwrapped: it was changed, or the master key is another one of that name")
    return secret


def context_of(tenant: str, session_id: str, incarnation: str, kid: str) -> bytes:
    """Return what a wrapped data key is bound to."""
    return prefixed(tenant, session_id, incarnation, kid)


def parse_master(text: str, where: str) -> bytes:
    """Read a master key written as hexadecimal or base64.

    Raises:
        KeyUnavailable: It is not 32 bytes so written; the message never shows it.
    """
    from base64 import urlsafe_b64decode
    from binascii import Error

    text = text.strip()
    try:
        raw = bytes.fromhex(text) if len(text) == 2 * KEY_BYTES else urlsafe_b64decode(text.replace("+", "-").replace("/", "_"))
    except (ValueError, Error):
        raw = b""
    if len(raw) != KEY_BYTES:
        hint = "make one with: turnfold keys new --print"
        raise KeyUnavailable(f"{where} holds no master key: {KEY_BYTES} bytes as hexadecimal or base64 are expected", hint=hint)
    return raw


def make_master() -> str:
    """Return a new master key, written as ``parse_master`` reads it."""
    return b64encode(token_bytes(KEY_BYTES)).decode()


def as_json(value: Any) -> bytes:
    """Encode a small document of a keyring."""
    return _encode(value)
