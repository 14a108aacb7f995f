"""Bundles: whole sessions in one file, lossless and checked.

Theory of operation. A bundle (``*.turnfold``) is a zip that any unzip opens: ``manifest.json`` names the format's version, the sessions and the
SHA-256 of every other member; a session is a folder with ``session.json`` (head, range tombstones, seals, runs), ``events.jsonl`` (one event per
line, see ``codec.bundle``) and ``parts/`` (out-of-line payloads by hash). Writing streams. Reading (``unbundling``) checks everything (members,
digests, seals, part hashes) before it writes anything, then restores each session in verbatim commits: seqs, ids, times, digests, tombstones and
seals are what they were. A version newer than this one is refused by name; a damaged member is named.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from turnfold.codec.bundle import (
    BundledRange,
    BundledSeal,
    encode_event,
    pack_range,
    pack_seal,
)
from turnfold.core.redaction import referenced_parts
from turnfold.engine.reading import read_pages
from turnfold.errors import NotFound
from turnfold.limits import MIB, PAGE_SESSIONS_MAX
from turnfold.model.event import RangeTombstone
from turnfold.model.query import SessionQuery
from turnfold.model.run import Run
from turnfold.model.session import Head, SessionInfo, SessionKey
from turnfold.model.usage import NO_USAGE, Usage
from turnfold.ports.store import Store

FORMAT = "turnfold-bundle"
VERSION = 1
SUFFIX = ".turnfold"
MANIFEST = "manifest.json"
CHUNK_BYTES = 1 * MIB
_EPOCH = (1980, 1, 1, 0, 0, 0)
_encode = msgspec.json.Encoder().encode


class Member(msgspec.Struct):
    """A file of the bundle."""

    sha256: str
    size: int


class BundledSession(msgspec.Struct):
    """A session as the manifest names it."""

    id: str
    folder: str
    event_count: int
    last_seq: int


class Manifest(msgspec.Struct, kw_only=True):
    """What the bundle holds."""

    format: str = FORMAT
    version: int = VERSION
    sessions: list[BundledSession] = []
    members: dict[str, Member] = {}


class BundledEntry(msgspec.Struct, omit_defaults=True):
    """A head entry; the value is JSON text."""

    kind: str
    name: str
    value: str
    seq: int
    branch: str = ""


class SessionFile(msgspec.Struct, kw_only=True, omit_defaults=True):
    """``session.json``: everything of a session that is not an event."""

    id: str
    agent: str
    status: str
    kind: str
    active_branch: str
    created_at_us: int
    updated_at_us: int
    last_seq: int
    owner: str | None = None
    end_reason: str | None = None
    expires_at_us: int | None = None
    ttl_s: float | None = None
    message_count: int = 0
    turn_count: int = 0
    token_count: int = 0
    usage: Usage = NO_USAGE
    usage_by_model: dict[str, Usage] = {}
    branch_count: int = 1
    entries: list[BundledEntry] = []
    ranges: list[BundledRange] = []
    seals: list[BundledSeal] = []
    runs: list[Run] = []


INFO_FIELDS = tuple(name for name in SessionFile.__struct_fields__ if name in SessionInfo.__struct_fields__)


# ---- writing -------------------------------------------------------------------------------------------------------------------------


def write_bundle(store: Store, keys: Iterable[SessionKey], path: Path, *, owner: str | None = None) -> Manifest:
    """Write sessions into a bundle; the file appears when it is complete.

    Args:
        store: Where they are.
        keys: Which.
        path: The file to write; one that is there is replaced.
        owner: Scope of the caller.
    """
    part = path.with_name(path.name + ".part")
    manifest = Manifest()
    try:
        with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
            for index, key in enumerate(keys):
                _Writer(store, key, owner, archive=archive, manifest=manifest, folder=f"sessions/{index}").write()
            _write(archive, None, MANIFEST, [msgspec.json.format(_encode(manifest), indent=1)])
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    return manifest


def _write(archive: zipfile.ZipFile, manifest: Manifest | None, name: str, chunks: Iterable[bytes]) -> None:
    digest, size = hashlib.sha256(), 0
    info = zipfile.ZipInfo(name, _EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    with archive.open(info, "w", force_zip64=True) as member:
        for chunk in chunks:
            member.write(chunk)
            digest.update(chunk)
            size += len(chunk)
    if manifest is not None:
        manifest.members[name] = Member(digest.hexdigest(), size)


class _Writer:
    """Writes one session."""

    def __init__(
        self, store: Store, key: SessionKey, owner: str | None, *, archive: zipfile.ZipFile, manifest: Manifest, folder: str
    ) -> None:
        self._store = store
        self._key = key
        self._owner = owner
        self._archive = archive
        self._manifest = manifest
        self._folder = folder
        self._ranges: dict[int, RangeTombstone] = {}
        self._refs: dict[str, None] = {}
        self._event_count = 0

    def write(self) -> None:
        head = self._store.get_session(self._key, owner=self._owner)
        upto = head.info.last_seq
        _write(self._archive, self._manifest, f"{self._folder}/events.jsonl", self._events(upto))
        for ref in self._refs:
            try:
                content = self._store.read_part(self._key, ref, owner=self._owner)
            except NotFound:  # erased by a redaction of another event that named it
                continue
            _write(self._archive, self._manifest, f"{self._folder}/parts/{ref[7:]}", [content])
        session = _encode(self._session(head))
        _write(self._archive, self._manifest, f"{self._folder}/session.json", [msgspec.json.format(session, indent=1)])
        self._manifest.sessions.append(BundledSession(head.info.id, self._folder, self._event_count, upto))

    def _events(self, upto: int) -> Iterator[bytes]:
        for page in read_pages(self._store, self._key, owner=self._owner, with_source=True):
            self._ranges.update((item.first_seq, item) for item in page.ranges)
            for event in page.events:
                if event.seq > upto:  # written after the head was read: not part of this picture
                    return
                self._event_count += 1
                self._refs.update(dict.fromkeys(sorted(referenced_parts(event))))
                yield encode_event(event)

    def _session(self, head: Head) -> SessionFile:
        info = head.info
        seals = [seal for seal in self._store.read_seals(self._key) if seal.upto_seq <= info.last_seq]
        entries = [BundledEntry(e.kind, e.name, e.value.decode(), e.seq, e.branch) for e in head.entries if e.value is not None]
        return SessionFile(
            **{name: getattr(info, name) for name in INFO_FIELDS},
            ttl_s=head.ttl_s,
            usage_by_model=head.usage_by_model,
            entries=entries,
            ranges=[pack_range(item) for _, item in sorted(self._ranges.items())],
            seals=[pack_seal(seal) for seal in seals],
            runs=self._store.list_runs(self._key, owner=self._owner, limit=PAGE_SESSIONS_MAX),
        )


def family(store: Store, tenant: str, session_id: str, *, owner: str | None = None) -> list[SessionKey]:
    """The session and, below it, its subagents' sessions, each after its parent."""
    found = [SessionKey(tenant, session_id)]
    for key in found:
        cursor: str | None = None
        while True:
            query = SessionQuery(tenant=tenant, owner=owner, parent_id=key.session_id, limit=PAGE_SESSIONS_MAX, cursor=cursor)
            page, cursor = store.list_sessions(query)
            children = [info.id for info in page if (info.parent or {}).get("relation") == "subagent"]
            found += [child for child in (SessionKey(tenant, name) for name in sorted(children)) if child not in found]
            if cursor is None:
                break
    return found


def is_bundle(head: bytes) -> bool:
    """Whether a file that begins so may be a bundle."""
    return head.startswith(b"PK\x03\x04") and (b"sessions/" in head[:100] or MANIFEST.encode() in head[:100])
