"""Lists of sessions: the tenant's manifests, known by their tags."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import msgspec

from turnfold.core.checks import effective_status
from turnfold.core.lifecycle import OPEN
from turnfold.core.paging import list_cursor, parse_list_cursor
from turnfold.model.query import SessionQuery
from turnfold.model.session import SessionInfo, SessionKey
from turnfold.objectstorage import Found
from turnfold.stores.s3 import names
from turnfold.stores.s3.house import House
from turnfold.stores.s3.listed import Folder
from turnfold.stores.s3.manifest import Manifest, decode_manifest
from turnfold.stores.s3.segments import packed
from turnfold.stores.s3.state import info_of


class Row(msgspec.Struct, array_like=True, frozen=True):
    """What a list needs of a session."""

    key: SessionKey
    incarnation: str
    info: SessionInfo | None
    """None where it is deleted."""
    has_waiting: bool
    """Whether commits to other logs wait in it."""
    is_loose: bool
    """Whether it has segments that could be one."""
    tail_bytes: int
    due_at_us: int
    """When the first of the objects that it no longer refers to may be removed; 0 where there is none."""
    gone_count: int
    named: tuple[str, ...]
    """The objects that the manifest alone names: all but parts that are older than its base."""


def _row_of(found: Found, key: str) -> Row:
    manifest = decode_manifest(found.body, key)
    info = None if manifest.deleted_at_us is not None else info_of(manifest)
    return Row(
        SessionKey(manifest.tenant, manifest.session_id),
        manifest.incarnation,
        info,
        bool(manifest.outbox),
        any(len(group) > 1 for group in packed(manifest.segments)),
        sum(len(memoryview(row)) for row in manifest.tail),
        min((item.due_at_us for item in manifest.garbage), default=0),
        manifest.fixed.gone_count,
        tuple(sorted({*_named_by(manifest)})),
    )


def _named_by(manifest: Manifest) -> Iterator[str]:
    yield from (ref.name for ref in manifest.segments)
    yield from (item.name for item in manifest.garbage)
    yield from (names.part(ref) for ref in manifest.hot.parts)
    if manifest.base:
        yield manifest.base


class Catalog:
    """The sessions of a store."""

    def __init__(self, house: House) -> None:
        """Wire it."""
        self._house = house
        self._folders: dict[str | None, Folder[Row]] = {}

    def folder(self, tenant: str | None = None) -> Folder[Row]:
        """The manifests of one tenant or of all."""
        found = self._folders.get(tenant)
        if found is None:
            name = names.MANIFESTS if tenant is None else names.manifests(tenant)
            cache = f"{names.CACHES}all" if tenant is None else f"{names.CACHES}m/{names.safe(tenant)}"
            found = self._folders.setdefault(tenant, Folder(self._house, name, cache, Row, _row_of))
        return found

    def rows(self, tenant: str | None = None, id_prefix: str = "") -> list[Row]:
        """All rows, also of deleted sessions; those without the prefix may be missing."""
        return list(self.folder(tenant).values(names.beginning(id_prefix)).values())

    def infos(self, tenant: str | None = None, id_prefix: str = "") -> Iterator[SessionInfo]:
        """The living sessions of one tenant or of all, their status as stored; what waits in them for other logs is handed over."""
        for row in self.rows(tenant, id_prefix):
            if row.has_waiting:
                self._house.session(row.key).deliver_waiting()
            if row.info is not None:
                yield row.info

    def page(self, query: SessionQuery, now_us: int) -> tuple[list[SessionInfo], str | None]:
        """Sessions newest first, and the cursor of the next page."""
        below = parse_list_cursor(query.cursor)
        named = self.infos(query.tenant, query.id_prefix or "")
        found = (info for info in named if (below is None or _place(info) < below) and _is_listed(info, query, now_us))
        page = heapq.nlargest(query.limit + 1, found, key=_place)
        infos = [_as_seen(info, now_us) for info in page[: query.limit]]
        return infos, list_cursor(*_place(infos[-1])) if len(page) > query.limit else None

    def of_owner(self, tenant: str, owner: str | None, now_us: int) -> tuple[int, set[str]]:
        """Count the open sessions of an owner; and every incarnation that is there or was, whoever owns it."""
        rows = self.rows(tenant)
        count = 0
        for row in rows:
            info = row.info
            if info is not None and info.owner == owner and info.kind == "session":
                count += effective_status(info.status, info.expires_at_us, now_us) in OPEN
        return count, {row.incarnation for row in rows}


def _place(info: SessionInfo) -> tuple[int, str]:
    return info.updated_at_us, info.id


def _as_seen(info: SessionInfo, now_us: int) -> SessionInfo:
    status = effective_status(info.status, info.expires_at_us, now_us)
    return info if status == info.status else msgspec.structs.replace(info, status=status)


def _is_listed(info: SessionInfo, query: SessionQuery, now_us: int) -> bool:
    return (
        info.kind == query.kind
        and (query.owner is None or info.owner == query.owner)
        and (query.agent is None or info.agent == query.agent)
        and (query.status is None or effective_status(info.status, info.expires_at_us, now_us) == query.status)
        and (query.id_prefix is None or info.id.startswith(query.id_prefix))
        and all(tag in info.tags for tag in query.tags)
        and (query.parent_id is None or (info.parent or {}).get("session_id") == query.parent_id)
    )
