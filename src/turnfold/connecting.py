"""``connect``: from a store URL and settings to a client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from turnfold.config import Config, data_dir, load_config
from turnfold.ports.store import Store
from turnfold.stores.registry import open_store

if TYPE_CHECKING:  # each function imports the client it makes: asyncio alone costs more than the rest of the import
    from turnfold.client import Client
    from turnfold.client_async import AsyncClient


def connect(
    url: str | Store | None = None,
    *,
    tenant: str | None = None,
    owner: str | None = None,
    integrity_key: bytes | str | None = None,
    **settings: Any,
) -> Client:
    """Open a store and return a client for it.

    Args:
        url: ``sqlite:///file.db``, ``files:///dir``, ``memory://``, a store object, or None: ``TURNFOLD_STORE``, the configuration file,
            else SQLite in the user's data directory.
        tenant: The isolation boundary (default ``default``).
        owner: Bind the client to one owner; None sees the whole tenant.
        integrity_key: Makes digests and seals HMACs; also ``TURNFOLD_INTEGRITY_KEY``.
        settings: Fields of ``Settings``, over environment and file.

    Raises:
        InvalidInput: The URL or a setting cannot be understood.
        StoreUnavailable: The store cannot be opened; the message names the path.
    """
    from turnfold.client import Client

    config = _configure(url, tenant, owner, integrity_key, settings)
    return Client(_store(url, config), **_arguments(config), close_store=url is None or isinstance(url, str))


def connect_async(
    url: str | Store | None = None,
    *,
    tenant: str | None = None,
    owner: str | None = None,
    integrity_key: bytes | str | None = None,
    **settings: Any,
) -> AsyncClient:
    """Open a store and return an async client for it; the arguments are those of ``connect``."""
    from turnfold.client_async import AsyncClient

    config = _configure(url, tenant, owner, integrity_key, settings)
    return AsyncClient(_store(url, config), **_arguments(config), close_store=url is None or isinstance(url, str))


def _configure(url: Any, tenant: Any, owner: Any, integrity_key: Any, settings: dict[str, Any]) -> Config:
    store = url if isinstance(url, str) else None
    return load_config(store=store, tenant=tenant, owner=owner, integrity_key=integrity_key, **settings)


def _store(url: str | Store | None, config: Config) -> Store:
    if url is not None and not isinstance(url, str):
        return url
    if config.origin["store"] == "default":  # nobody was asked where: the folder is ours to make
        data_dir().mkdir(mode=0o700, parents=True, exist_ok=True)
    return open_store(config.store, integrity_key=config.integrity_key)


def _arguments(config: Config) -> dict[str, Any]:
    return {"tenant": config.tenant, "owner": config.owner, "settings": config.settings, "integrity_key": config.integrity_key}
