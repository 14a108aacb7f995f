"""The Redis store: ``keys`` says what is kept where, ``hot`` and ``writing`` how a commit is written, ``claims`` what spans sessions."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from redis.exceptions import ConnectionError, TimeoutError  # noqa: A004 - the driver's, as a cause of ours

from turnfold.core.checks import check_lease_ttl
from turnfold.errors import LeaseLost, NotFound, SchemaTooNew, SessionNotFound, StoreUnavailable, TurnfoldError
from turnfold.limits import COMPACT_SESSIONS, REDIS_ATTEMPTS_MAX, REDIS_OPEN_WAIT_S, TOMBSTONE_DAYS
from turnfold.model.commit import Commit, Committed
from turnfold.model.event import Seal
from turnfold.model.query import (
    NOTHING_COMPACTED,
    ChangedSession,
    CheckReport,
    Compacted,
    EventPage,
    EventQuery,
    IndexRow,
    MigrationReport,
    SearchQuery,
    SearchRow,
    SessionQuery,
)
from turnfold.model.run import Run
from turnfold.model.session import Head, Lease, SessionInfo, SessionKey
from turnfold.ports.store import MULTI_PROCESS, SEARCH_INDEX, Clock
from turnfold.stores._combiner import Combiner
from turnfold.stores.redis import changes, listing, searching
from turnfold.stores.redis.address import parse_address
from turnfold.stores.redis.also import Also
from turnfold.stores.redis.checking import check_store
from turnfold.stores.redis.claims import Claims, Listed, listed_of, new_claim, tombstone
from turnfold.stores.redis.deciding import Command, decode_run, decode_seal, pack
from turnfold.stores.redis.hot import append_words, decode_answer, is_hot, latest_at_us
from turnfold.stores.redis.index import SEARCH
from turnfold.stores.redis.keys import HOT, SUFFIXES, C, H, Names, P, R, S, T
from turnfold.stores.redis.links import LATER, PAUSE_S_MAX, Call, Links, command
from turnfold.stores.redis.reading import Reader
from turnfold.stores.redis.rows import HeadRow, decode_head, encode_head
from turnfold.stores.redis.scripts import load_scripts
from turnfold.stores.redis.settings import Kept, ask_settings, judge, warn
from turnfold.stores.redis.watching import RedisWatch, Watcher
from turnfold.stores.redis.writing import PAUSE_S, Room, Writer

LAYOUT: Final = 1
"""Version of what is kept how; a store that was written by a later one is refused."""
GONE, NOT_PLAIN, HELD = 0, 1, 3
_TOMBSTONE_S: Final = TOMBSTONE_DAYS * 86_400


class RedisStore:
    """Sessions in a Redis, single or a cluster. Thread-safe; any number of processes on any number of machines may open the same one."""

    def __init__(self, url: str, *, clock: Clock | None = None, integrity_key: bytes | None = None) -> None:
        """Connect, and ask the server what it keeps.

        Args:
            url: ``redis://[[user]:password@]host[:port][/db][?prefix=turnfold&durability=full&…]``, ``rediss://…`` or
                ``redis+cluster://host:port,host:port``.
            clock: The wall clock, microseconds since the epoch; None takes the server's, which all processes share.
            integrity_key: HMAC key of the digests that clients write, to recognise repeats.

        Raises:
            InvalidInput: The URL is none, or the server refuses the password or the database.
            StoreUnavailable: The server does not answer.
            SchemaTooNew: A newer Turnfold wrote there.
        """
        self.url = url
        self._address = address = parse_address(url)
        self._closed = False
        self._links = Links(address)
        scripts = load_scripts()
        names = Names(address.prefix)
        self._room = Room(self._links, names, scripts, clock)
        self._claims = Claims(self._links, names, scripts)
        self._writer = Writer(self._room, self._claims, integrity_key)
        self._also = Also(self._room, self.commit)
        self._reader = Reader(self._room)
        self._combiner: Combiner[Call, Any] = Combiner(self._run_group)
        self._watcher = Watcher(self._links, self._room.channel.encode())
        try:
            kept = self._begin()
        except BaseException:
            self.close()
            raise
        self.capabilities = frozenset({MULTI_PROCESS, SEARCH_INDEX}) | kept.capabilities
        warn(address.name, kept.worries)

    def _begin(self) -> Kept:
        """Ask for settings and layout; a server that is just starting is waited for a moment."""
        end = time.monotonic() + min(self._address.wait_s, REDIS_OPEN_WAIT_S)
        while True:
            try:
                self._check_layout()
                return judge(ask_settings(self._links), self._address.durability)
            except StoreUnavailable as error:
                if not isinstance(error.__cause__, (ConnectionError, TimeoutError, *LATER)) or time.monotonic() >= end:
                    raise
                time.sleep(PAUSE_S_MAX / 4)

    def _check_layout(self) -> None:
        name = self._room.names.layout
        calls = [command(b"SET", name, b"%d" % LAYOUT, b"NX"), command(b"GET", name)]
        answers = self._links.run(calls, wait_s=0)
        for answer in answers:
            if isinstance(answer, Exception):
                raise self._links.translated(answer) from answer
        if int(answers[1]) > LAYOUT:
            raise SchemaTooNew(f"{self._address.name} has layout {int(answers[1])}, this version knows {LAYOUT}")

    # ---- writing ---------------------------------------------------------------------------------------------------------------------
    def commit(self, commit: Commit) -> Committed:
        """See ``ports.store``."""
        if commit.also:
            return self._also.commit(commit, lambda own, carried: self._writer.commit(own, carried=carried), self._now_us())
        if not is_hot(commit):
            return self._writer.commit(commit)
        return self._settled(commit, self._combiner.submit((self._append_call(commit),))[0])

    def commit_many(self, commits: Sequence[Commit]) -> list[Committed | Exception]:
        """See ``ports.store``; plain appends go to the server together."""
        places = [at for at, commit in enumerate(commits) if is_hot(commit)]
        answers: dict[int, Any] = {}
        if places:
            found = self._combiner.submit([self._append_call(commits[at]) for at in places])
            answers = dict(zip(places, found, strict=True))
        out: list[Committed | Exception] = []
        for at, commit in enumerate(commits):
            try:
                out.append(self._settled(commit, answers[at]) if at in answers else self.commit(commit))
            except TurnfoldError as error:
                out.append(error)
        return out

    def _run_group(self, calls: Sequence[Call]) -> list[Any]:
        """Make the calls of several callers; where the server is away all of them are told, instead of each waiting in its turn."""
        try:
            return self._links.run(calls)
        except TurnfoldError as error:
            return [error] * len(calls)

    def _append_call(self, commit: Commit, claim: tuple[int, str] = (0, "")) -> Call:
        room = self._room
        words = append_words(commit, 0 if room.clock is None else room.clock(), room.channel, claim)
        return room.scripts.append.call(room.names.session(commit.key)[:HOT], *words)

    def _settled(self, commit: Commit, answer: Any) -> Committed:
        """Turn the answer to a plain append into what the caller gets, by the long way where it needs one."""
        end = time.monotonic() + self._address.wait_s
        while answer == HELD and time.monotonic() < end:
            time.sleep(PAUSE_S)
            answer = self._links.run((self._append_call(commit),))[0]
        if type(answer) is bytes:
            done = decode_answer(answer)
            if done[0] != -2:
                return Committed(done[0], done[0] + len(commit.events) - 1, False, None, False, done[2], done[3], done[1])
            return self._claimed(commit, done)
        if isinstance(answer, Exception):
            raise self._links.translated(answer) from answer
        return self._writer.commit(commit)

    def _claimed(self, commit: Commit, wanted: list[Any]) -> Committed:
        """Write the claims that an append needs, then append."""
        _, now, owner, agent, kind, incarnation = wanted
        listed = Listed(commit.key, kind, owner or None, agent, incarnation, latest_at_us(commit), new_claim(now))
        self._claims.write(listed, now)
        answer = self._links.run((self._append_call(commit, (now, listed.claim)),))[0]
        if type(answer) is bytes:
            done = decode_answer(answer)
            if done[0] != -2:
                is_moved, before_us, before_claim = done[4:]
                self._claims.take_back(listed._replace(at_us=before_us, claim=before_claim) if is_moved else listed)
                return Committed(done[0], done[0] + len(commit.events) - 1, False, None, False, done[2], done[3], done[1])
        if isinstance(answer, Exception):
            raise self._links.translated(answer) from answer
        self._claims.withdraw(listed)
        return self._writer.commit(commit)

    # ---- reading ---------------------------------------------------------------------------------------------------------------------
    def read_events(self, query: EventQuery) -> EventPage:
        """See ``ports.store``."""
        return self._reader.page(query)

    def get_session(self, key: SessionKey, *, owner: str | None = None) -> Head:
        """See ``ports.store``."""
        return self._reader.head(key, owner)

    def list_sessions(self, query: SessionQuery) -> tuple[list[SessionInfo], str | None]:
        """See ``ports.store``."""
        return listing.list_sessions(self._room, query, self._now_us())

    def last_seqs(self, keys: Iterable[SessionKey]) -> dict[SessionKey, tuple[str, int]]:
        """See ``ports.store``."""
        wanted = list(keys)
        raws = self._links.all([command(b"GET", self._room.names.one(key, H)) for key in wanted]) if wanted else self._links.run(())
        heads = ((key, decode_head(raw)) for key, raw in zip(wanted, raws, strict=True) if raw is not None)
        return {key: (head.incarnation, head.last_seq) for key, head in heads}

    def get_run(self, key: SessionKey, run_id: str, *, owner: str | None = None) -> Run:
        """See ``ports.store``."""
        raw = self._reader.with_head(key, owner, ["HGET", R, run_id])[2][0]
        if raw is None:
            raise NotFound(f"there is no run {run_id!r} in session {key.session_id!r}", run_id=run_id)
        return decode_run(raw)

    def list_runs(self, key: SessionKey, *, owner: str | None = None, status: str | None = None, limit: int = 100) -> list[Run]:
        """See ``ports.store``."""
        runs = map(decode_run, self._reader.with_head(key, owner, ["HVALS", R])[2][0])
        return heapq.nlargest(limit, (run for run in runs if status is None or run.status == status), key=lambda run: run.id)

    def read_part(self, key: SessionKey, ref: str, *, owner: str | None = None) -> bytes:
        """See ``ports.store``."""
        content: bytes | None = self._reader.with_head(key, owner, ["HGET", P, f"p:{ref}"])[2][0]
        if content is None:
            raise NotFound(f"there is no part {ref} in session {key.session_id!r}", ref=ref)
        return content

    def search(self, query: SearchQuery) -> list[SearchRow]:
        """See ``ports.store``."""
        self._links.check_open()
        return searching.search(self._room, query)

    # ---- the session as a whole ------------------------------------------------------------------------------------------------------
    def delete_session(self, key: SessionKey, *, owner: str | None = None) -> None:
        """See ``ports.store``; the server frees the memory in the background."""
        self._reader.with_head(key, owner)
        self._also.settle_session(key)

        def draft(head: HeadRow, _now: int) -> tuple[list[Command], None]:
            places = [place for place in range(1, len(SUFFIXES) + 1) if place != T]
            gone: list[Command] = [["UNLINK", place] for place in places]
            return [*gone, ["SET", T, tombstone(head.fence, head.incarnation), "EX", _TOMBSTONE_S]], None

        head, _ = self._changed_head(key, owner, draft, tells=True)
        self._claims.take_back(listed_of(key, head))
        self._claims.release(key, head.incarnation, head.owner or None)

    def acquire_lease(self, key: SessionKey, holder: str, ttl_s: float, *, owner: str | None = None) -> Lease:
        """See ``ports.store``."""
        ttl_us = check_lease_ttl(ttl_s)

        def draft(head: HeadRow, now: int) -> tuple[list[Command], Lease]:
            if head.holder is not False and head.holder != holder and head.lease_expires_us > now:
                message = f"session {key.session_id!r} is leased by {head.holder!r}"
                raise LeaseLost(message, hint="try again when it has expired", holder=head.holder)
            return _leased(key, head, holder, head.fence + 1, now + ttl_us)

        lease: Lease = self._changed_head(key, owner, draft)[1]
        return lease

    def renew_lease(self, lease: Lease, ttl_s: float) -> Lease:
        """See ``ports.store``."""
        ttl_us = check_lease_ttl(ttl_s)

        def draft(head: HeadRow, now: int) -> tuple[list[Command], Lease]:
            if head.holder is False or head.fence != lease.fence or head.lease_expires_us <= now:
                raise LeaseLost(f"the lease {lease.fence} of session {lease.session_id!r} is not held any more", fence=head.fence)
            return _leased(key, head, str(head.holder), head.fence, now + ttl_us)

        key = SessionKey(lease.tenant, lease.session_id)
        renewed: Lease = self._changed_head(key, None, draft)[1]
        return renewed

    def release_lease(self, lease: Lease) -> None:
        """See ``ports.store``."""

        def draft(head: HeadRow, _now: int) -> tuple[list[Command], None]:
            if head.holder is False or head.fence != lease.fence:
                return [], None
            head.holder, head.lease_expires_us = False, 0
            return [["SET", H, encode_head(head)]], None

        try:
            self._changed_head(SessionKey(lease.tenant, lease.session_id), None, draft)
        except SessionNotFound:
            return

    def _changed_head(
        self,
        key: SessionKey,
        owner: str | None,
        draft: Callable[[HeadRow, int], tuple[list[Command], Any]],
        *,
        tells: bool = False,
    ) -> tuple[HeadRow, Any]:
        """Change a head by what ``draft`` says, again and again until nobody comes between."""
        for _ in range(REDIS_ATTEMPTS_MAX):
            head, now, (raw,) = self._reader.with_head(key, owner, ["GET", H])
            commands, result = draft(head, now)
            if not commands or self._room.apply(key, [["GET", H, raw]], commands, tells=tells):
                return head, result
            time.sleep(PAUSE_S)
        raise StoreUnavailable(f"session {key.session_id!r} was written to by others all the time", hint="try again")

    # ---- followers and seals ---------------------------------------------------------------------------------------------------------
    def changed_sessions(self, follower: str, limit: int) -> list[ChangedSession]:
        """See ``ports.store``."""
        now = self._now_us()
        self._also.settle(now)
        return changes.changed_sessions(self._room, follower, limit, now)

    def advance(
        self,
        follower: str,
        key: SessionKey,
        *,
        incarnation: str,
        from_seq: int,
        to_seq: int,
        rows: Sequence[IndexRow] = (),
    ) -> bool:
        """See ``ports.store``."""
        kept = rows if follower == SEARCH else ()
        return searching.advance(self._room, searching.Advance(follower, key, incarnation, from_seq, to_seq, kept))

    def follower_seq(self, follower: str, key: SessionKey) -> int:
        """See ``ports.store``."""
        return int(self._links.one(command(b"HGET", self._room.names.one(key, C), follower.encode())) or 0)

    def read_seals(self, key: SessionKey) -> list[Seal]:
        """See ``ports.store``."""
        return list(map(decode_seal, self._reader.with_head(key, None, ["LRANGE", S, 0, -1])[2][0]))

    def add_seal(self, key: SessionKey, seal: Seal, *, incarnation: str) -> bool:
        """See ``ports.store``."""
        _, (living, last) = self._room.read(key, ["HGET", P, "inc"], ["LINDEX", S, -1])
        if living is None or living.decode() != incarnation or seal.previous != (b"" if last is None else decode_seal(last).root):
            return False
        conditions: list[Command] = [["HGET", P, "inc", living], ["LINDEX", S, -1, False if last is None else last]]
        return self._room.apply(key, conditions, [["RPUSH", S, pack(seal)]], tells=False)

    # ---- the store as a whole --------------------------------------------------------------------------------------------------------
    def watch(self, wake: Callable[[], None]) -> RedisWatch:
        """See ``ports.store``."""
        self._links.check_open()
        return self._watcher.add(wake)

    def check(self) -> CheckReport:
        """See ``ports.store``."""
        self._links.check_open()
        return check_store(self._room, self._address)

    def compact(self, *, sessions_max: int = COMPACT_SESSIONS) -> Compacted:
        """See ``ports.store``; the server packs lists by itself, there is nothing tighter that its scripts could read."""
        self._links.check_open()
        return NOTHING_COMPACTED

    def migrate(self, *, dry_run: bool = False, post: bool = False) -> MigrationReport:
        """See ``ports.store``; there is one layout so far, which opening the store notes."""
        self._links.check_open()
        return MigrationReport(before=LAYOUT, after=LAYOUT, known=LAYOUT, dry_run=dry_run)

    def close(self) -> None:
        """See ``ports.store``."""
        if not self._closed:
            self._closed = True
            self._watcher.close()
            self._links.close()

    def _now_us(self) -> int:
        """The store's time: the server's, which all processes share."""
        self._links.check_open()
        return self._links.now_us() if self._room.clock is None else self._room.clock()


def _leased(key: SessionKey, head: HeadRow, holder: str, fence: int, expires_at_us: int) -> tuple[list[Command], Lease]:
    head.holder, head.fence, head.lease_expires_us = holder, fence, expires_at_us
    return [["SET", H, encode_head(head)]], Lease(key.tenant, key.session_id, holder, fence, expires_at_us)
