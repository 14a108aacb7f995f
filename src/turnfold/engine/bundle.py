"""Bundles: whole sessions in one file, lossless and checked.

Theory of operation. A bundle (``*.turnfold``) is a zip that any unzip opens: ``manifest.json`` names the format's version, the sessions and the
SHA-256 of every other member; a session is a folder with ``session.json`` (head, range tombstones, seals, runs), ``events.jsonl`` (one event per
line, see ``codec.bundle``) and ``parts/`` (out-of-line payloads by hash). Writing streams. Reading checks everything (members, digests, seals,
part hashes) before it writes anything, then restores each session in one verbatim commit: seqs, ids, times, digests, tombstones and seals are
what they were. A version newer than this one is refused by name; a damaged member is named.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import msgspec

from turnfold.codec.bundle import (
    BundledRange,
    BundledSeal,
    check_log,
    decode_event,
    encode_event,
    pack_range,
    pack_seal,
    unpack_range,
    unpack_seal,
)
from turnfold.codec.residual import part_ref
from turnfold.core.fold import payload_of
from turnfold.core.redaction import referenced_parts
from turnfold.engine.reading import read_pages
from turnfold.errors import FormatError, IntegrityError, NotFound, PermissionDenied, SchemaTooNew
from turnfold.ids import new_id
from turnfold.limits import MIB, PAGE_SESSIONS_MAX
from turnfold.model.commit import NO_CHANGE, Commit, Genesis, HeadChange, StatusChange, Verbatim
from turnfold.model.event import MAIN, Event, RangeTombstone
from turnfold.model.query import SessionQuery
from turnfold.model.run import Run
from turnfold.model.session import Entry, Head, SessionInfo, SessionKey
from turnfold.model.usage import NO_USAGE, Usage
from turnfold.ports.store import Store

FORMAT = "turnfold-bundle"
VERSION = 1
SUFFIX = ".turnfold"
MANIFEST = "manifest.json"
_CHUNK_BYTES = 1 * MIB
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


_INFO_FIELDS = tuple(name for name in SessionFile.__struct_fields__ if name in SessionInfo.__struct_fields__)


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
            **{name: getattr(info, name) for name in _INFO_FIELDS},
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


# ---- reading -------------------------------------------------------------------------------------------------------------------------


class RestoredSession(msgspec.Struct, frozen=True):
    """A session that a bundle brought; ``repeated``: it was there already, equal."""

    id: str
    event_count: int
    repeated: bool


def is_bundle(head: bytes) -> bool:
    """Whether a file that begins so may be a bundle."""
    return head.startswith(b"PK\x03\x04") and (b"sessions/" in head[:100] or MANIFEST.encode() in head[:100])


def read_bundle(store: Store, path: Path, tenant: str, *, owner: str | None = None, hmac_key: bytes | None = None) -> list[RestoredSession]:
    """Check a bundle and restore its sessions.

    Args:
        store: Where to.
        path: The bundle.
        tenant: The tenant that they come to.
        owner: Scope of the caller: sessions of other owners are refused.
        hmac_key: Key of the digests, or None.

    Raises:
        FormatError: It is no bundle.
        SchemaTooNew: It was written by a newer version.
        IntegrityError: A member is damaged, or an event does not match its digest; nothing was written.
        IdempotencyConflict: A session of that id with other events is there; AlreadyExists in some stores.
    """
    with _open(path) as archive:
        manifest = _manifest(archive, path)
        for name in manifest.members:
            _check_member(archive, manifest, name, path)
        commits = [_Reader(archive, manifest, session, path, hmac_key).commit(tenant, owner) for session in manifest.sessions]
    restored = []
    for session, commit in zip(manifest.sessions, commits, strict=True):
        done = store.commit(commit)
        restored.append(RestoredSession(session.id, 0 if done.repeated else len(commit.events), done.repeated))
    return restored


def _open(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (
        zipfile.BadZipFile,
        NotImplementedError,
        ValueError,
        OverflowError,
        struct.error,
    ) as error:  # what damage to its table can cause
        raise IntegrityError(f"{path}: no complete bundle: {error}", path=str(path), hint="copy or export it again") from error


def _manifest(archive: zipfile.ZipFile, path: Path) -> Manifest:
    if MANIFEST not in archive.namelist():
        raise FormatError(f"{path}: a zip without {MANIFEST}, so no bundle", path=str(path))
    raw = b"".join(_chunks(archive, MANIFEST, path))
    try:
        fields = msgspec.json.decode(raw)
        if not isinstance(fields, dict) or fields.get("format") != FORMAT:
            raise FormatError(f"{path}: {MANIFEST} is not that of a bundle", path=str(path))
        if isinstance(fields.get("version"), int) and fields["version"] > VERSION:
            raise SchemaTooNew(f"{path}: a bundle of version {fields['version']}, this Turnfold reads up to {VERSION}", path=str(path))
        return msgspec.convert(fields, Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _damaged(path, MANIFEST, str(error)) from error


def _chunks(archive: zipfile.ZipFile, name: str, path: Path) -> Iterator[bytes]:
    try:
        with archive.open(name) as member:
            while chunk := member.read(_CHUNK_BYTES):
                yield chunk
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, NotImplementedError, RuntimeError, OSError) as error:
        raise _damaged(path, name, str(error)) from error


def _check_member(archive: zipfile.ZipFile, manifest: Manifest, name: str, path: Path) -> None:
    member = manifest.members[name]
    digest, size = hashlib.sha256(), 0
    for chunk in _chunks(archive, name, path):
        digest.update(chunk)
        size += len(chunk)
        if size > member.size:
            break
    if size != member.size or digest.hexdigest() != member.sha256:
        raise _damaged(path, name, "it does not match its checksum")


def _damaged(path: Path, name: str, reason: str) -> IntegrityError:
    return IntegrityError(f"{path}: the member {name} is damaged: {reason}", path=str(path), member=name, hint="copy or export it again")


class _Reader:
    """Reads one session of a bundle whose members are as they were written."""

    def __init__(self, archive: zipfile.ZipFile, manifest: Manifest, session: BundledSession, path: Path, hmac_key: bytes | None) -> None:
        self._archive = archive
        self._manifest = manifest
        self._session = session
        self._path = path
        self._hmac_key = hmac_key

    def commit(self, tenant: str, owner: str | None) -> Commit:
        """Return the commit that restores the session."""
        try:
            return self._commit(tenant, owner)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise _damaged(self._path, self._session.folder, str(error)) from error

    def _commit(self, tenant: str, owner: str | None) -> Commit:
        name = f"{self._session.folder}/session.json"
        session = msgspec.json.decode(self._read(name), type=SessionFile)
        if owner is not None and session.owner != owner:
            raise PermissionDenied(f"session {session.id!r} of the bundle belongs to another owner than {owner!r}", session_id=session.id)
        events = list(self._events())
        ranges = [unpack_range(item) for item in session.ranges]
        seals = [unpack_seal(item) for item in session.seals]
        try:
            check_log(events, ranges, seals, last_seq=session.last_seq, named=_named(events), key=self._hmac_key)
        except IntegrityError as error:
            hint = "its digests were made with another key" if session.last_seq and error.details.get("seq") == 1 else None
            raise IntegrityError(f"{self._path}: session {session.id!r}: {error.message}", hint=hint, **error.details) from error
        if not events or events[0].type != "session.created":
            raise _damaged(self._path, f"{self._session.folder}/events.jsonl", "it does not begin with session.created")
        genesis = Genesis(
            event=events[0],
            change=NO_CHANGE,
            incarnation=new_id(),
            owner=session.owner,
            agent=session.agent,
            status=session.status,
            kind=session.kind,
            ttl_s=session.ttl_s,
            expires_at_us=session.expires_at_us,
        )
        verbatim = Verbatim(
            created_at_us=session.created_at_us, updated_at_us=session.updated_at_us, ranges=tuple(ranges), seals=tuple(seals)
        )
        return Commit(
            key=SessionKey(tenant, session.id),
            events=tuple(events),
            change=_change(session, events),
            owner=owner,
            genesis=genesis,
            lifecycle=True,
            runs=tuple(session.runs),
            parts=tuple(self._parts()),
            verbatim=verbatim,
        )

    def _read(self, name: str) -> bytes:
        if name not in self._manifest.members:
            raise _damaged(self._path, name, "the manifest does not name it")
        return b"".join(_chunks(self._archive, name, self._path))

    def _events(self) -> Iterator[Event]:
        name = f"{self._session.folder}/events.jsonl"
        if name not in self._manifest.members:
            raise _damaged(self._path, name, "the manifest does not name it")
        with self._archive.open(name) as member:
            yield from map(decode_event, _lines(member))

    def _parts(self) -> Iterator[tuple[str, bytes]]:
        prefix = f"{self._session.folder}/parts/"
        for name in self._manifest.members:
            if name.startswith(prefix):
                content = self._read(name)
                ref = "sha256:" + name.removeprefix(prefix)
                if part_ref(content) != ref:
                    raise _damaged(self._path, name, "it does not match the hash that it is named by")
                yield ref, content


def _lines(member: IO[bytes]) -> Iterator[bytes]:
    while line := member.readline():
        yield line


def _named(events: list[Event]) -> dict[int, bytes]:
    named: dict[int, bytes] = {}
    for event in events:
        if event.type == "redaction" and not event.redacted:
            named.update((target.seq, bytes.fromhex(target.digest)) for target in payload_of(event).targets)
    return named


def _change(session: SessionFile, events: list[Event]) -> HeadChange:
    """The head as one change. It is not folded from the events anew: pruned ones have left their sums in it."""
    index = {event.seq: place for place, event in enumerate(events)}
    entries: list[Any] = [Entry(e.kind, e.name, e.value.encode(), index[e.seq], e.branch) for e in session.entries if e.seq in index]
    return HeadChange(
        message_count=session.message_count,
        turn_count=session.turn_count,
        token_count=session.token_count,
        usage=session.usage,
        usage_by_model=tuple(session.usage_by_model.values()),
        entries=tuple(entries),
        status=StatusChange(session.status, frozenset({session.status}), session.end_reason),
        active_branch=None if session.active_branch == MAIN else session.active_branch,
        expires_at_us=session.expires_at_us,
        branch_count=session.branch_count - 1,
        checkpoint_count=sum(entry.kind == "checkpoint" for entry in session.entries),
    )
