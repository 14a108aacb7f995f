"""What names a keyring: a file's path, ``env:VARIABLE`` with a master key, ``os:NAME`` for a master key in the system's keyring."""

from __future__ import annotations

from pathlib import Path

from turnfold.errors import InvalidInput
from turnfold.ports.keyring import Keyring, Kms
from turnfold.stores.encrypted.derived import DerivedKeyring

ENVIRONMENT, SYSTEM, FILE = "env:", "os:", "file:"


def open_keyring(spec: str, *, kms: Kms | None = None, data_dir: Path | None = None) -> Keyring:
    """Open the keyring that a text names.

    Args:
        spec: A path (``file:`` may stand before it), ``env:VARIABLE`` or ``os:NAME``.
        kms: Holds the master keys of a keyring file.
        data_dir: Where the wrapped keys of ``os:`` keyrings are.

    Raises:
        KeyUnavailable: There is none, or it cannot be used as it is.
    """
    if spec.startswith(ENVIRONMENT) and kms is None:
        return DerivedKeyring.from_environment(spec.removeprefix(ENVIRONMENT))
    from turnfold.stores.encrypted.filering import FileKeyring  # which locks files as POSIX has it; keys in the environment need none

    if kms is not None or not spec.startswith(SYSTEM):
        return FileKeyring(_path(spec), kms=kms)
    from turnfold.stores.encrypted.masters import SystemMasters

    return FileKeyring(_system_path(spec, data_dir), kms=SystemMasters(spec.removeprefix(SYSTEM)))


def new_keyring(spec: str, *, kms: Kms | None = None, masters_in: str = "a KMS", data_dir: Path | None = None) -> Keyring:
    """Make the keyring that a text names, with a new master key.

    Args:
        spec: A path or ``os:NAME``.
        kms: Holds the master keys; only with a path.
        masters_in: What ``kms`` is called in messages.
        data_dir: Where the wrapped keys of ``os:`` keyrings are.

    Raises:
        AlreadyExists: There is one.
        InvalidInput: It is one in the environment, which is not Turnfold's to change.
    """
    if spec.startswith(ENVIRONMENT):
        hint = "turnfold keys new --print makes a master key; put it into the variable"
        raise InvalidInput(f"{spec} is in the environment, where nothing can be made", hint=hint)
    from turnfold.stores.encrypted.filering import FileKeyring

    if not spec.startswith(SYSTEM):
        return FileKeyring.create_file(_path(spec), kms=kms, masters_in=masters_in)
    from turnfold.stores.encrypted.masters import SystemMasters

    path = _system_path(spec, data_dir)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return FileKeyring.create_file(path, kms=SystemMasters.make(spec.removeprefix(SYSTEM)), masters_in=spec)


def _path(spec: str) -> Path:
    path = spec.removeprefix(FILE)
    if not path:
        raise InvalidInput("a keyring has an empty path", hint="for example keys.jsonl, env:NAME or os:NAME")
    return Path(path).expanduser()


def _system_path(spec: str, data_dir: Path | None) -> Path:
    name = spec.removeprefix(SYSTEM)
    if not name or not set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."):
        raise InvalidInput(f"{spec!r} names no keyring", hint="os: and a name of letters, digits, - _ and .")
    if data_dir is None:
        raise InvalidInput("a keyring os:NAME needs a data directory")
    return data_dir / "keys" / f"{name}.jsonl"
