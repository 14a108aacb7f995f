"""Copying or comparing whole stores.

Theory of operation. The sessions of all tenants come from the source's own list of what a follower that never moves is behind on; nothing is
written to the source but, in some stores, that follower's name. Logs of shared state come last: on stores without ``atomic_also`` they may
still be waiting for what the sessions already hold. A session that fails is a problem of the report and the others go on; a store that is
away ends the copy, and the next run goes on where this one was.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from turnfold.engine.copying.report import CopyProblem, CopyProgress, CopyReport
from turnfold.engine.copying.session import COPIED, EXTENDED, REPLACED, Outcome, SessionCopier
from turnfold.engine.scopes import SCOPE_PREFIX
from turnfold.errors import InvalidInput, SessionNotFound, StoreUnavailable, TurnfoldError
from turnfold.limits import COPY_PROBLEMS_MAX, COPY_SESSIONS_MAX
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
    copier = SessionCopier(source, target, mac_key)
    work = copier.compare if verify_only else copier.copy
    report = CopyReport()
    for key in keys:
        if progress is not None:
            progress(CopyProgress(report.session_count, len(keys), key.session_id, report.event_count, report.byte_count))
        report.session_count += 1
        try:
            _count(report, work(key))
        except SessionNotFound:
            report.gone_count += 1
        except StoreUnavailable:
            raise
        except TurnfoldError as error:
            _note(report, key, error)
    if progress is not None:
        progress(CopyProgress(report.session_count, len(keys), "", report.event_count, report.byte_count))
    return report


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


def _note(report: CopyReport, key: SessionKey, error: TurnfoldError) -> None:
    report.problem_count += 1
    if len(report.problems) < COPY_PROBLEMS_MAX:
        report.problems.append(CopyProblem(key.tenant, key.session_id, error.code, error.message))
