"""Master keys in the operating system's keyring, through the ``keyring`` package: the sessions' keys are in a file, wrapped by them."""

from __future__ import annotations

import secrets
from typing import Any

import msgspec

from turnfold.codec.cipher import KEY_BYTES, kid_of
from turnfold.codec.keyring import as_json, unwrap, wrap
from turnfold.errors import AlreadyExists, IntegrityError, KeyUnavailable, missing_extra

SERVICE = "turnfold"


class _Masters(msgspec.Struct):
    current: str
    keys: dict[str, bytes]

    def __repr__(self) -> str:
        return f"_Masters({self.current!r})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("current", self.current)]


class SystemMasters:
    """Master keys under one name of the system's keyring; a KMS as ``ports.keyring`` has it, which also makes and destroys keys."""

    def __init__(self, name: str) -> None:
        """Read them.

        Raises:
            KeyUnavailable: The system's keyring has none of that name, or is locked.
            MissingExtra: The package is not installed.
        """
        self._name = name
        found = _ask(lambda library: library.get_password(SERVICE, name), name)
        if found is None:
            raise KeyUnavailable(f"the system's keyring has no master key {name!r}", hint=f"turnfold keys new os:{name} makes one")
        try:
            self._masters = msgspec.json.decode(found, type=_Masters)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise IntegrityError(f"what the system's keyring has under {name!r} is not Turnfold's") from None

    @classmethod
    def make(cls, name: str) -> SystemMasters:
        """Make a first master key under a name.

        Raises:
            AlreadyExists: There is one.
        """
        if _ask(lambda library: library.get_password(SERVICE, name), name) is not None:
            raise AlreadyExists(f"the system's keyring has a master key {name!r} already")
        kid = _new_id()
        _keep(name, _Masters(kid, {kid: secrets.token_bytes(KEY_BYTES)}))
        return cls(name)

    def __repr__(self) -> str:
        """Without keys."""
        return f"<{type(self).__name__} {self._name}>"

    @property
    def key_id(self) -> str:
        """See ``ports.keyring.Kms``."""
        return self._masters.current

    def wrap(self, secret: bytes, context: bytes) -> bytes:
        """See ``ports.keyring.Kms``."""
        return wrap(self._masters.keys[self._masters.current], secret, context)

    def unwrap(self, key_id: str, wrapped: bytes, context: bytes) -> bytes:
        """See ``ports.keyring.Kms``."""
        key = self._masters.keys.get(key_id)
        if key is None:
            raise KeyUnavailable(f"the system's keyring has no master key {key_id} under {self._name!r}", kid=key_id)
        return unwrap(key, wrapped, context, f"a key of os:{self._name}")

    def renew(self) -> None:
        """Make a new master key and wrap by it from now on."""
        kid = _new_id()
        self._change(_Masters(kid, {**self._masters.keys, kid: secrets.token_bytes(KEY_BYTES)}))

    def destroy_older(self) -> None:
        """Destroy all master keys but the current one."""
        current = self._masters.current
        self._change(_Masters(current, {current: self._masters.keys[current]}))

    def _change(self, masters: _Masters) -> None:
        _keep(self._name, masters)
        self._masters = masters


def _new_id() -> str:
    return kid_of(secrets.token_bytes(KEY_BYTES))


def _keep(name: str, masters: _Masters) -> None:
    _ask(lambda library: library.set_password(SERVICE, name, as_json(masters).decode()), name)


def _ask(question: Any, name: str) -> Any:
    try:
        import keyring
        from keyring.errors import KeyringError
    except ModuleNotFoundError as error:
        raise missing_extra("keyring", "keyring") from error
    try:
        return question(keyring)
    except KeyringError as error:
        hint = "unlock it, or use a keyring file or env:"
        raise KeyUnavailable(f"the system's keyring does not give {name!r}: {type(error).__name__}", hint=hint) from error
