"""Keys derived from a master key in the environment: nothing to keep, and so nothing to forget for one session alone.

The variable holds one master key, or several with commas between them, the newest first: new content is sealed under the first, and what was
sealed under another opens as long as that one is in the list. Names, tokens and fingerprints stay under the last, which therefore is never to
be taken away while there is content under it.
"""

from __future__ import annotations

import os

from turnfold.codec.cipher import KEY_BYTES, derive, kid_of, prefixed
from turnfold.codec.keyring import parse_master
from turnfold.errors import KeyUnavailable, NotSupported
from turnfold.model.keys import KID_CHARS, DataKey, KeyInfo
from turnfold.model.session import SessionKey
from turnfold.ports.keyring import Progress

_MASTER_CHARS = 6


class DerivedKeyring:
    """A keyring that is a master key, or several."""

    can_forget = False

    def __init__(self, masters: list[bytes], where: str) -> None:
        """Bind master keys of ``KEY_BYTES`` each, the newest first.

        Args:
            masters: One at least.
            where: What the keyring is called in messages.
        """
        assert masters
        assert all(len(master) == KEY_BYTES for master in masters)
        self._masters = {kid_of(b"turnfold/master/1" + derive(master, b"turnfold/name/1"))[:_MASTER_CHARS]: master for master in masters}
        self._where = where
        self._stable = masters[-1]

    @classmethod
    def from_environment(cls, variable: str) -> DerivedKeyring:
        """Read the master keys from an environment variable.

        Raises:
            KeyUnavailable: It is not set, or holds something else.
        """
        text = os.environ.get(variable, "")
        if not text.strip():
            raise KeyUnavailable(
                f"the environment variable {variable} holds no master key", hint="make one with: turnfold keys new --print"
            )
        return cls([parse_master(part, variable) for part in text.split(",")], f"env:{variable}")

    def __repr__(self) -> str:
        """Without keys."""
        return f"<{type(self).__name__} {self._where}>"

    def describe(self) -> str:
        """See ``ports.keyring``."""
        return self._where

    def version(self) -> int:
        """See ``ports.keyring``; nothing changes while a process lives."""
        return 0

    def create(self, key: SessionKey, incarnation: str) -> DataKey:
        """See ``ports.keyring``; derived, not kept."""
        return self.current(key, incarnation)

    def current(self, key: SessionKey, incarnation: str, *, renew: bool = True) -> DataKey:
        """See ``ports.keyring``. The id names the master key and the incarnation, so that ``find`` derives the same key again."""
        rest = kid_of(prefixed(incarnation))[: KID_CHARS - _MASTER_CHARS]
        return self._derived(key, next(iter(self._masters)) + rest)

    def find(self, key: SessionKey, kid: str) -> DataKey:
        """See ``ports.keyring``."""
        if kid[:_MASTER_CHARS] not in self._masters:
            message = f"the key {kid} of session {key.session_id!r} comes from a master key that is not in {self._where}"
            raise KeyUnavailable(message, kid=kid, session_id=key.session_id)
        return self._derived(key, kid)

    def _derived(self, key: SessionKey, kid: str) -> DataKey:
        master, rest = self._masters[kid[:_MASTER_CHARS]], kid[_MASTER_CHARS:]
        payload = derive(master, b"turnfold/session/1" + prefixed(*key, rest))
        stable = derive(self._stable, b"turnfold/stable/1" + prefixed(*key, rest))
        return DataKey(kid, payload + stable)

    def has(self, key: SessionKey, incarnation: str) -> bool:
        """See ``ports.keyring``; whether the master key is the right one, only a ciphertext tells."""
        return True

    def forgotten(self, key: SessionKey) -> bool:
        """See ``ports.keyring``; none is."""
        return False

    def discard(self, key: SessionKey, incarnation: str) -> None:
        """See ``ports.keyring``; nothing was kept."""

    def forget(self, key: SessionKey, *, incarnation: str | None = None, remember: bool = True) -> int:
        """See ``ports.keyring``."""
        message = f"{self._where} derives all keys from its master key, so that one session's cannot be forgotten"
        raise NotSupported(message, hint="use a keyring file, which keeps a key for each session")

    def index_secret(self) -> bytes:
        """See ``ports.keyring``."""
        return derive(self._stable, b"turnfold/index/1")

    def rotate(self, *, eager: bool = False, progress: Progress | None = None) -> KeyInfo:
        """See ``ports.keyring``."""
        hint = "put a new key in front of the old one, with a comma between them: turnfold keys new --print makes one"
        raise NotSupported(f"{self._where} is not Turnfold's to change", hint=hint)

    def list_keys(self) -> list[KeyInfo]:
        """See ``ports.keyring``."""
        ids = list(self._masters)
        return [KeyInfo(kid=kid, kind="master", state="kept" if place else "current") for place, kid in enumerate(ids)]

    def close(self) -> None:
        """See ``ports.keyring``; the master keys belong to the environment."""
