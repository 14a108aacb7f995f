"""The keyring port: where the keys of encrypted sessions are. Blocking, thread-safe, errors are TurnfoldErrors.

Theory of operation. Each creation of a session (its incarnation) has a data key of its own, made before its first commit is written and kept,
wrapped by a master key, in the keyring and nowhere else: a copy of the store holds no key, so that forgetting a session's key makes every copy
of it unreadable. A key has an id that stands in each ciphertext; a key that seals nothing new any more stays to open what it sealed. The
index secret is one for all sessions: tags and search terms become tokens under it, which must be the same in each session to be found.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from turnfold.model.keys import DataKey, KeyInfo
from turnfold.model.session import SessionKey

Progress = Callable[[int, int], None]
"""Called with (done, total)."""


@runtime_checkable
class Kms(Protocol):
    """Master keys somewhere else: a key management service, a hardware module, an OS keyring. What it wraps, it must unwrap for ever."""

    @property
    def key_id(self) -> str:
        """The master key that wraps now; another one after a rotation in the service."""
        ...

    def wrap(self, secret: bytes, context: bytes) -> bytes:
        """Encrypt a secret under the master key ``key_id``; ``context`` is authenticated with it, not secret."""
        ...

    def unwrap(self, key_id: str, wrapped: bytes, context: bytes) -> bytes:
        """Decrypt what ``wrap`` gave under that master key, with the same context.

        Raises:
            KeyUnavailable: There is no such master key, or it may not be used.
            IntegrityError: It was not wrapped by that key with that context.
        """
        ...


@runtime_checkable
class RenewableKms(Kms, Protocol):
    """Master keys that Turnfold may make and destroy."""

    def renew(self) -> None:
        """Make a new master key and wrap by it from now on."""
        ...

    def destroy_older(self) -> None:
        """Destroy all master keys but the current one."""
        ...


@runtime_checkable
class Keyring(Protocol):
    """What the encrypting wrapper and ``turnfold keys`` ask of a keyring."""

    can_forget: bool
    """Whether a single session's key can be destroyed; not where all are derived from the master key."""

    def describe(self) -> str:
        """Where it is, for messages; without secrets."""
        ...

    def version(self) -> int:
        """A number that is another one once keys were renewed or forgotten by anybody; cheap, and at most ``KEYRING_CHECK_S`` late."""
        ...

    def create(self, key: SessionKey, incarnation: str) -> DataKey:
        """Make and keep a data key for a new session, durably; the one that is there if there is one."""
        ...

    def current(self, key: SessionKey, incarnation: str, *, renew: bool = True) -> DataKey:
        """Return the key that new content of a session is sealed with; a new one after a rotation, if it is asked for to ``renew``.

        Raises:
            KeyUnavailable: It was forgotten, or the session is not of this keyring.
        """
        ...

    def find(self, key: SessionKey, kid: str) -> DataKey:
        """Return the key with that id. Raises KeyUnavailable."""
        ...

    def has(self, key: SessionKey, incarnation: str) -> bool:
        """Whether it holds a key of that creation of a session."""
        ...

    def forgotten(self, key: SessionKey) -> bool:
        """Whether keys of that session were forgotten on purpose."""
        ...

    def discard(self, key: SessionKey, incarnation: str) -> None:
        """Drop the keys of a creation that did not happen."""
        ...

    def forget(self, key: SessionKey, *, incarnation: str | None = None, remember: bool = True) -> int:
        """Destroy the keys of a session (of one creation of it); return how many.

        Args:
            key: Which session.
            incarnation: Only this creation's; None is all.
            remember: Keep a note that they were forgotten, so that reads can say so.

        Raises:
            NotSupported: The keys are derived from the master key.
        """
        ...

    def index_secret(self) -> bytes:
        """Return the 32 bytes that tags and search terms are made tokens with."""
        ...

    def rotate(self, *, eager: bool = False, progress: Progress | None = None) -> KeyInfo:
        """Make a new master key: new keys are wrapped by it, and each session gets a new data key with its next commit.

        Args:
            eager: Also wrap every kept key anew and destroy the older master keys. Goes on where it was interrupted.
            progress: Called with (done, total) keys.

        Raises:
            NotSupported: The keys are derived from a master key that is not the keyring's to change.
        """
        ...

    def list_keys(self) -> list[KeyInfo]:
        """Return all keys, without key material: masters first."""
        ...

    def close(self) -> None:
        """Forget unwrapped keys. Idempotent; the keyring may be used again."""
        ...
