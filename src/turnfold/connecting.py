"""``connect``: from a store URL and settings to a client; ``copy`` and ``backup``: from one store to another."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from turnfold.config import Config, data_dir, load_config
from turnfold.errors import NotSupported, StoreCorrupt
from turnfold.ports.store import Store
from turnfold.stores.registry import open_store

if TYPE_CHECKING:  # each function imports the client it makes: asyncio alone costs more than the rest of the import
    import os
    from pathlib import Path

    from turnfold.client import Client
    from turnfold.client_async import AsyncClient
    from turnfold.engine.copying.report import CopyProgress, CopyReport
    from turnfold.model.query import CheckReport


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


def copy(
    source: str | Store,
    target: str | Store,
    *,
    tenants: Collection[str] | None = None,
    verify_only: bool = False,
    integrity_key: bytes | str | None = None,
    progress: Callable[[CopyProgress], object] | None = None,
) -> CopyReport:
    """Bring one store up to date with another: all tenants, sessions, shared state, runs, seals and parts, byte for byte.

    What was copied is read back and compared. Killed at any moment, it goes on when it is run again; a later run copies only what has
    changed. Others may write to the source meanwhile: each session is copied as it was at one moment. A session that has events of its own
    in the target is left alone and reported.

    Args:
        source: A store's URL, or a store object.
        target: Where to; sessions that are there and not in the source stay.
        tenants: Only these; None takes all.
        verify_only: Write nothing; compare every byte of every session.
        integrity_key: The key that the source's digests were made with; also ``TURNFOLD_INTEGRITY_KEY``.
        progress: Called before each session and at the end.

    Raises:
        InvalidInput: A URL cannot be understood, or both are the same store.
        StoreUnavailable: A store cannot be opened or went away; run it again to go on.
    """
    from turnfold.engine.copying.stores import copy_stores

    key = load_config(integrity_key=integrity_key).integrity_key
    with _opened(source, key) as one, _opened(target, key) as other:
        return copy_stores(one, other, tenants=tenants, mac_key=key, verify_only=verify_only, progress=progress)


async def copy_async(
    source: str | Store,
    target: str | Store,
    *,
    tenants: Collection[str] | None = None,
    verify_only: bool = False,
    integrity_key: bytes | str | None = None,
    progress: Callable[[CopyProgress], object] | None = None,
) -> CopyReport:
    """Do what ``copy`` does in a thread of its own; ``progress`` is called there, and a cancelled await does not end it."""
    from asyncio import to_thread

    keys: dict[str, Any] = {"tenants": tenants, "verify_only": verify_only, "integrity_key": integrity_key, "progress": progress}
    return await to_thread(copy, source, target, **keys)


def backup(source: str | Store, target: str | os.PathLike[str], *, replace: bool = False) -> CheckReport:
    """Write a checked copy of a store in use to a file (SQLite) or a directory (files); it holds all that was acknowledged before.

    Args:
        source: The store's URL, or a store object.
        target: The file to make; for a files store a directory, which is made or brought up to date.
        replace: Put the file in the place of one that is there.

    Returns:
        What the check of the backup found: no problems, and facts such as ``size_bytes``, ``session_count``, ``event_count``.

    Raises:
        AlreadyExists: There is such a file, and it is not to be replaced.
        NotSupported: The store's server has its own way of backups; the hint names it.
        StoreCorrupt: The copy, and so the store, is damaged.
    """
    from pathlib import Path

    from turnfold.ports.store import BackupStore

    with _opened(source, load_config().integrity_key) as store:
        if isinstance(store, BackupStore):
            return store.backup(Path(target).absolute(), replace=replace)
        return _copied(store, Path(target).absolute())


def _copied(store: Store, target: Path) -> CheckReport:
    """The backup of a files store: an up-to-date copy in another directory."""
    from urllib.parse import quote

    scheme = store.url.partition(":")[0]
    if scheme != "files":
        hint = _BACKUP_HINTS.get(scheme, "turnfold store copy writes everything to any other store, for example a SQLite file")
        raise NotSupported(f"the {scheme} store is not backed up to a file", hint=hint)
    url = f"files:///{quote(str(target))}"
    report = copy(store, url)
    if report.problems:
        problem = report.problems[0]
        message = f"{report.problem_count} sessions were not backed up; {problem.session_id!r}: {problem.message}"
        raise StoreCorrupt(message, path=str(target))
    with _opened(url, None) as other:
        return other.check()


_DUMP = "pg_dump, or your provider's snapshots; turnfold store copy writes everything to a SQLite file"
_BACKUP_HINTS = {
    "postgresql": _DUMP,
    "postgres": _DUMP,
    "redis": "the server's AOF or RDB files; turnfold store copy writes everything to a SQLite file",
    "s3": "the bucket's versioning or replication; turnfold store copy writes everything to a SQLite file",
}


@contextmanager
def _opened(url: str | Store, key: bytes | None) -> Iterator[Store]:
    """A store by its URL, closed at the end; one that is open stays open."""
    if not isinstance(url, str):
        yield url
        return
    store = open_store(url, integrity_key=key)
    try:
        yield store
    finally:
        store.close()


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
