"""Copying or comparing whole stores.

Theory of operation. The sessions of all tenants come from the source's own list of what a follower that never moves is behind on; nothing is
written to the source but, in some stores, that follower's name. Logs of shared state come last: on stores without ``atomic_also`` they may
still be waiting for what the sessions already hold. A session that fails is a problem of the report and the others go on; a store that is
away ends the copy, and the next run goes on where this one was.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from turnfold.engine.copying.report import CopyProblem, CopyProgress, CopyReport
from turnfold.engine.copying.session import COPIED, EXTENDED, REPLACED, Outcome, SessionCopier, Small
from turnfold.engine.scopes import SCOPE_PREFIX
from turnfold.errors import InvalidInput, SessionNotFound, StoreUnavailable, TurnfoldError
from turnfold.limits import COPY_GROUP_SESSIONS, COPY_PIECE_BYTES, COPY_PROBLEMS_MAX, COPY_SESSIONS_MAX, COPY_WORKERS
from turnfold.model.session import SessionKey
from turnfold.ports.store import Store

COPY_FOLLOWER = "copy"


def copy_stores(
    source: Store,
    target: Store,
    *,
    tenants: Collection[str] | None = None,
    mac_key: bytes | None = None,
    verify_only: bool = False,
    progress: Callable[[CopyProgress], object] | None = None,
) -> CopyReport:
    """Bring a target up to date with a source, session by session, or only compare the two.

    Args:
        source: Where from; others may read and write there meanwhile.
        target: Where to; its other sessions are left alone.
        tenants: Only these; None takes all.
        mac_key: Key of the digests of both, or None.
        verify_only: Write nothing; compare every byte.
        progress: Called before each session and at the end.

    Raises:
        InvalidInput: Both are the same store.
        StoreUnavailable: One of them is away; run it again to go on.
    """
    if source is target or _is_one_place(source.url, target.url):
        raise InvalidInput("source and target of a copy are the same store")
    keys = [item.key for item in source.changed_sessions(COPY_FOLLOWER, COPY_SESSIONS_MAX) if tenants is None or item.key.tenant in tenants]
    keys.sort(key=lambda key: (key.session_id.startswith(SCOPE_PREFIX), key))
    first_scope = next((place for place, key in enumerate(keys) if key.session_id.startswith(SCOPE_PREFIX)), len(keys))
    pool = ThreadPoolExecutor(COPY_WORKERS, thread_name_prefix="turnfold-copy")
    try:
        run = _Run(target, SessionCopier(source, target, mac_key), pool, len(keys), progress)
        if verify_only:
            for key in keys:
                run.compare(key)
        else:
            for part in (keys[:first_scope], keys[first_scope:]):
                for start in range(0, len(part), COPY_GROUP_SESSIONS):
                    run.copy(part[start : start + COPY_GROUP_SESSIONS])
        return run.ended()
    finally:
        pool.shutdown(cancel_futures=True)


class _Run:
    """One copy of stores: does session after session and keeps the report.

    What only looks (is it equal, what is in a small session, was it written as it should) is asked for several sessions at once, because on
    a store behind a network each question is a round trip.
    """

    def __init__(
        self,
        target: Store,
        copier: SessionCopier,
        pool: ThreadPoolExecutor,
        total: int,
        progress: Callable[[CopyProgress], object] | None,
    ) -> None:
        self._target = target
        self._copier = copier
        self._pool = pool
        self._total = total
        self._progress = progress
        self._report = CopyReport()
        self._waiting: list[Small] = []
        self._bytes = 0

    def compare(self, key: SessionKey) -> None:
        """Compare one session."""
        self._show(key.session_id)
        self._note(key, lambda: self._copier.compare(key))

    def copy(self, keys: Sequence[SessionKey]) -> None:
        """Copy sessions; those that are new and small share commits, and so their syncs and round trips."""
        there = self._target.last_seqs(keys)
        known = [(key, self._pool.submit(self._copier.unchanged, key, *there[key])) for key in keys if key in there]
        for key, asked in known:
            self._show(key.session_id)
            self._note(key, partial(self._go_on, key, asked))
        new = [key for key in keys if key not in there]
        for start in range(0, len(new), COPY_WORKERS):
            begun = [(key, self._pool.submit(self._copier.begin, key)) for key in new[start : start + COPY_WORKERS]]
            for key, asked_small in begun:
                self._show(key.session_id)
                self._note(key, partial(self._begin, key, asked_small))
            if self._bytes >= COPY_PIECE_BYTES:
                self._write()
        self._write()

    def _go_on(self, key: SessionKey, asked: Future[Outcome | None]) -> Outcome:
        return asked.result() or self._copier.copy(key)

    def _begin(self, key: SessionKey, asked: Future[Small | None]) -> Outcome | None:
        small = asked.result()
        if small is None:
            return self._copier.copy(key)
        self._waiting.append(small)
        self._bytes += small.piece.byte_count
        return None

    def _write(self) -> None:
        """Write the small sessions that wait, and compare each."""
        waiting, self._waiting, self._bytes = self._waiting, [], 0
        if waiting:
            results = self._target.commit_many([small.commit for small in waiting])
            pairs = list(zip(waiting, results, strict=True))
            ended = [(small.commit.key, self._pool.submit(self._copier.end, small, result)) for small, result in pairs]
            for key, asked in ended:
                self._note(key, asked.result)

    def _note(self, key: SessionKey, work: Callable[[], Outcome | None]) -> None:
        """Do something with a session and count what became of it; None is not yet."""
        report = self._report
        try:
            outcome = work()
        except SessionNotFound:
            report.gone_count += 1
        except StoreUnavailable:
            raise
        except TurnfoldError as error:
            report.problem_count += 1
            if len(report.problems) < COPY_PROBLEMS_MAX:
                report.problems.append(CopyProblem(key.tenant, key.session_id, error.code, error.message, error.hint))
        else:
            if outcome is None:
                return
            _count(report, outcome)
        report.session_count += 1

    def _show(self, session_id: str) -> None:
        if self._progress is not None:
            report = self._report
            done = report.session_count + len(self._waiting)
            self._progress(CopyProgress(done, self._total, session_id, report.event_count, report.byte_count))

    def ended(self) -> CopyReport:
        """Return the report, and show the end."""
        self._show("")
        return self._report


def _is_one_place(one: str, other: str) -> bool:
    """Whether two stores lie in the same place, encrypted or not; every store in memory is a place of its own."""
    one, other = one.removeprefix("encrypted+"), other.removeprefix("encrypted+")
    return one == other and not one.startswith("memory:")


def _count(report: CopyReport, outcome: Outcome) -> None:
    report.event_count += outcome.event_count
    report.part_count += outcome.part_count
    report.byte_count += outcome.byte_count
    if outcome.kind == COPIED:
        report.copied_count += 1
    elif outcome.kind == EXTENDED:
        report.extended_count += 1
    elif outcome.kind == REPLACED:
        report.replaced_count += 1
    else:
        report.unchanged_count += 1
