"""A batch: projected lines on their way into one commit, with the cursor that says how far they go.

Batches end at fixed counts of events and bytes from where the last one ended. So an import that was killed and begun again makes the same
batches as one that was not, and ids, seqs and cursors come out the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec

from turnfold.core.fold import change_of
from turnfold.core.search import index_rows
from turnfold.engine.importing.cursor import Cursor
from turnfold.engine.importing.find import Finder
from turnfold.engine.importing.result import FileImport
from turnfold.engine.prepare import estimate_tokens, prepare, prepare_read
from turnfold.engine.upkeep import SEARCH
from turnfold.errors import InvalidInput
from turnfold.formats.base import Line, Place, Projected
from turnfold.formats.lines import opaque
from turnfold.ids import new_id
from turnfold.limits import IMPORT_BATCH_BYTES, IMPORT_BATCH_EVENTS, IMPORT_INDEX_CHARS
from turnfold.model.commit import Commit, Committed, Genesis
from turnfold.model.event import MAIN, Event, NewEvent
from turnfold.model.event_types import MESSAGE
from turnfold.model.query import IndexRow
from turnfold.model.session import SessionKey
from turnfold.ports.store import SEARCH_INDEX, Store

_encode = msgspec.json.Encoder().encode
_replace = msgspec.structs.replace
OWN_TYPES = frozenset({"blank", "newline", "long line", "unstorable", "redacted"})
"""Native types of ``opaque`` events that are not a source's: they are not reported as unknown."""
_BRANCH_EVENTS = {"branch.created": ("name", "parent"), "branch.switched": ("name", "previous"), "checkpoint": ("name", "branch")}


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where an import writes, and as whom.

    Attributes:
        store: Its store.
        tenant: The tenant of all its sessions.
        owner: Scope and owner of new sessions; None is tenant-wide.
        hmac_key: Key of the digests, or None.
        tags: Of new sessions.
    """

    store: Store
    tenant: str
    owner: str | None = None
    hmac_key: bytes | None = None
    tags: tuple[str, ...] = ()

    def key(self, session_id: str) -> SessionKey:
        """The key of a session of this tenant."""
        return SessionKey(self.tenant, session_id)


class Naming:
    """Names of events and branches of one generation of a source.

    A replaced file's new content goes to branches of its own, forked from the session's first event, so that it never mixes with the lines
    that it replaces: ``main`` is ``import-2`` in the second generation, ``side`` is ``import-2/side``.
    """

    def __init__(self, source: str, generation: int, revision: int = 0) -> None:
        """Set up for a generation, from 1; ``revision`` sets the events of lines that are read again apart from those taken back."""
        self._key = hashlib.sha256(source.encode()).digest()[:16]
        self.generation = generation
        self._revision = f".{revision}" if revision else ""
        self.root = MAIN if generation == 1 else f"import-{generation}"

    def line_hash(self, data: bytes) -> str:
        """A short hash of a line, with which its event ids end."""
        return hashlib.blake2b(data, digest_size=8, key=self._key).hexdigest()

    def event_id(self, offset: int, line_hash: str, index: int = 0) -> str:
        """The id of the ``index``-th event of a line."""
        return f"i{self.generation}.{offset}.{line_hash}" + (f".{index}{self._revision}" if index or self._revision else "")

    def own_id(self, what: str, offset: int, index: int = 0) -> str:
        """The id of an event of the importer's own."""
        return f"i{self.generation}.{offset}.{what}.{index}.{self._key.hex()[:16]}{self._revision}"

    def branch(self, name: str) -> str:
        """The branch of this generation for a branch of the reader's."""
        if self.generation == 1:
            return name or MAIN
        return self.root if name in {"", MAIN} else f"{self.root}/{name}"

    def readers_branch(self, name: str) -> str:
        """The reader's name for a branch."""
        if self.generation == 1:
            return name
        return MAIN if name == self.root else name.removeprefix(f"{self.root}/")


class Batch:
    """Collects events and commits them."""

    def __init__(
        self,
        target: Target,
        key: SessionKey,
        naming: Naming,
        result: FileImport,
        *,
        last_seq: int,
        begin_seq: int,
        genesis: Genesis | None,
        at_us: int = 0,
    ) -> None:
        """Begin after ``last_seq``; with ``genesis`` the first commit creates the session (and its event takes seq 1).

        Lines without a time get that of the event before them; ``at_us`` is that of the last one, where the import goes on.
        """
        self.target = target
        self.key = key
        self.naming = naming
        self.finder = Finder(target.store, key, target.owner, begin_seq)
        self._genesis = genesis
        self._expected_seq = last_seq
        self.next_seq = last_seq + 1 + (genesis is not None)
        self.at_us = at_us if genesis is None else genesis.event.at_us
        self._result = result
        self._unindexed: list[IndexRow] = []
        self._unindexed_chars = 0
        self._unindexed_from = self._unindexed_to = -1
        self.reset()

    def reset(self) -> None:
        """Empty the batch."""
        self._events: list[Event] = []
        self._parts: dict[str, bytes] = {}
        self._problems: list[tuple[int, str]] = []
        self._unknown: list[str] = []
        self._line_count = self._byte_count = self._own_count = 0

    @property
    def full(self) -> bool:
        """Whether it is time to commit."""
        return len(self._events) >= IMPORT_BATCH_EVENTS - 1 or self._byte_count >= IMPORT_BATCH_BYTES

    @property
    def empty(self) -> bool:
        """Whether there is nothing to commit."""
        return not self._events

    def find(self, uuid: str) -> Place | None:
        """Look an event up by its native id, for the reader."""
        place = self.finder.find(uuid)
        return None if place is None else Place(place.seq, self.naming.readers_branch(place.branch))

    def add_line(self, line: Line, projected: Sequence[Projected], line_hash: str, *, new_line: bool = True) -> list[Event]:
        """Add the events of a line; ``new_line`` is False for a further piece of the line before."""
        events = [self._line_event(line, item, line_hash, index) for index, item in enumerate(projected)]
        self._byte_count += len(line.data)
        self._line_count += new_line
        for item in projected:
            if item.problem is not None:
                self._problems.append((line.number, item.problem))
        return events

    def _line_event(self, line: Line, item: Projected, line_hash: str, index: int) -> Event:
        event_id = self.naming.event_id(line.offset, line_hash, index)
        try:
            event = self._prepare(item, event_id)
        except InvalidInput as error:
            # What a reader made of the line cannot be stored (too long, not encodable): the line itself can.
            problem = error.message[:200]
            item = opaque(line, None, "unstorable", problem) if item.event.source is not None else _empty(problem)
            self._problems.append((line.number, problem))
            event = self._prepare(item, event_id)
        return self._add(event, item)

    def _prepare(self, item: Projected, event_id: str) -> Event:
        new = item.event
        if type(new.data) is bytes and type(new.at) is int and self.naming.generation == 1 and new.message_count is not None:
            return prepare_read(new, event_id, branch=new.branch or MAIN, at_us=new.at, key=self.target.hmac_key)  # nearly every line
        new = self._renamed(new)
        tokens = new.token_count
        if not tokens and new.type == MESSAGE and new.visibility in {"both", "model"} and isinstance(new.data, bytes):
            tokens = estimate_tokens(new.data)
        at = self.at_us if new.at is None else new.at
        parts: list[tuple[str, bytes]] = []
        event = prepare(_replace(new, id=event_id, token_count=tokens, at=at), self.target.hmac_key, parts)
        self._parts.update(parts)
        return event

    def _renamed(self, new: NewEvent) -> NewEvent:
        branch = self.naming.branch(new.branch)
        data = new.data
        names = _BRANCH_EVENTS.get(new.type)
        if names is not None and self.naming.generation > 1:
            fields: dict[str, Any] = msgspec.json.decode(data if isinstance(data, bytes) else _encode(data))
            for name in names:
                if isinstance(fields.get(name), str):
                    fields[name] = self.naming.branch(fields[name])
            data = _encode(fields)
        return new if branch == new.branch and data is new.data else _replace(new, branch=branch, data=data)

    def _add(self, event: Event, item: Projected) -> Event:
        self._parts.update(item.parts)
        self._events.append(event)
        self.finder.note(item.event, self.next_seq, event.branch)
        self.at_us = event.at_us
        self.next_seq += 1
        if event.type == "opaque":
            native_type = event.data.get("native_type")
            if native_type is not None and native_type not in OWN_TYPES:
                self._unknown.append(native_type)
        return event

    def add_own(self, item: Projected, what: str, offset: int, index: int = 0) -> Event:
        """Add an event without a line."""
        return self._add(self._prepare(item, self.naming.own_id(what, offset, index)), item)

    def add_on(self, branch: str, new: NewEvent, what: str, offset: int, index: int = 0) -> None:
        """Add an event of the importer's own on a branch by its stored name."""
        new = _replace(new, id=self.naming.own_id(what, offset, index), branch=branch, at=self.at_us)
        self._add(prepare(new, self.target.hmac_key, []), Projected(new))
        self._own_count += 1

    def commit(self, cursor: Cursor) -> Committed:
        """Write the batch with the cursor as its last event; SequenceConflict where somebody else wrote since."""
        self.add_on(
            self.naming.root,
            NewEvent(type="import.cursor", data=cursor, visibility="none", meta={"import": True}, message_count=0, turn_count=0),
            "cursor",
            cursor.offset,
            self.next_seq,
        )
        events = tuple(self._events)
        commit = Commit(
            key=self.key,
            events=events,
            change=change_of(events),
            owner=self.target.owner,
            genesis=self._genesis,
            branch=MAIN,
            expected_seq=self._expected_seq,
            parts=tuple(self._parts.items()),
        )
        committed = self.target.store.commit(commit)
        if not committed.repeated:
            self._index(events, committed)
        if committed.repeated or cursor.finished or self._unindexed_chars >= IMPORT_INDEX_CHARS:
            self._advance(committed.incarnation)
        self._settle(0 if committed.repeated else len(events) - self._own_count)
        self._expected_seq = committed.last_seq
        return committed

    def _index(self, events: Sequence[Event], committed: Committed) -> None:
        """Make the index rows of what was just written while it is at hand: the follower would read and decode it again."""
        if SEARCH_INDEX in self.target.store.capabilities:
            written = events if self._genesis is None else (self._genesis.event, *events)
            before = committed.last_seq - len(written)
            rows = index_rows(written, before + 1)
            if not self._unindexed_chars:
                self._unindexed_from = before
            assert before in {self._unindexed_from, self._unindexed_to}
            self._unindexed += rows
            self._unindexed_chars += len(written) + sum(len(row.terms) for row in rows)
            self._unindexed_to = committed.last_seq

    def _advance(self, incarnation: str) -> None:
        """Write index rows. Where the session's index lags, or another process is at it, this does nothing and the follower will."""
        if self._unindexed_chars:
            self.target.store.advance(
                SEARCH,
                self.key,
                incarnation=incarnation,
                from_seq=self._unindexed_from,
                to_seq=self._unindexed_to,
                rows=self._unindexed,
            )
            self._unindexed, self._unindexed_chars = [], 0

    def _settle(self, count: int) -> None:
        result = self._result
        result.event_count += count
        result.line_count += self._line_count
        result.byte_count += self._byte_count
        for line, text in self._problems:
            result.add_problem(line, text)
        for native_type in self._unknown:
            result.add_unknown(native_type)
        self._genesis = None
        self.finder.committed()
        self.reset()


def _empty(problem: str) -> Projected:
    return Projected(NewEvent(type="opaque", data={"problem": problem}, visibility="none", message_count=0, turn_count=0))


def genesis_of(target: Target, naming: Naming, *, agent: str, at_us: int, fields: dict[str, Any]) -> Genesis:
    """Return the genesis of a session for a file."""
    data = {"agent": agent, "owner": target.owner, "tags": list(target.tags), **fields}
    new = NewEvent(type="session.created", data=data, id=naming.own_id("genesis", 0), at=at_us, branch=MAIN, visibility="ui")
    event = prepare(new, target.hmac_key, [])
    return Genesis(event=event, change=change_of((event,)), incarnation=new_id(), owner=target.owner, agent=agent)


def session_fields(info_format: str, native_id: str, path: str, extra: dict[str, Any]) -> dict[str, Any]:
    """The payload fields of a genesis that say where a session comes from."""
    return {"native": {"format": info_format, "id": native_id, "path": path}, **{k: v for k, v in extra.items() if v}}
