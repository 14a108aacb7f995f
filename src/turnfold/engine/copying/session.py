"""Copying one session: what the target has is looked at, and what it lacks is written, read back and compared.

Theory of operation. The source's head is read first; the copy is the log up to its last seq, so it is a consistent prefix whatever is
appended meanwhile. The target may have nothing (the log is written), its beginning (the rest is written behind it), all of it (nothing is),
or something else. Equal *leaves* tell: they hold place, branch, time and digest of an event and outlive redaction and pruning, so the last
leaf of the target, at its place in the source, says whether the one log begins with the other. What the source erased since is erased in
the target: a pruned range is pruned there too, and after a redaction the session is written anew. A session with events of its own in the
target is never touched: that is a problem for the report.

Every piece is one verbatim commit, so a copy that is killed leaves a whole session that ends earlier, and the next run goes on behind it.
"""

from __future__ import annotations

from itertools import zip_longest

import msgspec

from turnfold.core.fold import latest_us, payload_of
from turnfold.engine.copying.commits import commit_of
from turnfold.engine.copying.pieces import LogReader, Moved, Piece, event_at, leaf_at, leaves, redactions_and_ranges
from turnfold.engine.copying.sums import Sums
from turnfold.errors import AlreadyExists, IdempotencyConflict, IntegrityError, NotFound, SequenceConflict, SessionNotFound
from turnfold.limits import COPY_ATTEMPTS_MAX, COPY_RUNS_MAX, COPY_SMALL_EVENTS
from turnfold.model.commit import Commit, Committed
from turnfold.model.event import RangeTombstone
from turnfold.model.query import EventQuery
from turnfold.model.run import Run
from turnfold.model.session import Head, SessionKey
from turnfold.ports.store import Store

COPIED, EXTENDED, REPLACED, UNCHANGED = "copied", "extended", "replaced", "unchanged"
_replace = msgspec.structs.replace


class Outcome(msgspec.Struct):
    """What was done with one session."""

    kind: str
    event_count: int = 0
    part_count: int = 0
    byte_count: int = 0

    def add(self, piece: Piece) -> None:
        """Count a piece that was written or compared."""
        self.event_count += len(piece.events)
        self.part_count += len(piece.parts)
        self.byte_count += piece.byte_count


class Small(msgspec.Struct, frozen=True):
    """A session in one piece, ready to be written."""

    head: Head
    piece: Piece
    commit: Commit


class SessionCopier:
    """Copies or compares one session at a time."""

    def __init__(self, source: Store, target: Store, mac_key: bytes | None) -> None:
        """Bind the stores and the key of the digests."""
        self._source = source
        self._target = target
        self._mac_key = mac_key

    def copy(self, key: SessionKey) -> Outcome:
        """Make the target's session equal to the source's.

        Raises:
            SessionNotFound: The source has none (any more).
            IntegrityError: The source is damaged, or the target gives back something else than was written.
            AlreadyExists: The target's session has events of its own.
        """
        for _ in range(COPY_ATTEMPTS_MAX):
            try:
                return self._copy(key)
            except (Moved, SequenceConflict, IdempotencyConflict):  # another writer, or another copy: look again
                continue
        raise IntegrityError(f"the session changed {COPY_ATTEMPTS_MAX} times while it was copied", hint="run the copy again")

    def unchanged(self, key: SessionKey, incarnation: str, after_seq: int) -> Outcome | None:
        """Say that a session of both is equal, as far as heads, ends, runs and seals tell; None where it has to be looked at closely.

        Args:
            key: Which session.
            incarnation: Of the target's.
            after_seq: Where that ends.
        """
        try:
            head = self._source.get_session(key)
            if not self._is_equal(key, head, after_seq):
                return None
            self._copy_seals(key, head, incarnation)
        except SessionNotFound:
            return None
        return Outcome(UNCHANGED)

    def begin(self, key: SessionKey) -> Small | None:
        """Return a small session as what it is in the source, to be written together with others; None for a larger one.

        Args:
            key: Of a session that the target has not.

        Raises:
            SessionNotFound: The source has none (any more).
            IntegrityError: The source is damaged.
        """
        head = self._source.get_session(key)
        if head.info.last_seq > COPY_SMALL_EVENTS:
            return None
        try:
            piece = next(self._reader(key, head).pieces(0), None)
        except Moved:
            return None
        if piece is None or piece.last_seq != head.info.last_seq:
            return None
        runs = tuple(self._source.list_runs(key, limit=COPY_RUNS_MAX))
        change = Sums(None).change(piece.events, head)
        updated_at_us = head.info.updated_at_us
        commit = commit_of(key, piece, head, change=change, updated_at_us=updated_at_us, runs=runs, incarnation=None)
        return Small(head, piece, commit)

    def end(self, small: Small, result: Committed | Exception) -> Outcome:
        """Compare a session that was written together with others; where it was refused or changed meanwhile, it is copied by itself."""
        key = small.commit.key
        if isinstance(result, Exception):
            return self.copy(key)
        try:
            return self._ended(key, small, result.incarnation)
        except Moved:
            return self.copy(key)

    def _ended(self, key: SessionKey, small: Small, incarnation: str) -> Outcome:
        outcome = Outcome(COPIED)
        self._compare_piece(key, small.piece, incarnation)
        outcome.add(small.piece)
        self._copy_seals(key, small.head, incarnation)
        self._compare_rest(key, small.head)
        return outcome

    def compare(self, key: SessionKey) -> Outcome:
        """Compare the target's session with the source's, byte by byte.

        Raises:
            SessionNotFound: The source has none (any more).
            IntegrityError: They differ; the message says in what.
        """
        for _ in range(COPY_ATTEMPTS_MAX):
            try:
                return self._compare(key)
            except Moved:
                continue
        raise IntegrityError(f"the session changed {COPY_ATTEMPTS_MAX} times while it was compared", hint="compare again")

    # ---- one attempt -----------------------------------------------------------------------------------------------------------------
    def _copy(self, key: SessionKey) -> Outcome:
        head = self._source.get_session(key)
        there = self._target.last_seqs([key]).get(key)
        if there is None:
            return self._write(key, head, Outcome(COPIED), after_seq=0, incarnation=None)
        incarnation, after_seq = there
        kind, prunes = self._relation(key, head, after_seq)
        if kind == REPLACED:
            self._target.delete_session(key)
            return self._write(key, head, Outcome(kind), after_seq=0, incarnation=None)
        if prunes:
            change = Commit(key=key, prune=prunes, incarnation=incarnation, expected_seq=after_seq, lifecycle=True)
            self._target.commit(change)
        if kind == UNCHANGED and not prunes:
            self._copy_seals(key, head, incarnation)
            return Outcome(UNCHANGED)
        return self._write(key, head, Outcome(EXTENDED), after_seq=after_seq, incarnation=incarnation)

    def _relation(self, key: SessionKey, head: Head, after_seq: int) -> tuple[str, tuple[RangeTombstone, ...]]:
        """How the target's session, which ends at a place, differs from the source's; and the ranges to prune in it."""
        upto_seq = head.info.last_seq
        if self._is_equal(key, head, after_seq):
            return UNCHANGED, ()
        if after_seq > upto_seq:
            if self._source.get_session(key).info.last_seq > upto_seq:
                raise Moved
            raise _own_events(key, f"it ends at seq {after_seq}, the source's at {upto_seq}")
        if leaf_at(self._source, key, after_seq) != leaf_at(self._target, key, after_seq):
            raise _own_events(key, f"its event {after_seq} is another")
        notices, ranges = redactions_and_ranges(self._source, key)
        known = redactions_and_ranges(self._target, key)[1]
        missing = tuple(item for item in ranges if item.first_seq <= after_seq and item not in known)
        new = [payload_of(notice) for notice in notices if notice.seq > after_seq and not notice.redacted]
        seqs = {target.seq for notice in new for target in notice.targets if target.seq <= after_seq}
        redacted = any(event_at(self._source, key, seq) != event_at(self._target, key, seq) for seq in sorted(seqs))
        if redacted or any(item.last_seq > after_seq for item in missing):
            self._check_own(key, after_seq)
            return REPLACED, ()
        return EXTENDED, missing

    def _is_equal(self, key: SessionKey, head: Head, after_seq: int) -> bool:
        """Whether the target's session is as long as the source's, ends with the same event, and shows the same head and runs."""
        return (
            after_seq == head.info.last_seq
            and same_heads(head, self._target.get_session(key))
            and leaf_at(self._source, key, after_seq) == leaf_at(self._target, key, after_seq)
            and self._runs_agree(key)
        )

    def _check_own(self, key: SessionKey, upto_seq: int) -> None:
        """Raise AlreadyExists unless the target's log, which is to be replaced, is the beginning of the source's."""
        pairs = zip_longest(leaves(self._source, key, upto_seq), leaves(self._target, key, upto_seq))
        for seq, (ours, theirs) in enumerate(pairs, 1):
            if ours != theirs:
                raise _own_events(key, f"its event {seq} is another")

    def _write(self, key: SessionKey, head: Head, outcome: Outcome, *, after_seq: int, incarnation: str | None) -> Outcome:
        """Write the log from a place on, and compare what the target then has."""
        reader = self._reader(key, head)
        before = None if incarnation is None else self._target.get_session(key)
        if before is not None and (before.info.incarnation, before.info.last_seq) != (incarnation, after_seq):
            raise Moved  # another copy goes on with it
        sums = Sums(before)
        updated_at_us = 0 if before is None else before.info.updated_at_us
        runs = tuple(self._source.list_runs(key, limit=COPY_RUNS_MAX))
        upto_seq = head.info.last_seq
        end = Piece(upto_seq, upto_seq, (), (), ())
        for piece in reader.pieces(after_seq) if after_seq < upto_seq else [end]:
            is_last = piece.last_seq == upto_seq
            updated_at_us = head.info.updated_at_us if is_last else latest_us(piece.events, updated_at_us)
            commit = commit_of(
                key,
                piece,
                head,
                change=sums.change(piece.events, head if is_last else None),
                updated_at_us=updated_at_us,
                runs=runs if is_last else (),
                incarnation=incarnation,
            )
            incarnation = self._commit(commit)
            self._compare_piece(key, piece, incarnation)
            outcome.add(piece)
        assert incarnation is not None
        self._copy_seals(key, head, incarnation)
        self._compare_rest(key, head)
        return outcome

    def _commit(self, commit: Commit) -> str:
        """Write a piece; return the incarnation that it went to."""
        try:
            return self._target.commit(commit).incarnation
        except (AlreadyExists, SessionNotFound) as error:  # another copy was faster, or somebody deletes there
            raise Moved from error

    def _compare(self, key: SessionKey) -> Outcome:
        head = self._source.get_session(key)
        there = self._target.last_seqs([key]).get(key)
        if there is None:
            raise IntegrityError("it is not in the target", hint="run the copy")
        if there[1] != head.info.last_seq:
            raise IntegrityError(
                f"it ends at seq {there[1]} in the target, at {head.info.last_seq} in the source", hint="run the copy again"
            )
        outcome = Outcome(UNCHANGED)
        for piece in self._reader(key, head).pieces(0):
            self._compare_piece(key, piece, there[0])
            outcome.add(piece)
        self._compare_rest(key, head)
        return outcome

    def _reader(self, key: SessionKey, head: Head) -> LogReader:
        info = head.info
        return LogReader(self._source, key, incarnation=info.incarnation, upto_seq=info.last_seq, mac_key=self._mac_key)

    # ---- is the target's what the source's is ----------------------------------------------------------------------------------------
    def _compare_piece(self, key: SessionKey, piece: Piece, incarnation: str) -> None:
        """Raise IntegrityError unless the target gives back a piece as it is; Moved where it has another creation of the session."""
        limit = max(len(piece.events), 1)
        query = EventQuery(key=key, after=piece.after_seq, before=piece.last_seq + 1, limit=limit, with_source=True)
        page = self._target.read_events(query)
        if page.incarnation != incarnation:
            raise Moved
        for ours, theirs in zip_longest(piece.events, page.events):
            if ours != theirs:
                seq = (ours or theirs).seq
                raise self._differs(key, f"event {seq}")
        inside = tuple(item for item in page.ranges if item.last_seq > piece.after_seq)
        if inside != piece.ranges:
            raise self._differs(key, f"the pruned ranges after event {piece.after_seq}")
        for ref, content in piece.parts:
            try:
                same = self._target.read_part(key, ref) == content
            except NotFound:
                same = False
            if not same:
                raise self._differs(key, f"the part {ref}")

    def _compare_rest(self, key: SessionKey, head: Head) -> None:
        """Raise IntegrityError unless head, runs and seals agree; Moved where the source erased something meanwhile."""
        copied = self._target.get_session(key)
        now = self._source.get_session(key)
        moved = not same_heads(now, head)
        if now.info.last_seq > head.info.last_seq and redactions_and_ranges(self._source, key, head.info.last_seq)[0]:
            raise Moved
        if not same_heads(head, copied):
            if moved:
                raise Moved
            raise self._differs(key, f"the head ({', '.join(differences(head, copied))})")
        if not moved and not self._runs_agree(key):
            raise self._differs(key, "the runs")

    def _differs(self, key: SessionKey, what: str) -> IntegrityError:
        return IntegrityError(f"{what} of session {key.session_id!r} is not in the target what it is in the source")

    def _runs_agree(self, key: SessionKey) -> bool:
        return self._runs(self._source, key) == self._runs(self._target, key)

    @staticmethod
    def _runs(store: Store, key: SessionKey) -> list[Run]:
        return store.list_runs(key, limit=COPY_RUNS_MAX)

    def _copy_seals(self, key: SessionKey, head: Head, incarnation: str) -> None:
        """Add the seals that the target lacks; a target that has sealed by itself keeps its own, which hold for the same events."""
        ours = [seal for seal in self._source.read_seals(key) if seal.upto_seq <= head.info.last_seq]
        theirs = self._target.read_seals(key)
        if theirs == ours[: len(theirs)]:
            for seal in ours[len(theirs) :]:
                self._target.add_seal(key, seal, incarnation=incarnation)


def same_heads(one: Head, other: Head) -> bool:
    """Whether two heads are equal but for their incarnations."""
    return not differences(one, other)


def differences(one: Head, other: Head) -> list[str]:
    """The fields in which two heads differ.

    With a time to live the expiry follows from the last event's time, which is compared as such; where that event was pruned, from the time
    of the one before it.
    """
    expires_at_us = one.info.expires_at_us if one.ttl_s is not None else other.info.expires_at_us
    same = _replace(other.info, incarnation=one.info.incarnation, expires_at_us=expires_at_us)
    found = [name for name in one.info.__struct_fields__ if getattr(one.info, name) != getattr(same, name)]
    return found + [name for name in ("entries", "usage_by_model", "ttl_s") if getattr(one, name) != getattr(other, name)]


def _own_events(key: SessionKey, how: str) -> AlreadyExists:
    return AlreadyExists(
        f"session {key.session_id!r} of the target has events of its own: {how}",
        kind="session",
        name=key.session_id,
        hint="nothing was changed there; delete it in the target to have it copied",
    )
