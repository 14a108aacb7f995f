"""``copy`` and ``backup``: everything from one store to another, or to a file, while it is in use."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from turnfold.config import load_config
from turnfold.connecting import open_configured
from turnfold.engine.copying.report import CopyProgress, CopyReport
from turnfold.engine.copying.stores import copy_stores
from turnfold.errors import NotSupported, StoreCorrupt, StoreUnavailable
from turnfold.model.query import CheckReport
from turnfold.ports.keyring import Keyring
from turnfold.ports.store import BackupStore, Store
from turnfold.stores.registry import ENCRYPTED, path_of


def copy(
    source: str | Store,
    target: str | Store,
    *,
    tenants: Collection[str] | None = None,
    verify_only: bool = False,
    integrity_key: bytes | str | None = None,
    keyring: str | Keyring | None = None,
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
        keyring: Of encrypted stores, as for ``connect``; a URL's option ``keyring`` names another for that store.
        progress: Called before each session and at the end.

    Raises:
        InvalidInput: A URL cannot be understood, or both are the same store.
        StoreUnavailable: A store cannot be opened or went away; run it again to go on.
    """
    key = load_config(integrity_key=integrity_key).integrity_key
    if isinstance(source, str):
        _check_there(source)
    with _opened(source, key, keyring) as one, _opened(target, key, keyring) as other:
        return copy_stores(one, other, tenants=tenants, mac_key=key, verify_only=verify_only, progress=progress)


async def copy_async(
    source: str | Store,
    target: str | Store,
    *,
    tenants: Collection[str] | None = None,
    verify_only: bool = False,
    integrity_key: bytes | str | None = None,
    keyring: str | Keyring | None = None,
    progress: Callable[[CopyProgress], object] | None = None,
) -> CopyReport:
    """Do what ``copy`` does in a thread of its own; ``progress`` is called there, and a cancelled await does not end it."""
    from asyncio import to_thread

    options: dict[str, Any] = {"tenants": tenants, "verify_only": verify_only, "progress": progress}
    return await to_thread(copy, source, target, integrity_key=integrity_key, keyring=keyring, **options)


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
    if isinstance(source, str):
        _check_there(source)
    with _opened(source, load_config().integrity_key, None) as store:
        if isinstance(store, BackupStore):
            return store.backup(Path(target).absolute(), replace=replace)
        return _copied(store, Path(target).absolute())


def _copied(store: Store, target: Path) -> CheckReport:
    """The backup of a files store: an up-to-date copy in another directory."""
    scheme = store.url.partition(":")[0]
    if scheme != "files":
        hint = _ENCRYPTED_HINT if scheme.startswith("encrypted+") else _BACKUP_HINTS.get(scheme, _COPY_HINT)
        raise NotSupported(f"the {scheme} store is not backed up to a file", hint=hint)
    url = f"files:///{quote(str(target))}"
    report = copy(store, url)
    if report.problems:
        problem = report.problems[0]
        message = f"{report.problem_count} sessions were not backed up; {problem.session_id!r}: {problem.message}"
        raise StoreCorrupt(message, path=str(target))
    with _opened(url, None, None) as other:
        return other.check()


_COPY_HINT = "turnfold store copy writes everything to any other store, for example a SQLite file"
_ENCRYPTED_HINT = (
    "back up the store without encrypted+ in its URL: it is copied as it is, encrypted; and keep a copy of the keyring elsewhere"
)
_DUMP = "pg_dump, or your provider's snapshots; turnfold store copy writes everything to a SQLite file"
_BACKUP_HINTS = {
    "postgresql": _DUMP,
    "postgres": _DUMP,
    "redis": "the server's AOF or RDB files; turnfold store copy writes everything to a SQLite file",
    "s3": "the bucket's versioning or replication; turnfold store copy writes everything to a SQLite file",
}


def _check_there(url: str) -> None:
    """Raise StoreUnavailable where the URL of a source names a file or folder that is not there: opening it would make an empty one."""
    plain = url.removeprefix(ENCRYPTED)
    if plain.partition(":")[0] in {"sqlite", "files"}:
        path = Path(path_of(plain)[0].removeprefix("/"))
        if not path.exists():
            raise StoreUnavailable(f"there is no store at {path.absolute()}", hint="is the URL right?", path=str(path))


@contextmanager
def _opened(url: str | Store, key: bytes | None, keyring: str | Keyring | None) -> Iterator[Store]:
    """A store by its URL, closed at the end; one that is open stays open."""
    if not isinstance(url, str):
        yield url
        return
    store = open_configured(url, integrity_key=key, keyring=keyring)
    try:
        yield store
    finally:
        store.close()
