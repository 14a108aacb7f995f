"""Configuration: arguments > ``TURNFOLD_*`` environment > ``turnfold.toml`` > defaults, and where each value came from."""

from __future__ import annotations

import os
import sys
import types
from functools import cache
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import msgspec

from turnfold.errors import InvalidInput
from turnfold.model.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

PREFIX = "TURNFOLD_"
FILE = "turnfold.toml"
_NAMES = ("store", "tenant", "owner", "integrity_key", "keyring", *Settings.__struct_fields__)


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """What holds, and for each key where it came from (``argument``, ``environment``, the file's path, ``default``)."""

    store: str
    tenant: str = "default"
    owner: str | None = None
    integrity_key: bytes | None = None
    keyring: str | None = None
    settings: Settings = Settings()
    origin: dict[str, str] = {}

    def __repr__(self) -> str:
        """Without the key."""
        return f"Config(store={self.store!r}, tenant={self.tenant!r}, owner={self.owner!r})"


def data_dir(environ: dict[str, str] | None = None) -> Path:
    """Return the user's data directory for Turnfold on this platform."""
    from pathlib import Path

    env = dict(os.environ) if environ is None else environ
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "turnfold"
    if sys.platform == "win32":
        return Path(env.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "turnfold"
    return Path(env.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "turnfold"


def default_store(environ: dict[str, str] | None = None) -> str:
    """Return the URL of the default store."""
    return f"sqlite:///{data_dir(environ) / 'turnfold.db'}"


def load_config(*, environ: dict[str, str] | None = None, directory: Path | None = None, **arguments: Any) -> Config:
    """Put the configuration together.

    Args:
        environ: Instead of the process's environment.
        directory: Where ``turnfold.toml`` is looked for (default: the working directory), after ``TURNFOLD_CONFIG``.
        arguments: ``store``, ``tenant``, ``owner``, ``integrity_key``, ``keyring`` and the fields of ``Settings``; None does not count as given.

    Raises:
        InvalidInput: An unknown key, or a value of the wrong type; the message names key and place.
    """
    env = dict(os.environ) if environ is None else environ
    path, file_values = _read_file(env, directory)
    unknown = (arguments.keys() | file_values.keys()) - set(_NAMES)
    if unknown:
        raise InvalidInput(f"no setting is named {', '.join(sorted(unknown))}", hint=f"settings: {', '.join(_NAMES)}")
    values: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for name in _NAMES:
        variable = PREFIX + name.upper()
        if arguments.get(name) is not None:
            values[name], origin[name] = arguments[name], "argument"
        elif env.get(variable):
            values[name], origin[name] = _convert(env[variable], _kinds()[name], variable), f"environment {variable}"
        elif name in file_values:
            values[name], origin[name] = _convert(file_values[name], _kinds()[name], f"{name} in {path}"), str(path)
        else:
            origin[name] = "default"
    key = values.get("integrity_key")
    if isinstance(key, str):
        values["integrity_key"] = key.encode()
    if "store" not in values:
        values["store"] = default_store(env)
    settings = Settings(**{name: values.pop(name) for name in Settings.__struct_fields__ if name in values})
    return Config(**values, settings=settings, origin=origin)


@cache
def _kinds() -> dict[str, Any]:
    """The types of all keys; only asked for where a text has to become a value, since it costs as much as opening a store."""
    kinds: dict[str, Any] = {"store": str, "tenant": str, "owner": str, "integrity_key": str, "keyring": str}
    return kinds | get_type_hints(Settings)


def _read_file(env: dict[str, str], directory: Path | None) -> tuple[str | None, dict[str, Any]]:
    named = env.get(PREFIX + "CONFIG")
    path = named or os.path.join(directory or "", FILE)  # noqa: PTH118  # pathlib would be a tenth of the whole import
    try:
        with open(path, "rb") as file:  # noqa: PTH123  # the same
            text = file.read()
    except FileNotFoundError:
        if named:
            raise InvalidInput(f"there is no configuration file {path}", hint=f"{PREFIX}CONFIG names it") from None
        return None, {}
    except OSError as error:
        raise InvalidInput(f"the configuration file {path} cannot be read: {error.strerror}") from error
    import tomllib

    try:
        return path, tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"the configuration file {path} is not TOML: {error}") from error


def _convert(value: Any, kind: Any, where: str) -> Any:
    allowed = get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    try:
        if bool in allowed and isinstance(value, str):
            return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[value.lower()]
        for one in (int, float):
            if one in allowed and isinstance(value, str):
                return one(value)
        return msgspec.convert(value, kind)
    except (KeyError, ValueError, msgspec.ValidationError) as error:
        raise InvalidInput(f"{where} cannot be {value!r}") from error
