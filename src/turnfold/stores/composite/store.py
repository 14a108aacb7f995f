"""The composite store: sessions in any store, their large parts in an artifact store, each where it is best kept.

Everything but parts goes straight to the session store, so appends, follows and long polls cost what they cost there; see ``artifacts`` for
how the two stay together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final
from urllib.parse import quote

import msgspec

from turnfold.errors import StoreUnavailable, TurnfoldError
from turnfold.ids import now_us
from turnfold.limits import COMPACT_SESSIONS, ORPHAN_AGE_S, SWEEP_EVERY_S
from turnfold.model.commit import Commit, Committed
from turnfold.model.event import Seal
from turnfold.model.query import (
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
from turnfold.ports.artifacts import ArtifactStore
from turnfold.ports.store import DURABLE, DURABLE_ON_ACK, MULTI_PROCESS, Clock, Store, Watch
from turnfold.stores.composite.artifacts import Parts, has_parts, inner_of

_BOTH_NEED: Final = frozenset({DURABLE, DURABLE_ON_ACK, MULTI_PROCESS})
"""Capabilities that the whole has only if both halves have them."""
_replace = msgspec.structs.replace


class CompositeStore:
    """A session store and an artifact store as one."""

    def __init__(self, sessions: Store, artifacts: ArtifactStore, *, clock: Clock = now_us, orphan_age_s: float = ORPHAN_AGE_S) -> None:
        """Put the two together; closing this closes both.

        Args:
            sessions: Keeps everything but the bytes of parts.
            artifacts: Keeps those.
            clock: The wall clock, microseconds since the epoch, by which orphans are old enough.
            orphan_age_s: How old an artifact that no session names must be to be swept.
        """
        self.url = f"composite:?sessions={quote(sessions.url, safe='')}&artifacts={quote(artifacts.url, safe='')}"
        self.capabilities = sessions.capabilities - (_BOTH_NEED - artifacts.capabilities)
        self._sessions = sessions
        self._artifacts = artifacts
        self._parts = Parts(sessions, artifacts)
        self._clock = clock
        self._orphan_age_us = int(orphan_age_s * 1_000_000)
        self._swept_us = clock()

    # ---- what has parts --------------------------------------------------------------------------------------------------------------
    def commit(self, commit: Commit) -> Committed:
        """See ``ports.store``."""
        if not has_parts(commit):
            return self._sessions.commit(commit)
        self._parts.put(commit)
        done = self._sessions.commit(inner_of(commit))
        self._parts.settle(commit, repeated=done.repeated)
        return done

    def commit_many(self, commits: Sequence[Commit]) -> list[Committed | Exception]:
        """See ``ports.store``."""
        results: list[Committed | Exception | None] = [None] * len(commits)
        ready: list[int] = []
        for index, commit in enumerate(commits):
            try:
                self._parts.put(commit)
                ready.append(index)
            except TurnfoldError as error:
                results[index] = error
        done = self._sessions.commit_many([inner_of(commits[index]) for index in ready])
        for index, result in zip(ready, done, strict=True):
            results[index] = self._settled(commits[index], result)
        return [result for result in results if result is not None]

    def _settled(self, commit: Commit, result: Committed | Exception) -> Committed | Exception:
        if isinstance(result, Committed) and has_parts(commit):
            try:
                self._parts.settle(commit, repeated=result.repeated)
            except TurnfoldError as error:
                return error
        return result

    def read_part(self, key: SessionKey, ref: str, *, owner: str | None = None) -> bytes:
        """See ``ports.store``."""
        return self._parts.read(key, ref, owner)

    def delete_session(self, key: SessionKey, *, owner: str | None = None) -> None:
        """See ``ports.store``; what the artifact store cannot erase now is an orphan, and is swept later."""
        self._sessions.delete_session(key, owner=owner)
        try:
            self._parts.erase_session(key)
        except StoreUnavailable:
            return

    def check(self) -> CheckReport:
        """See ``ports.store``; names the artifacts that no session names. They harm nothing: ``compact`` sweeps them."""
        report = self._sessions.check()
        count = size = orphan_count = orphan_bytes = 0
        first = ""
        for found in self._artifacts.list():
            count, size = count + 1, size + found.size_bytes
            if not self._parts.is_named(found.name):
                orphan_count, orphan_bytes = orphan_count + 1, orphan_bytes + found.size_bytes
                first = first or f"{found.name.ref} of session {found.name.session_id!r}, tenant {found.name.tenant!r}"
        facts: dict[str, str | int | float | bool] = {
            "artifacts": self._artifacts.url,
            "artifact_count": count,
            "artifact_bytes": size,
            "orphan_count": orphan_count,
            "orphan_bytes": orphan_bytes,
        }
        if first:
            facts["orphan_first"] = first
        return CheckReport(report.problems, {**report.facts, **facts})

    def compact(self, *, sessions_max: int = COMPACT_SESSIONS) -> Compacted:
        """See ``ports.store``; the last step also sweeps artifacts that no session names and that are old enough.

        A sweep asks for every artifact there is, so the background, which comes every minute in small steps, sweeps once a day.
        """
        done = self._sessions.compact(sessions_max=sessions_max)
        now = self._clock()
        if done.more or (sessions_max < COMPACT_SESSIONS and now < self._swept_us + SWEEP_EVERY_S * 1_000_000):
            return done
        self._swept_us = now
        swept = sum(found.size_bytes for found in self._parts.orphans(now - self._orphan_age_us) if self._parts.erase(found.name))
        return _replace(done, bytes_before=done.bytes_before + swept)

    def reclaim(self) -> None:
        """See ``ports.store.Reclaiming``; artifacts hold no room that they do not use."""
        give_back = getattr(self._sessions, "reclaim", None)
        if give_back is not None:
            give_back()

    def close(self) -> None:
        """See ``ports.store``; both are closed."""
        try:
            self._sessions.close()
        finally:
            self._artifacts.close()

    # ---- what has none: the session store's own --------------------------------------------------------------------------------------
    def read_events(self, query: EventQuery) -> EventPage:
        """See ``ports.store``."""
        return self._sessions.read_events(query)

    def get_session(self, key: SessionKey, *, owner: str | None = None) -> Head:
        """See ``ports.store``."""
        return self._sessions.get_session(key, owner=owner)

    def list_sessions(self, query: SessionQuery) -> tuple[list[SessionInfo], str | None]:
        """See ``ports.store``."""
        return self._sessions.list_sessions(query)

    def last_seqs(self, keys: Iterable[SessionKey]) -> dict[SessionKey, tuple[str, int]]:
        """See ``ports.store``."""
        return self._sessions.last_seqs(keys)

    def get_run(self, key: SessionKey, run_id: str, *, owner: str | None = None) -> Run:
        """See ``ports.store``."""
        return self._sessions.get_run(key, run_id, owner=owner)

    def list_runs(self, key: SessionKey, *, owner: str | None = None, status: str | None = None, limit: int = 100) -> list[Run]:
        """See ``ports.store``."""
        return self._sessions.list_runs(key, owner=owner, status=status, limit=limit)

    def search(self, query: SearchQuery) -> list[SearchRow]:
        """See ``ports.store``."""
        return self._sessions.search(query)

    def acquire_lease(self, key: SessionKey, holder: str, ttl_s: float, *, owner: str | None = None) -> Lease:
        """See ``ports.store``."""
        return self._sessions.acquire_lease(key, holder, ttl_s, owner=owner)

    def renew_lease(self, lease: Lease, ttl_s: float) -> Lease:
        """See ``ports.store``."""
        return self._sessions.renew_lease(lease, ttl_s)

    def release_lease(self, lease: Lease) -> None:
        """See ``ports.store``."""
        self._sessions.release_lease(lease)

    def changed_sessions(self, follower: str, limit: int) -> list[ChangedSession]:
        """See ``ports.store``."""
        return self._sessions.changed_sessions(follower, limit)

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
        return self._sessions.advance(follower, key, incarnation=incarnation, from_seq=from_seq, to_seq=to_seq, rows=rows)

    def follower_seq(self, follower: str, key: SessionKey) -> int:
        """See ``ports.store``."""
        return self._sessions.follower_seq(follower, key)

    def read_seals(self, key: SessionKey) -> list[Seal]:
        """See ``ports.store``."""
        return self._sessions.read_seals(key)

    def add_seal(self, key: SessionKey, seal: Seal, *, incarnation: str) -> bool:
        """See ``ports.store``."""
        return self._sessions.add_seal(key, seal, incarnation=incarnation)

    def watch(self, wake: Callable[[], None]) -> Watch:
        """See ``ports.store``."""
        return self._sessions.watch(wake)

    def migrate(self, *, dry_run: bool = False, post: bool = False) -> MigrationReport:
        """See ``ports.store``."""
        return self._sessions.migrate(dry_run=dry_run, post=post)
