"""Every commit that is not plain: read what the checks need, decide here, write if nothing has changed since.

Theory of operation. One script reads the head and what the commit touches at one moment; ``core.checks`` decides; ``deciding`` drafts the
commands; another script runs them if the head (which every commit changes) is still the same, byte for byte. Where it is not, all of it begins
again, and after a few rounds in vain the writer holds the session for a moment: plain appends then wait, which they would never do otherwise.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from turnfold.codec.seal import same_content
from turnfold.core.checks import check_commit, check_ids, check_limits, check_scope, check_verbatim, creation_of, repeated
from turnfold.errors import LimitExceeded, StoreUnavailable
from turnfold.ids import check_session_id, new_id
from turnfold.limits import REDIS_ATTEMPTS_MAX
from turnfold.model.commit import Commit, Committed
from turnfold.model.event import Event, RangeTombstone
from turnfold.model.session import SessionKey
from turnfold.stores.redis.claims import Claims, Listed, last_fence, listed_of, new_claim
from turnfold.stores.redis.deciding import (
    Command,
    Draft,
    Erased,
    decode_range,
    decode_run,
    draft_appended,
    draft_restored,
    first_head,
)
from turnfold.stores.redis.index import SEARCH, decode_index_row, derived_rows, encode_index_row, term_fields
from turnfold.stores.redis.keys import A, C, E, G, H, I, Names, P, R, T, X, Y, place_of_kind
from turnfold.stores.redis.links import Links
from turnfold.stores.redis.rows import HeadRow, decode_head, entry_field, events_of
from turnfold.stores.redis.scripts import CLAIM_US, LIST_GRAIN_US, MARK_GRAIN_US, Scripts

TRIES_BEFORE_HOLD: Final = 4
HOLD_US: Final = 2_000_000
PAUSE_S: Final = 0.002
_replace = msgspec.structs.replace
Read = list[Any]


class Room:
    """The calls on one session's keys."""

    def __init__(self, links: Links, names: Names, scripts: Scripts, clock: Callable[[], int] | None) -> None:
        """Bind servers, names, scripts, and the clock (None: the server's)."""
        self.links = links
        self.names = names
        self.scripts = scripts
        self.clock = clock
        self.channel = f"{names.prefix}:{links.address.db}:changed"

    def read(self, key: SessionKey, *commands: Command) -> tuple[int, Read]:
        """Read several things at one moment; also the store's time."""
        answer = self.links.one(self.scripts.read.call(self.names.session(key), *_words(commands)))
        return (int(answer[0]) if self.clock is None else self.clock()), answer[1:]

    def apply(self, key: SessionKey, conditions: Sequence[Command], commands: Iterable[Command], *, tells: bool, until_us: int = 0) -> bool:
        """Run the commands if all conditions hold, and not after ``until_us`` by the server's clock (0: ever).

        A condition is a read with what it must answer (False: nothing) behind its arguments.
        """
        expected = ([*one[:-1], *((0, b"") if one[-1] is False else (1, one[-1]))] for one in conditions)
        head = (self.channel.encode() if tells else b"", b"%d" % until_us, b"%d" % len(conditions))
        call = self.scripts.apply.call(self.names.session(key), *head, *_words(expected), *_words(commands))
        return bool(self.links.one(call) == 1)

    def server_now_us(self, key: SessionKey) -> int:
        """The server's own time, whatever clock the store has."""
        return int(self.links.one(self.scripts.read.call(self.names.session(key)))[0])

    def hold(self, key: SessionKey, who: str, now_us: int, until_us: int) -> bool:
        """Keep other commits off the session; ``until_us`` 0 lets them in again."""
        call = self.scripts.hold.call([self.names.one(key, H)], who.encode(), b"%d" % until_us, b"%d" % now_us)
        return bool(self.links.one(call) == 1)


def _words(commands: Iterable[Command]) -> Iterator[bytes]:
    """Yield commands as the scripts read them: name, place, number of arguments, arguments."""
    for name, place, *arguments in commands:
        yield from (name.encode(), b"%d" % place, b"%d" % len(arguments))
        for word in arguments:
            yield word if isinstance(word, bytes) else str(word).encode()


class Facts:
    """What was read for one commit; answers the checks' look-ups."""

    def __init__(self, commit: Commit, now_us: int, answers: Read) -> None:
        self.now_us = now_us
        self.raw, self.tombstone, self.cursor, ids, runs, entries, ranges, places = answers[:8]
        self.head: HeadRow | None = None if self.raw is None else decode_head(self.raw)
        self.seqs: list[int | None] = [None if seq is None else int(seq) for seq in ids]
        self._runs = dict(zip((run.id for run in commit.runs), runs, strict=True))
        self._entries = dict(zip(_touched(commit), entries, strict=True))
        self.ranges: list[RangeTombstone] = [decode_range(item) for item in ranges]
        self.erased_events: dict[int, Event] = {}
        for seq, rows in zip(_erased_seqs(commit), places, strict=True):
            for event in events_of(b"".join(rows), seq):
                self.erased_events[seq] = event

    def has_entry(self, kind: str, name: str) -> bool:
        """See ``core.checks.Lookup``."""
        if kind == "branch" and self.head is not None and name == self.head.active_branch:
            return True  # the active branch is there, or it would not be active
        packed = self._entries.get((kind, name))
        return packed is not None and b"=" in packed.partition(b"-")[0]

    def run_status(self, run_id: str) -> str | None:
        """See ``core.checks.Lookup``."""
        raw = self._runs.get(run_id)
        return None if raw is None else decode_run(raw).status

    def digest_at(self, seq: int) -> bytes | None:
        """See ``core.checks.Lookup``."""
        event = self.erased_events.get(seq)
        return None if event is None else event.digest

    def pruned(self) -> list[RangeTombstone]:
        """See ``core.checks.Lookup``."""
        return self.ranges


class _NothingThere:
    """The look-ups of a session that is not there yet."""

    def has_entry(self, _kind: str, _name: str) -> bool:
        return False

    def run_status(self, _run_id: str) -> None:
        return None

    def digest_at(self, _seq: int) -> None:
        return None

    def pruned(self) -> tuple[()]:
        return ()


def _touched(commit: Commit) -> list[tuple[str, str]]:
    """The head entries that the checks may ask for: those of guards, and branches that the commit names."""
    names = {event.branch for event in commit.events if event.branch}
    names.update(name for name in (commit.branch, commit.change.active_branch) if name)
    return [*((guard.kind, guard.name) for guard in commit.change.guards), *(("branch", name) for name in sorted(names))]


def _erased_seqs(commit: Commit) -> list[int]:
    return sorted({redact.seq for redact in commit.redacts if redact.seq > 0})


class Writer:
    """The long way of a commit."""

    def __init__(self, room: Room, claims: Claims, key: bytes | None) -> None:
        """Bind the session room, the claims and the key of the digests."""
        self._room = room
        self._claims = claims
        self._key = key

    def commit(self, commit: Commit, *, carried: bytes | None = None) -> Committed:
        """Check and write a commit.

        Args:
            commit: Of any kind; what it has in ``also`` is the caller's business.
            carried: What to keep in the session until it is done elsewhere, packed.

        Raises:
            StoreUnavailable: Others wrote to the session each time, ``REDIS_ATTEMPTS_MAX`` times.
        """
        who = ""
        attempt = 0
        end = time.monotonic() + self._room.links.address.wait_s
        try:
            while attempt < REDIS_ATTEMPTS_MAX and time.monotonic() < end:
                facts = self._gather(commit)
                head = facts.head
                if head is not None and head.hold_until_us > facts.now_us and head.held_by != who:
                    time.sleep(PAUSE_S)
                    continue
                done = self._create(commit, facts, carried) if head is None else self._append(commit, facts, head, carried)
                if done is not None:
                    who = ""
                    return done
                attempt += 1
                if attempt >= TRIES_BEFORE_HOLD and head is not None:
                    who = who or new_id()
                    self._room.hold(commit.key, who, facts.now_us, facts.now_us + HOLD_US)
                else:
                    time.sleep(random.random() * PAUSE_S)  # noqa: S311 - spreads writers, guards nothing
        finally:
            if who:
                self._room.hold(commit.key, who, 0, 0)
        raise StoreUnavailable(f"session {commit.key.session_id!r} was written to by others {attempt} times meanwhile", hint="try again")

    def _gather(self, commit: Commit) -> Facts:
        ids = [event.id for event in commit.events]
        places = [(place_of_kind(kind), entry_field(kind, name, "")) for kind, name in _touched(commit)]
        reads: list[Command] = [["GET", H], ["GET", T], ["HGET", C, SEARCH]]
        chunks = [ids[at : at + 1_000] for at in range(0, len(ids), 1_000)]
        reads += (["HMGET", I, *chunk] for chunk in chunks)
        if commit.runs:
            reads.append(["HMGET", R, *(run.id for run in commit.runs)])
        reads += (["HGET", place, field] for place, field in places)
        if commit.prune:
            reads.append(["HVALS", G])
        reads += (["LRANGE", E, seq - 1, seq - 1] for seq in _erased_seqs(commit))
        now_us, answers = self._room.read(commit.key, *reads)
        at = 3 + len(chunks)
        found = [item for chunk in answers[3:at] for item in chunk]
        runs: list[Any] = []
        if commit.runs:
            runs, at = answers[at], at + 1
        entries, at = answers[at : at + len(places)], at + len(places)
        ranges: list[Any] = []
        if commit.prune:
            ranges, at = answers[at], at + 1
        return Facts(commit, now_us, [*answers[:3], found, runs, entries, ranges, answers[at:]])

    # ---- a session that is there -----------------------------------------------------------------------------------------------------
    def _append(self, commit: Commit, facts: Facts, head: HeadRow, carried: bytes | None) -> Committed | None:
        check_scope(commit, owner=head.owner or None, incarnation=head.incarnation)
        done = self._repeat(commit, facts, head)
        if done is not None:
            return done
        if commit.verbatim is not None:
            check_verbatim(commit, head.state())
        else:
            check_commit(commit, head.state(), facts.now_us, facts)
        erased = self._erased(commit, facts)
        before = listed_of(commit.key, head)
        listed = self._claimed(commit, head, facts.now_us)
        draft = Draft(_replace(head, hold_until_us=0, held_by=""), facts.now_us)
        drafted = draft_appended if commit.verbatim is None else draft_restored
        first, last, branch = drafted(draft, commit, creates=False)
        draft.erase(commit, erased)
        conditions: list[Command] = [["GET", H, facts.raw]]
        if commit.redacts or commit.prune:
            conditions.append(["HGET", C, SEARCH, facts.cursor or False])
        written = self._write(commit, draft, conditions, carried, is_claimed=listed is not None)
        if listed is not None and listed != before:
            if written:
                self._claims.take_back(before)
            else:
                self._claims.withdraw(listed)
        if not written:
            return None
        return Committed(first, last, incarnation=head.incarnation, branch=branch, recorded_at_us=facts.now_us)

    def _claimed(self, commit: Commit, head: HeadRow, now_us: int) -> Listed | None:
        """Write the claims that the commit needs and put them into the head."""
        if not commit.events and commit.verbatim is None:
            return None
        if commit.verbatim is None:
            latest_us = max(event.at_us for event in commit.events)
            moves = latest_us - head.listed_at_us > LIST_GRAIN_US
        else:
            latest_us = commit.verbatim.updated_at_us
            moves = latest_us != head.listed_at_us
        if not moves and abs(now_us - head.marked_at_us) <= MARK_GRAIN_US:  # either way: clocks are turned back too
            return None
        head.marked_at_us = now_us
        if not moves:
            self._claims.mark(commit.key, now_us)
            return listed_of(commit.key, head)
        head.listed_at_us, head.listed_claim = latest_us, new_claim(now_us)
        listed = listed_of(commit.key, head)
        self._claims.write(listed, now_us)
        return listed

    def _write(self, commit: Commit, draft: Draft, conditions: list[Command], carried: bytes | None, *, is_claimed: bool) -> bool:
        commands = draft.finished()
        if carried is not None:
            commands.append(["RPUSH", A, carried])
        until_us = self._room.server_now_us(commit.key) + CLAIM_US if is_claimed else 0
        return self._room.apply(commit.key, conditions, commands, tells=True, until_us=until_us)

    def _repeat(self, commit: Commit, facts: Facts, head: HeadRow) -> Committed | None:
        """The answer to a commit whose events are all there, None where none is."""
        events, seqs = commit.events, facts.seqs
        if not events:
            return None
        known = [seq for seq in seqs if seq is not None]
        if not known:
            check_ids([event.id for event in events], [False] * len(events), [])
            return None
        _, answers = self._room.read(commit.key, *(["LRANGE", E, seq - 1, seq - 1] for seq in known))
        stored = {seq: next(iter(events_of(b"".join(rows), seq)), None) for seq, rows in zip(known, answers, strict=True)}
        same = [seq is None or self._is_same(event, stored[seq]) for event, seq in zip(events, seqs, strict=True)]
        check_ids([event.id for event in events], [seq is not None for seq in seqs], same)
        last = stored[known[-1]]
        branch = head.active_branch if commit.branch is None else commit.branch
        recorded_at_us = 0 if last is None else last.recorded_at_us
        return repeated(known, incarnation=head.incarnation, branch=branch, recorded_at_us=recorded_at_us)

    def _is_same(self, incoming: Event, stored: Event | None) -> bool:
        if stored is None or stored.redacted:
            return True
        return same_content(incoming, salt=stored.salt, digest=stored.digest, key=self._key)

    def _erased(self, commit: Commit, facts: Facts) -> Erased:
        """Read what an erasing commit touches beside the log."""
        if not commit.redacts and not commit.prune:
            return Erased()
        seqs = sorted({redact.seq for redact in commit.redacts} | {s for p in commit.prune for s in range(p.first_seq, p.last_seq + 1)})
        entries = [(place_of_kind(e.kind), entry_field(e.kind, e.name, e.branch)) for redact in commit.redacts for e in redact.entries]
        chunks = [seqs[at : at + 1_000] for at in range(0, len(seqs), 1_000)]
        stretches: list[Command] = [["LRANGE", E, pruned.first_seq - 1, pruned.last_seq - 1] for pruned in commit.prune]
        looks: list[Command] = [["HGET", place, field] for place, field in entries]
        _, answers = self._room.read(commit.key, *looks, *stretches, *(["HMGET", X, *map(str, chunk)] for chunk in chunks))
        kept = {place: value for place, value in zip(entries, answers, strict=False) if value is not None}
        logs, lists = answers[len(entries) :][: len(stretches)], answers[len(entries) + len(stretches) :]
        events = [*facts.erased_events.values()]
        for pruned, log in zip(commit.prune, logs, strict=True):
            events += events_of(b"".join(log), pruned.first_seq)
        rows = {seq: encode_index_row(row) for seq, row in derived_rows(events).items()}  # unless the follower said otherwise
        found = (raw for chunk in lists for raw in chunk)
        rows.update((seq, raw) for seq, raw in zip(seqs, found, strict=True) if raw is not None)
        fields = list(term_fields(decode_index_row(raw) for raw in rows.values()))
        term_chunks = [fields[at : at + 1_000] for at in range(0, len(fields), 1_000)]
        _, answers = self._room.read(commit.key, *(["HMGET", Y, *chunk] for chunk in term_chunks))
        lists = [raw for chunk in answers for raw in chunk]
        postings = {field: raw for field, raw in zip(fields, lists, strict=True) if raw is not None}
        return Erased(events=facts.erased_events, entries=kept, ranges=facts.ranges, index_rows=rows, postings=postings)

    # ---- a session that is not there -------------------------------------------------------------------------------------------------
    def _create(self, commit: Commit, facts: Facts, carried: bytes | None) -> Committed | None:
        genesis = creation_of(commit)
        check_session_id(commit.key.session_id)
        now_us = facts.now_us
        head = first_head(genesis)
        if commit.verbatim is not None:
            check_verbatim(commit, None)
        else:
            all_ids = [genesis.event.id, *(event.id for event in commit.events)]
            check_ids(all_ids, [False] * len(all_ids), [])
            check_commit(commit, head.state(), now_us, _NothingThere())
            check_limits(commit.limits, head.state(), commit, created=1)
        if genesis.kind == "session":
            try:
                if not self._claims.reserve(commit.key, genesis, now_us):
                    return None
            except LimitExceeded:
                if self._room.links.one(_exists(self._room, commit.key)):
                    return None  # somebody created it meanwhile: the commit joins
                raise
        draft = Draft(head, now_us)
        head.fence = last_fence(facts.tombstone)
        drafted = draft_appended if commit.verbatim is None else draft_restored
        first, last, branch = drafted(draft, commit, creates=True)
        head.listed_at_us, head.listed_claim, head.marked_at_us = head.updated_at_us, new_claim(now_us), now_us
        listed = listed_of(commit.key, head)
        self._claims.write(listed, now_us)
        draft.commands.append(["HSET", P, "inc", genesis.incarnation])
        conditions: list[Command] = [["GET", H, False], ["GET", T, False if facts.tombstone is None else facts.tombstone]]
        if not self._write(commit, draft, conditions, carried, is_claimed=True):
            self._claims.withdraw(listed)
            return None
        at_us = now_us if commit.verbatim is None else commit.verbatim.updated_at_us
        return Committed(first, last, created=True, incarnation=genesis.incarnation, branch=branch, recorded_at_us=at_us)


def _exists(room: Room, key: SessionKey) -> Any:
    from turnfold.stores.redis.links import command

    return command(b"EXISTS", room.names.one(key, H))
