"""Reading bundles: everything is checked before anything is written, and nothing is held that grows with a session.

Theory of operation. A bundle's members are checked against the manifest; then each session is read once to see that its log is whole and every
commit of it can be made, and once more to make them: in pieces, as a copy writes them, so that a session is as large as it likes. The first
``BUNDLE_HELD_BYTES`` of logs are read once and held. An import that was killed leaves sessions that end earlier, and goes on when it is run again.
"""

from __future__ import annotations

import hashlib
import heapq
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from operator import itemgetter
from pathlib import Path
from typing import IO

import msgspec

from turnfold.codec.bundle import check_log, decode_event, unpack_range, unpack_seal
from turnfold.codec.residual import part_ref
from turnfold.core.fold import latest_us, payload_of
from turnfold.core.redaction import referenced_parts
from turnfold.engine.bundle import CHUNK_BYTES, FORMAT, INFO_FIELDS, MANIFEST, VERSION, BundledSession, Manifest, SessionFile
from turnfold.engine.copying.commits import commit_of
from turnfold.engine.copying.pieces import Piece, PieceBuilder
from turnfold.engine.copying.sums import Sums
from turnfold.errors import FormatError, IdempotencyConflict, IntegrityError, PermissionDenied, SchemaTooNew, SequenceConflict
from turnfold.limits import BUNDLE_HELD_BYTES
from turnfold.model.commit import Commit, Committed
from turnfold.model.event import Event, RangeTombstone
from turnfold.model.session import Head, SessionInfo, SessionKey
from turnfold.ports.store import Store


class RestoredSession(msgspec.Struct, frozen=True):
    """A session that a bundle brought; ``repeated``: it was there already, equal."""

    id: str
    event_count: int
    repeated: bool


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
        readers = [_Reader(archive, manifest, session, path, hmac_key) for session in manifest.sessions]
        room = BUNDLE_HELD_BYTES
        for reader in readers:
            room -= reader.check(tenant, owner, hold_bytes_max=room)
        return [reader.restore(store, tenant, owner) for reader in readers]


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
            while chunk := member.read(CHUNK_BYTES):
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
        self._held: list[Event] | None = None

    def check(self, tenant: str, owner: str | None, *, hold_bytes_max: int) -> int:
        """Raise what is wrong with the session, before anything of any session is written; return how many bytes of it are held from now on."""
        try:
            size = self._check(tenant, owner)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise _damaged(self._path, self._session.folder, str(error)) from error
        if size <= hold_bytes_max and self._held is not None:
            return size
        self._held = None
        return 0

    def _check(self, tenant: str, owner: str | None) -> int:
        folder = self._session.folder
        self._file = session = msgspec.json.decode(self._read(f"{folder}/session.json"), type=SessionFile)
        if owner is not None and session.owner != owner:
            raise PermissionDenied(f"session {session.id!r} of the bundle belongs to another owner than {owner!r}", session_id=session.id)
        name = f"{folder}/events.jsonl"
        if name not in self._manifest.members:
            raise _damaged(self._path, name, "the manifest does not name it")
        size = self._manifest.members[name].size
        if size <= BUNDLE_HELD_BYTES:
            self._held = list(self._events())
        self._ranges = [unpack_range(item) for item in session.ranges]
        self._seals = [unpack_seal(item) for item in session.seals]
        try:
            check_log(self._events(), self._ranges, self._seals, last_seq=session.last_seq, named=self._named(), key=self._hmac_key)
        except IntegrityError as error:
            hint = "its digests were made with another key" if session.last_seq and error.details.get("seq") == 1 else None
            raise IntegrityError(f"{self._path}: session {session.id!r}: {error.message}", hint=hint, **error.details) from error
        first = next(self._events(), None)
        if first is None or first.type != "session.created":
            raise _damaged(self._path, name, "it does not begin with session.created")
        for _ in self._commits(tenant, owner):
            pass
        return size

    def restore(self, store: Store, tenant: str, owner: str | None) -> RestoredSession:
        """Write the session, which was checked."""
        key = SessionKey(tenant, self._file.id)
        count, whole, incarnation = 0, True, ""
        for commit in self._commits(tenant, owner):
            done = self._written(store, commit)
            whole = whole and commit.verbatim is not None and not commit.verbatim.after_seq
            if done is not None:
                count += 0 if done.repeated else len(commit.events)
                incarnation = done.incarnation
        if not whole:
            for seal in self._seals:
                store.add_seal(key, seal, incarnation=incarnation)
        return RestoredSession(self._file.id, count, repeated=not count)

    def _written(self, store: Store, commit: Commit) -> Committed | None:
        """Write one piece; None for one without events that is there already."""
        try:
            return store.commit(commit)
        except SequenceConflict as error:
            if not commit.events:
                return None
            raise IdempotencyConflict(f"session {self._file.id!r} is there with other events", session_id=self._file.id) from error

    def _commits(self, tenant: str, owner: str | None) -> Iterator[Commit]:
        """The commits that restore the session. The head's sums are not folded anew: pruned events have left theirs in it."""
        session = self._file
        info = SessionInfo(tenant=tenant, **{name: getattr(session, name) for name in INFO_FIELDS})
        head = Head(info=info, usage_by_model=session.usage_by_model, ttl_s=session.ttl_s)
        sums = Sums(None)
        updated_at_us = 0
        for piece in self._pieces():
            is_last = piece.last_seq == session.last_seq
            updated_at_us = session.updated_at_us if is_last else latest_us(piece.events, updated_at_us)
            yield commit_of(
                SessionKey(tenant, session.id),
                piece,
                head,
                change=sums.change(piece.events, head if is_last else None),
                updated_at_us=updated_at_us,
                runs=session.runs if is_last else (),
                seals=self._seals if is_last and not piece.after_seq else (),
                owner=owner,
            )

    def _pieces(self) -> Iterator[Piece]:
        """The log in pieces, each with the parts that its events are the first to refer to; the last one with those that none does."""
        prefix = f"{self._session.folder}/parts/"
        left = {"sha256:" + name.removeprefix(prefix): name for name in self._manifest.members if name.startswith(prefix)}
        events: Iterable[tuple[int, Event | RangeTombstone]] = ((event.seq, event) for event in self._events())
        ranges: list[tuple[int, Event | RangeTombstone]] = sorted(((item.first_seq, item) for item in self._ranges), key=itemgetter(0))
        built = PieceBuilder(0)
        for _, item in heapq.merge(events, ranges, key=itemgetter(0)):
            refs = [] if isinstance(item, RangeTombstone) else sorted(referenced_parts(item) & left.keys())
            parts = [(ref, self._part(ref, left.pop(ref))) for ref in refs]
            if built.is_full:
                yield built.take()
            built.add(item, parts)
        last = built.take()
        rest = tuple((ref, self._part(ref, name)) for ref, name in left.items())
        yield msgspec.structs.replace(last, parts=last.parts + rest)

    def _part(self, ref: str, name: str) -> bytes:
        content = self._read(name)
        if part_ref(content) != ref:
            raise _damaged(self._path, name, "it does not match the hash that it is named by")
        return content

    def _read(self, name: str) -> bytes:
        if name not in self._manifest.members:
            raise _damaged(self._path, name, "the manifest does not name it")
        return b"".join(_chunks(self._archive, name, self._path))

    def _events(self) -> Iterator[Event]:
        if self._held is not None:
            yield from self._held
            return
        with self._archive.open(f"{self._session.folder}/events.jsonl") as member:
            yield from map(decode_event, _lines(member))

    def _named(self) -> dict[int, bytes]:
        """The digests of the payloads that redactions of the log account for, by seq."""
        named: dict[int, bytes] = {}
        for event in self._events():
            if event.type == "redaction" and not event.redacted:
                named.update((target.seq, bytes.fromhex(target.digest)) for target in payload_of(event).targets)
        return named


def _lines(member: IO[bytes]) -> Iterator[bytes]:
    while line := member.readline():
        yield line
