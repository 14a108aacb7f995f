"""Sessions that a program on the Claude Agent SDK keeps here, entry by entry instead of in a file.

Theory of operation. A transcript is named by a project, a session id and, for a subagent's, a subpath. Its entries are lines of a Claude Code
file, and go through the importer's own feed: they become the events that an import of the file would give, and are kept whole. The session's
``native`` says that it is a transcript, and of which project.

A session that did not come this way (an import, one of Turnfold's own) is there for every project under its id, said as entries. It is not
written to: what is appended under its id goes to a transcript of its own, which begins with what was loaded and has that session as its parent.

Entries may come twice (a failed append is tried again), so those with a ``uuid`` that is there already are left out; a batch without any
cannot be told from a new one.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from turnfold.engine.converting import conversation_of, convert
from turnfold.engine.importing.appended import AppendedLines
from turnfold.engine.importing.batch import Naming, Target, genesis_of
from turnfold.engine.importing.cursor import Cursor, cursor_of
from turnfold.engine.importing.feed import Feed, Start
from turnfold.engine.importing.kept import kept_lines
from turnfold.engine.importing.result import FileImport, display_path
from turnfold.engine.importing.source import FINGERPRINT_BYTES
from turnfold.engine.resuming import is_as_it_came
from turnfold.errors import IdempotencyConflict, InvalidInput, SequenceConflict, SessionNotFound
from turnfold.formats.base import SourceInfo
from turnfold.formats.carrying.options import RELATION, WriteOptions
from turnfold.formats.claude_code import ClaudeCodeFormat
from turnfold.formats.claude_code.writer import ClaudeCodeWriter
from turnfold.formats.loss import LossReport
from turnfold.ids import check_session_id, now_us
from turnfold.limits import IMPORT_RETRIES_MAX, PAGE_SESSIONS_MAX
from turnfold.model.commit import Commit, Genesis
from turnfold.model.query import SessionQuery
from turnfold.model.session import Head, SessionInfo

Entry = dict[str, Any]
SEEN_TRANSCRIPTS_MAX = 64
"""Transcripts whose uuids are remembered between appends."""
_PROJECT, _SUBPATH = "project", "subpath"
_format = ClaudeCodeFormat()


class TranscriptKey(NamedTuple):
    """The name of a transcript; an empty subpath is the main one."""

    project: str
    session_id: str
    subpath: str = ""

    @property
    def native_id(self) -> str:
        """Its id as the importer would give it to the file."""
        return f"{self.session_id}/{self.subpath}" if self.subpath else self.session_id

    @property
    def path(self) -> Path:
        """What the source is called: where its file would be below the folder of all projects."""
        return Path(self.project, f"{self.native_id}.jsonl")


class _Seen:
    """What an append has to know of the lines before it; holds as long as the session is at ``last_seq``."""

    def __init__(self, incarnation: str = "", last_seq: int = 0) -> None:
        self.incarnation = incarnation
        self.last_seq = last_seq
        self.size = 0
        self.uuids: set[str] = set()
        self.first = self.last = b""

    def add(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            if (uuid := _uuid_of(line)) is not None:
                self.uuids.add(uuid)
            self.first = (self.first + line)[:FINGERPRINT_BYTES] if len(self.first) < FINGERPRINT_BYTES else self.first
            self.last = (self.last + line)[-FINGERPRINT_BYTES:]
            self.size += len(line)

    def end_without_newline(self) -> None:
        """Take the newline back that the last line does not have."""
        self.last = self.last.removesuffix(b"\n")
        self.first = self.first if self.size > FINGERPRINT_BYTES else self.first.removesuffix(b"\n")


class TranscriptKeeper:
    """The transcripts of one tenant and owner. Blocking; may be used by several threads."""

    def __init__(self, target: Target) -> None:
        """Set up; sessions of other owners are out of reach."""
        self._target = target
        self._store = target.store
        self._seen: OrderedDict[str, _Seen] = OrderedDict()
        self._lock = threading.Lock()

    # ---- reading -----------------------------------------------------------------------------------------------------------------------

    def load(self, key: TranscriptKey) -> list[Entry] | None:
        """Return the entries; None where there is no such transcript and no session of that id."""
        head = self._own(key)
        stored = iter(()) if head is None else self._lines(head.info.id)
        return _entries(chain(stored, self._begun(key, head))) or None

    def sessions(self, project: str) -> list[SessionInfo]:
        """Return the main transcripts of a project that have entries."""
        found = self._listed(
            SessionQuery(tenant=self._target.tenant, owner=self._target.owner, agent=_format.name, limit=PAGE_SESSIONS_MAX)
        )
        return [info for info in found if _names(info) == (project, "") and info.last_seq > 1]

    def subpaths(self, project: str, session_id: str) -> list[str]:
        """Return the subpaths of a transcript, or of the session that it comes from."""
        key = TranscriptKey(project, session_id)
        own, origin = self._own(key), self._origin(key)
        found: dict[str, None] = {}
        for info in () if own is None else self._below(own.info.id):
            found.update({_names(info)[1]: None} if _names(info)[0] == project else {})
        for info in () if origin is None else self._below(origin.info.id):
            if _is_file(info):
                found[info.id.removeprefix(f"{session_id}/")] = None
        return list(found)

    # ---- writing -----------------------------------------------------------------------------------------------------------------------

    def append(self, key: TranscriptKey, entries: Sequence[Mapping[str, Any]]) -> None:
        """Append entries, but for those whose ``uuid`` is there.

        Raises:
            InvalidInput: An entry is no JSON object.
            TurnfoldError: The session takes no events, or the store fails.
        """
        lines = [_line(entry) for entry in entries]
        if not lines:
            return
        with self._lock:  # batches of one process stay in order, and do not refuse one another
            for attempt in range(IMPORT_RETRIES_MAX):
                try:
                    self._append(key, lines)
                except (SequenceConflict, IdempotencyConflict):
                    if attempt == IMPORT_RETRIES_MAX - 1:
                        raise
                else:
                    return

    def delete(self, key: TranscriptKey) -> None:
        """Delete a transcript; a main one with those below it. The session that it went on from stays."""
        head = self._own(key)
        if head is None:
            return
        below = [] if key.subpath else [info.id for info in self._below(head.info.id)]
        for session_id in (*below, head.info.id):
            with suppress(SessionNotFound):
                self._store.delete_session(self._target.key(session_id), owner=self._target.owner)

    def _append(self, key: TranscriptKey, lines: list[bytes]) -> None:
        if key.subpath:
            self._ensure_main(key._replace(subpath=""))
        head = self._own(key)
        seen = _Seen() if head is None else self._seen_of(head)
        begun = self._begun(key, head)
        new = self._unknown(head, seen, begun, lines)
        if begun or new:
            self._feed(key, head, seen, begun=begun, new=new)

    def _ensure_main(self, key: TranscriptKey) -> None:
        """Make the session that a subagent's will be below, where it is not there yet."""
        if self._own(key) is not None:
            return
        begun = self._begun(key, None)
        if begun:
            self._feed(key, None, _Seen(), begun=begun, new=[])
        else:
            genesis = self._genesis(key, self._info(key, None, b""))
            self._store.commit(Commit(key=self._target.key(self._free_id(key)), owner=self._target.owner, genesis=genesis))

    def _begun(self, key: TranscriptKey, head: Head | None) -> list[bytes]:
        """The lines of the session that this one goes on from, as far as they are not there yet."""
        cursor = None if head is None else cursor_of(head, _source(key))
        if cursor is not None and cursor.finished:
            return []
        begun = list(self._origin_lines(key))
        stored = [] if head is None or not begun else list(self._lines(head.info.id))
        return begun[len(stored) :] if stored == begun[: len(stored)] else []

    def _feed(self, key: TranscriptKey, head: Head | None, seen: _Seen, *, begun: list[bytes], new: list[bytes]) -> None:
        """Give lines to the importer's feed: first those that this one begins with, whose usage counts where they come from."""
        content = b"".join((*begun, *new))
        cursor = None if head is None else cursor_of(head, _source(key))
        if cursor is None:
            cursor = Cursor(source=_source(key), format=_format.name, path=display_path(key.path))
        if cursor.unfinished is not None:  # a file of the same session was imported meanwhile, and its last line had no newline
            content, cursor = b"\n" + content, msgspec.structs.replace(cursor, unfinished=None)
            seen.end_without_newline()
        info = self._info(key, head, content)
        genesis = None if head is not None else self._genesis(key, info)
        session_id = self._free_id(key) if head is None else head.info.id
        start = Start(session_id, cursor, head, "imported" if head is None else "updated", genesis=genesis)
        with AppendedLines(key.path, content, offset=cursor.offset, first=seen.first, last=seen.last) as file:
            feed = Feed(self._target, _format, start, file=file, info=info, result=FileImport(path=start.cursor.path), progress=None)
            feed.counted_bytes = cursor.offset + sum(map(len, begun)) if begun else 0
            feed.run()
        seen.add(content.splitlines(keepends=True))
        seen.last_seq = feed.last_seq
        if genesis is not None:
            seen.incarnation = genesis.incarnation
        self._seen[session_id] = seen
        self._seen.move_to_end(session_id)
        if len(self._seen) > SEEN_TRANSCRIPTS_MAX:
            self._seen.popitem(last=False)

    def _unknown(self, head: Head | None, seen: _Seen, begun: list[bytes], lines: list[bytes]) -> list[bytes]:
        """Leave out what is there already. Lines without a uuid are told by their neighbours: they are there where a batch is there."""
        if head is not None and any(_uuid_of(line) in seen.uuids for line in lines):
            lines = lines[_repeated_count(list(self._lines(head.info.id)), lines) :]
        met = {uuid for uuid in map(_uuid_of, begun) if uuid is not None}
        new: list[bytes] = []
        for line in lines:
            uuid = _uuid_of(line)
            if uuid is None or not (uuid in met or uuid in seen.uuids):
                new.append(line)
            if uuid is not None:
                met.add(uuid)
        return new

    def _seen_of(self, head: Head) -> _Seen:
        seen = self._seen.get(head.info.id)
        if seen is None or (seen.incarnation, seen.last_seq) != (head.info.incarnation, head.info.last_seq):
            seen = _Seen(head.info.incarnation, head.info.last_seq)
            seen.add(self._lines(head.info.id))
        return seen

    # ---- names -------------------------------------------------------------------------------------------------------------------------

    def _own(self, key: TranscriptKey) -> Head | None:
        """The session of a transcript, or None."""
        for session_id in self._candidates(key):
            head = self._head(session_id)
            if head is not None and _names(head.info) == (key.project, key.subpath) and (head.info.native or {}).get("id") == key.native_id:
                return head
        return None

    def _origin(self, key: TranscriptKey) -> Head | None:
        """The session of that id that is no transcript, or None."""
        head = self._head(key.native_id)
        return None if head is None or _names(head.info)[0] is not None else head

    def _free_id(self, key: TranscriptKey) -> str:
        for session_id in self._candidates(key):
            stored = self._target.key(session_id)
            if stored not in self._store.last_seqs([stored]):
                return session_id
            if self._own(key) is not None:
                raise SequenceConflict("another writer has just begun this transcript")  # so that this one begins anew, and finds it
        raise InvalidInput(f"every session id for {key.native_id!r} is taken by something else")

    def _candidates(self, key: TranscriptKey) -> Iterator[str]:
        """The ids that its session may have; where they are taken, with a hash of the project behind them (see also ``FileImporter``)."""
        if key.subpath:
            main = self._own(key._replace(subpath=""))
            if main is not None:
                below = f"{main.info.id}/{key.subpath}"
                yield from map(check_session_id, (below, f"{below}~{_SUBPATH}"))
            return
        digest = hashlib.sha256(msgspec.json.encode([key.project, self._target.owner])).hexdigest()[:8]
        native = key.session_id
        ids = (native, f"{_format.name}-{native}", f"{native}~{digest}", f"{_format.name}-{native}~{digest}")
        yield from map(check_session_id, ids)

    def _head(self, session_id: str) -> Head | None:
        try:
            return self._store.get_session(self._target.key(session_id), owner=self._target.owner)
        except SessionNotFound:
            return None

    def _below(self, session_id: str) -> Iterator[SessionInfo]:
        prefix = f"{session_id}/"
        query = SessionQuery(tenant=self._target.tenant, owner=self._target.owner, id_prefix=prefix, limit=PAGE_SESSIONS_MAX)
        yield from self._listed(query)

    def _listed(self, query: SessionQuery) -> Iterator[SessionInfo]:
        while True:
            page, cursor = self._store.list_sessions(query)
            yield from page
            if cursor is None:
                return
            query = msgspec.structs.replace(query, cursor=cursor)

    # ---- what a session is -------------------------------------------------------------------------------------------------------------

    def _lines(self, session_id: str) -> Iterator[bytes]:
        return _whole_lines(kept_lines(self._store, self._target.key(session_id), self._target.owner))

    def _origin_lines(self, key: TranscriptKey) -> Iterator[bytes]:
        """The lines of a session that is no transcript: its own where it is a file of Claude Code as it came, else written as such."""
        head = self._origin(key)
        if head is None:
            return
        stored, owner = self._target.key(head.info.id), self._target.owner
        if _is_file(head.info) and (key.subpath or is_as_it_came(self._store, stored, owner)):
            yield from self._lines(head.info.id)
        elif not key.subpath:
            losses = LossReport()
            conversation = conversation_of(self._store, stored, owner=owner, losses=losses)
            if conversation.entries:
                writer = ClaudeCodeWriter(WriteOptions(native_id=key.session_id))
                yield from _whole_lines(convert(writer, conversation, losses))

    def _info(self, key: TranscriptKey, head: Head | None, content: bytes) -> SourceInfo:
        """Read the facts of a new session from its first lines; what the reader asks of a known one is whose it is."""
        info = _format.describe(Path("transcript.jsonl"), content.splitlines(keepends=True) if head is None else ())
        parent = info.parent
        main = self._own(key._replace(subpath="")) if key.subpath else None
        if main is not None:
            parent = {"session_id": main.info.id, "relation": "subagent"}
        elif parent is None and self._origin(key) is not None:
            parent = {"session_id": key.session_id, "relation": RELATION}
        return msgspec.structs.replace(info, native_id=key.native_id, parent=parent, files={})

    def _genesis(self, key: TranscriptKey, info: SourceInfo) -> Genesis:
        native = {"format": _format.name, "id": key.native_id, "path": display_path(key.path), _PROJECT: key.project, _SUBPATH: key.subpath}
        extra = {"title": info.title, "metadata": info.metadata, "parent": info.parent}
        fields = {"native": native, **{name: value for name, value in extra.items() if value}}
        at_us = now_us() if info.created_us is None else info.created_us
        return genesis_of(self._target, Naming(_source(key), 1), agent=info.agent, at_us=at_us, fields=fields)


def _source(key: TranscriptKey) -> str:
    """The key of its cursor: that of the tool's own file, so that an import of the file knows the session."""
    return f"{_format.name}:{key.native_id}"


def _names(info: SessionInfo) -> tuple[str | None, str]:
    """Project and subpath of a transcript's session; None and nothing of any other."""
    native = info.native or {}
    project = native.get(_PROJECT)
    return (project, str(native.get(_SUBPATH) or "")) if isinstance(project, str) else (None, "")


def _is_file(info: SessionInfo) -> bool:
    """Whether a session was imported from a file of Claude Code."""
    return (info.native or {}).get("format") == _format.name and _names(info)[0] is None


def _whole_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Join what is kept of long lines in pieces; each line with its newline."""
    begun: list[bytes] = []
    for chunk in chunks:
        begun.append(chunk)
        if chunk.endswith(b"\n"):
            yield b"".join(begun)
            begun = []
    if begun:
        yield b"".join(begun) + b"\n"


def _entries(lines: Iterable[bytes]) -> list[Entry]:
    """The lines that are JSON objects; a file may have others."""
    found = (_object(line) for line in lines)
    return [entry for entry in found if entry is not None]


def _object(line: bytes) -> Entry | None:
    try:
        value = json.loads(line)  # keeps lone surrogates and integers of any size, as the entry had them
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _line(entry: Mapping[str, Any]) -> bytes:
    """An entry as the tool writes it: compact, in its order."""
    try:
        if not isinstance(entry, Mapping):
            raise TypeError(f"it is {type(entry).__name__}")
        try:
            return json.dumps(entry, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
        except UnicodeEncodeError:  # a lone surrogate
            return json.dumps(entry, separators=(",", ":")).encode() + b"\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"an entry is no JSON object: {error}") from error


def _uuid_of(line: bytes) -> str | None:
    if b'"uuid"' not in line:
        return None
    uuid = (_object(line) or {}).get("uuid")
    return uuid if isinstance(uuid, str) and uuid else None


def _repeated_count(stored: list[bytes], lines: list[bytes]) -> int:
    """How many of the first of these lines are a batch that is there: all of them somewhere, or some at the end."""
    count = len(lines)
    if any(stored[at] == lines[0] and stored[at : at + count] == lines for at in range(len(stored) - count + 1)):
        return count
    return next((size for size in range(min(count, len(stored)), 0, -1) if stored[-size:] == lines[:size]), 0)
