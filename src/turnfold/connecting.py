"""``connect``: from a store URL and settings to a client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from turnfold.config import Config, data_dir, load_config
from turnfold.errors import KeyUnavailable
from turnfold.ports.store import Store
from turnfold.stores.registry import ENCRYPTED, open_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from turnfold.ports.keyring import Keyring, Kms

    AnyKeyring = Keyring
if TYPE_CHECKING:  # each function imports the client it makes: asyncio alone costs more than the rest of the import
    from turnfold.client import Client
    from turnfold.client_async import AsyncClient


def connect(
    url: str | Store | None = None,
    *,
    tenant: str | None = None,
    owner: str | None = None,
    integrity_key: bytes | str | None = None,
    keyring: str | Keyring | None = None,
    **settings: Any,
) -> Client:
    """Open a store and return a client for it.

    Args:
        url: ``sqlite:///file.db``, ``files:///dir``, ``memory://``, a store object, or None: ``TURNFOLD_STORE``, the configuration file,
            else SQLite in the user's data directory.
        tenant: The isolation boundary (default ``default``).
        owner: Bind the client to one owner; None sees the whole tenant.
        integrity_key: Makes digests and seals HMACs; also ``TURNFOLD_INTEGRITY_KEY``.
        keyring: Where the keys of an ``encrypted+`` store are: the path of a keyring file, ``env:VARIABLE``, ``os:NAME``, or what
            ``open_keyring`` gave; also ``TURNFOLD_KEYRING``.
        settings: Fields of ``Settings``, over environment and file.

    Raises:
        InvalidInput: The URL or a setting cannot be understood.
        StoreUnavailable: The store cannot be opened; the message names the path.
        KeyUnavailable: The keyring of an encrypted store is not there.
    """
    from turnfold.client import Client

    config = _configure(url, tenant, owner, integrity_key, settings | {"keyring": keyring if isinstance(keyring, str) else None})
    return Client(_store(url, config, keyring), **_arguments(config), close_store=url is None or isinstance(url, str))


def connect_async(
    url: str | Store | None = None,
    *,
    tenant: str | None = None,
    owner: str | None = None,
    integrity_key: bytes | str | None = None,
    keyring: str | Keyring | None = None,
    **settings: Any,
) -> AsyncClient:
    """Open a store and return an async client for it; the arguments are those of ``connect``."""
    from turnfold.client_async import AsyncClient

    config = _configure(url, tenant, owner, integrity_key, settings | {"keyring": keyring if isinstance(keyring, str) else None})
    return AsyncClient(_store(url, config, keyring), **_arguments(config), close_store=url is None or isinstance(url, str))


def open_configured(url: str, *, integrity_key: bytes | None, keyring: str | Keyring | None) -> Store:
    """Open the store of a URL, with the configured keyring where it needs one and none is given."""
    config = load_config(store=url, integrity_key=integrity_key, keyring=keyring if isinstance(keyring, str) else None)
    return _store(url, config, keyring)


def _configure(url: Any, tenant: Any, owner: Any, integrity_key: Any, settings: dict[str, Any]) -> Config:
    store = url if isinstance(url, str) else None
    return load_config(store=store, tenant=tenant, owner=owner, integrity_key=integrity_key, **settings)


def _store(url: str | Store | None, config: Config, keyring: str | Keyring | None) -> Store:
    if url is not None and not isinstance(url, str):
        return url
    if config.origin["store"] == "default":  # nobody was asked where: the folder is ours to make
        data_dir().mkdir(mode=0o700, parents=True, exist_ok=True)
    if not config.store.startswith(ENCRYPTED):
        return open_store(config.store, integrity_key=config.integrity_key)
    return open_store(config.store, integrity_key=config.integrity_key, keyring=_keyring_of(config, keyring))


def _keyring_of(config: Config, given: str | Keyring | None) -> Callable[[str | None], Keyring]:
    """Return what opens the keyring of an encrypted store: the one given, else the one that the URL names, else the configured one."""

    def opened(in_url: str | None) -> Keyring:
        if given is not None and not isinstance(given, str):
            return given
        spec = given or in_url or config.keyring
        if spec is None:
            hint = "TURNFOLD_KEYRING, keyring= or the setting keyring; turnfold keys new makes one"
            raise KeyUnavailable(f"no keyring is named for {ENCRYPTED[:-1]} stores", hint=hint)
        return open_keyring(spec)

    return opened


def new_master_key() -> str:
    """Return a new master key as text, for an ``env:`` keyring."""
    from turnfold.codec.keyring import make_master

    return make_master()


def open_keyring(spec: str, *, kms: Kms | None = None) -> Keyring:
    """Open the keyring that a text names; ``connect`` and ``turnfold.open_keyring`` do the same.

    Args:
        spec: The path of a keyring file, ``env:VARIABLE`` (a master key, 32 bytes as base64 or hexadecimal) or ``os:NAME``.
        kms: Holds the master keys of a keyring file that was made with it.

    Raises:
        KeyUnavailable: There is none, or it cannot be used as it is.
    """
    from turnfold.stores.encrypted.specs import open_keyring as opened

    return opened(spec, kms=kms, data_dir=data_dir())


def new_keyring(spec: str, *, kms: Kms | None = None) -> Keyring:
    """Make a keyring with a new master key.

    Args:
        spec: The path of a file that is not there, or ``os:NAME``.
        kms: Holds the master keys instead of the file.

    Raises:
        AlreadyExists: There is one.
        InvalidInput: It names one in the environment.
    """
    from turnfold.stores.encrypted.specs import new_keyring as made

    return made(spec, kms=kms, data_dir=data_dir())


def _arguments(config: Config) -> dict[str, Any]:
    return {"tenant": config.tenant, "owner": config.owner, "settings": config.settings, "integrity_key": config.integrity_key}
