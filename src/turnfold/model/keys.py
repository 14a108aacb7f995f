"""Keys of encrypted sessions, as they pass between a keyring and the encrypting wrapper. They are never shown."""

from __future__ import annotations

from typing import Any

import msgspec

SECRET_BYTES = 64
"""Half for payloads, half for what must stay the same when the first half is renewed: names, tokens, fingerprints."""
KID_CHARS = 16
"""Letters, digits, ``-`` and ``_``."""


class DataKey(msgspec.Struct, frozen=True, gc=False):
    """The key of one session's content.

    Attributes:
        kid: Names it inside each ciphertext: ``KID_CHARS`` of the URL-safe base64 alphabet.
        secret: ``SECRET_BYTES`` random bytes.
    """

    kid: str
    secret: bytes

    def __repr__(self) -> str:
        """Without the secret."""
        return f"DataKey({self.kid!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """The same for tracebacks that show local variables."""
        return [("kid", self.kid)]


class KeyInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a keyring says of one key; no key material.

    Attributes:
        kid: The key's id.
        kind: ``master`` or ``session``.
        tenant, session_id, incarnation: Whose it is (of a session's key).
        master: Which master key wraps it now (of a session's key).
        created_at_us: When it was made.
        state: ``current``, ``kept`` (opens what it sealed, seals nothing new) or ``forgotten``.
    """

    kid: str
    kind: str
    state: str
    tenant: str | None = None
    session_id: str | None = None
    incarnation: str | None = None
    master: str | None = None
    created_at_us: int = 0
