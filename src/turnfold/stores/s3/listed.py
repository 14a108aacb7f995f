"""Objects of one folder, known by their tags: a LIST says which have changed, and only those are read again.

Theory of operation. A list of sessions asks for the keys of the tenant's manifests (one request per thousand), and reads those whose tag is
not the one that it knows, several at a time. So a list is exact, costs little where little has changed, and nothing has to be written for it.
What was read is kept in memory, and left in a cache object for the next process by whoever had to read many.
"""

from __future__ import annotations

import contextlib
import threading
import zlib
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec

from turnfold.errors import StoreUnavailable, TurnfoldError
from turnfold.limits import OBJECT_CATALOG_READS_MIN
from turnfold.objectstorage import Found
from turnfold.stores.s3.house import House

T = TypeVar("T")


class Kept(msgspec.Struct, Generic[T], array_like=True, frozen=True):
    """What is known of an object, and the tag of the version that it was read from."""

    e_tag: str | None
    value: T


class Folder(Generic[T]):
    """What the objects of a folder say."""

    def __init__(self, house: House, folder: str, cache_name: str, kind: type[T], read: Callable[[Found, str], T]) -> None:
        """Name it; nothing is asked for.

        Args:
            house: The store.
            folder: The folder, ending in a slash.
            cache_name: The key of the cache object.
            kind: What is made of an object, for the cache.
            read: Makes it.
        """
        self._house = house
        self._folder = folder
        self._cache_name = cache_name
        self._read = read
        self._lock = threading.Lock()
        self._known: dict[str, Kept[T]] | None = None
        self._decoder: msgspec.msgpack.Decoder[dict[str, Kept[T]]] = msgspec.msgpack.Decoder(dict[str, Kept[kind]])  # type: ignore[valid-type]
        self.request_count = 1
        """Requests that the last list of keys took."""

    def values(self, beginning: str = "") -> dict[str, T]:
        """What every object says now, by its key; only those whose name begins so are read."""
        known = self._known
        if known is None:
            known = {} if beginning else self._load()
        everything = list(self._house.bucket.objects(self._folder))
        self.request_count = len(everything) // 1_000 + 1
        listed = [item for item in everything if item.key.startswith(self._folder + beginning)]
        changed = [item.key for item in listed if item.key not in known or known[item.key].e_tag != item.e_tag]
        read = dict(zip(changed, self._house.parallel(self._fetch, changed), strict=True))
        rows: dict[str, Kept[T]] = {}
        for item in listed:
            kept = read[item.key] if item.key in read else known[item.key]
            if kept is not None:
                rows[item.key] = kept
        if not beginning:
            with self._lock:
                self._known = rows
        if len(changed) > OBJECT_CATALOG_READS_MIN and not beginning:
            self._leave(rows)
        return {key: kept.value for key, kept in rows.items()}

    def _fetch(self, key: str) -> Kept[T] | None:
        found = self._house.bucket.get(key)
        return None if found is None else Kept(found.tag.e_tag, self._read(found, key))

    def _load(self) -> dict[str, Kept[T]]:
        """The rows that another process left; each is compared with the tags like one's own."""
        try:
            found = self._house.bucket.get(self._cache_name)
            return {} if found is None else self._decoder.decode(zlib.decompress(found.body))
        except (zlib.error, msgspec.MsgspecError):
            return {}

    def _leave(self, rows: dict[str, Any]) -> None:
        with contextlib.suppress(StoreUnavailable, TurnfoldError):  # not allowed to write here: then not
            self._house.bucket.put(self._cache_name, zlib.compress(msgspec.msgpack.encode(rows), 1))
