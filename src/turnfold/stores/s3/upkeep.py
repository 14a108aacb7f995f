"""What is done beside commits: purging what was deleted, merging segments, removing what nothing refers to, checking what is there."""

from __future__ import annotations

from typing import NamedTuple

from turnfold.errors import TurnfoldError
from turnfold.ids import now_us
from turnfold.limits import OBJECT_COLD_S, OBJECT_GRACE_S
from turnfold.model.query import CheckReport, Compacted
from turnfold.model.session import SessionKey
from turnfold.stores.s3 import names
from turnfold.stores.s3.catalog import Catalog, Row
from turnfold.stores.s3.followers import Followers
from turnfold.stores.s3.house import House
from turnfold.stores.s3.manifest import Garbage, Manifest, decode_manifest
from turnfold.stores.s3.segments import Upload, packed
from turnfold.stores.s3.state import State

_SECOND_US = 1_000_000
_TAIL_BYTES_MIN = 256


def purge(house: House, key: SessionKey) -> None:
    """Remove everything that belongs to incarnations of a session that are gone."""
    state = house.session(key).living()
    living = None if state is None else names.data(key, state.incarnation)
    gone = [item.key for item in house.bucket.objects(names.all_data(key)) if living is None or not item.key.startswith(living)]
    house.bucket.delete(gone)
    house.segments.cache.drop(gone)


# ---- merging segments ------------------------------------------------------------------------------------------------------------------
class _Merged(NamedTuple):
    """What merging did to one session."""

    segment_count: int = 0
    event_count: int = 0
    bytes_before: int = 0
    bytes_after: int = 0


class Compaction:
    """Compaction of a store: small segments into large ones, the tails of cold sessions into segments, garbage out."""

    def __init__(self, house: House, catalog: Catalog, followers: Followers) -> None:
        """Wire it."""
        self._house = house
        self._catalog = catalog
        self._followers = followers

    def step(self, sessions_max: int) -> Compacted:
        """See ``ports.store``; the last step also removes the objects that nothing refers to."""
        now = self._house.clock()
        loose = [row for row in self._catalog.rows() if row.info is not None and self._is_loose(row, now)]
        merged = [one for one in self._house.parallel(self._merge, loose[:sessions_max]) if one.segment_count]
        more = len(loose) > sessions_max
        if not more:
            self._sweep()
        return Compacted(
            session_count=len(merged),
            segment_count=sum(one.segment_count for one in merged),
            event_count=sum(one.event_count for one in merged),
            bytes_before=sum(one.bytes_before for one in merged),
            bytes_after=sum(one.bytes_after for one in merged),
            more=more,
        )

    def _is_loose(self, row: Row, now_us: int) -> bool:
        return row.is_loose or 0 < row.due_at_us <= now_us or _has_cold_tail(row, now_us)

    def _merge(self, row: Row) -> _Merged:
        """Merge the segments of one session; its garbage goes with the same write."""
        merged = _Merged()
        folder = names.data(row.key, row.info.incarnation) if row.info is not None else ""
        sizes = {item.key.removeprefix(folder): item.size_bytes for item in self._house.bucket.objects(folder)}

        def tightened(state: State) -> State | None:
            nonlocal merged
            now = self._house.clock()
            work = state.copy()
            tail = _has_cold_tail(row, now) and work.tail_bytes >= _TAIL_BYTES_MIN
            uploads, merged = self._tighten(work, sizes, now, with_tail=tail)
            due = [item.name for item in work.garbage if item.due_at_us <= now]
            if not uploads and not due:
                return None
            self._house.bucket.delete([folder + name for name in due])
            work.garbage = [item for item in work.garbage if item.name not in due]
            for upload in uploads:
                self._house.bucket.put(*upload)
            return work

        try:
            self._house.session(row.key).update(tightened)
        except TurnfoldError:  # deleted meanwhile, or busy: the next time
            return _Merged()
        return merged

    def _tighten(self, work: State, sizes: dict[str, int], now: int, *, with_tail: bool) -> tuple[list[Upload], _Merged]:
        """Let full segments stand for small ones, and for the tail where that is wanted and worth it."""
        due_at_us = now + int(OBJECT_GRACE_S * _SECOND_US)
        uploads: list[Upload] = []
        events = before = 0
        if with_tail:
            rows, seqs, raw_bytes = work.tail, [event.seq for event in work.tail_events()], work.tail_bytes
            added = self._house.segments.write_segments(work, len(work.segments), rows, seqs, small=True)
            if sum(len(upload.body) for upload in added) > raw_bytes:
                del work.segments[len(work.segments) - len(added) :]
            else:
                work.set_tail([])
                uploads, events, before = added, len(rows), raw_bytes
        for group in packed(work.segments):
            if len(group) < 2:
                continue
            blocks = self._house.segments.blocks(work, group)
            rows = [row for block in blocks for row in block.rows]
            seqs = [event.seq for block in blocks for event in block.events()]
            at = work.segments.index(group[0])
            del work.segments[at : at + len(group)]
            fresh = {upload.key.rpartition("/")[2]: upload for upload in uploads}
            work.garbage += [Garbage(ref.name, due_at_us) for ref in group if ref.name not in fresh]
            before += sum(sizes.get(ref.name, 0) for ref in group)
            events += sum(len(block.rows) for block in blocks if block.rows is not work.tail)
            uploads = [upload for upload in uploads if upload.key.rpartition("/")[2] not in {ref.name for ref in group}]
            uploads += self._house.segments.write_segments(work, at, rows, seqs, small=True)
        return uploads, _Merged(len(uploads), events, before, sum(len(upload.body) for upload in uploads))

    # ---- what nothing refers to ------------------------------------------------------------------------------------------------------
    def _sweep(self) -> None:
        """Erase index rows that a redaction or a pruning left, and objects that were written for a manifest that never came."""
        old = [one.key for one in self._house.bucket.objects(names.DATA) if now_us() - one.modified_us > OBJECT_GRACE_S * _SECOND_US]
        cursors = self._followers.index_cursors()
        named: set[str] = set()
        folders: dict[str, SessionKey] = {}
        for row in self._catalog.rows():
            if row.info is None:
                continue
            folder = names.data(row.key, row.incarnation)
            folders[folder] = row.key
            named.update(folder + name for name in row.named)
            cursor = cursors.get((row.key, row.incarnation))
            if cursor is not None:
                named.update(folder + chunk.name for chunk in cursor.chunks)
                if cursor.gone_count != row.gone_count:
                    self._followers.erase(row.key, row.incarnation)
        unexplained = [key for key in old if key not in named]
        for folder in {key[: key.rindex("/") + 1] for key in unexplained} & folders.keys():
            state = self._house.session(folders[folder]).living()
            named.update(folder + name for name in (() if state is None else state.named()))
        self._house.bucket.delete([key for key in unexplained if key not in named])


def _has_cold_tail(row: Row, now_us: int) -> bool:
    """Whether a session was not written to for long and has events enough in its manifest."""
    info = row.info
    return info is not None and row.tail_bytes >= _TAIL_BYTES_MIN and now_us - info.updated_at_us > OBJECT_COLD_S * _SECOND_US


# ---- checking --------------------------------------------------------------------------------------------------------------------------
def check(house: House) -> CheckReport:
    """Compare what manifests name with what is there."""
    problems: list[str] = []
    sizes = {item.key: item.size_bytes for folder in names.FOLDERS for item in house.bucket.objects(folder)}
    keys = [key for key in sizes if key.startswith(names.MANIFESTS)]
    session_count = event_count = garbage_count = 0

    def read(key: str) -> Manifest | str | None:
        try:
            found = house.bucket.get(key)
            return None if found is None else decode_manifest(found.body, key)
        except TurnfoldError as error:
            return error.message

    for name, manifest in zip(keys, house.parallel(read, keys), strict=True):
        if isinstance(manifest, str):
            problems.append(manifest)
        if not isinstance(manifest, Manifest) or manifest.deleted_at_us is not None:
            continue
        key = SessionKey(manifest.tenant, manifest.session_id)
        session_count += 1
        event_count += manifest.fixed.last_seq
        garbage_count += len(manifest.garbage)
        folder = names.data(key, manifest.incarnation)
        wanted = {ref.name for ref in manifest.segments} | ({manifest.base} if manifest.base else set())
        if any(folder + one not in sizes for one in wanted):
            problems += [f"{name} names {one}, which is not there" for one in _missing(house, key)]
    facts: dict[str, str | int | float | bool] = {
        "url": house.bucket.location.url,
        "session_count": session_count,
        "event_count": event_count,
        "object_count": len(sizes),
        "garbage_count": garbage_count,
        "size_bytes": sum(sizes.values()),
    }
    return CheckReport(tuple(problems), facts)


def _missing(house: House, key: SessionKey) -> list[str]:
    """What the newest manifest of a session names and is not there; asked again, because others write meanwhile."""
    try:
        state = house.session(key).living()
        if state is None:
            return []
        folder = names.data(key, state.incarnation)
        return sorted(folder + name for name in state.named() if house.bucket.get(folder + name) is None)
    except TurnfoldError as error:
        return [error.message]
