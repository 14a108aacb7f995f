"""What a read asks for, and what a search finds."""

from __future__ import annotations

import msgspec

from turnfold.limits import PAGE_EVENTS_DEFAULT, PAGE_SESSIONS_DEFAULT
from turnfold.model.event import Event, RangeTombstone
from turnfold.model.session import SessionKey

ACTIVE_BRANCH = ""
"""In ``EventQuery.branch``: the view of whichever branch is active, resolved by the store in the same read."""


class EventQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Events of one session in seq order; all conditions hold together.

    Attributes:
        after, before: Strict bounds on seq (0 and None: open).
        branch: Only what that branch's view holds (ancestors up to the fork, then its own); None is the whole session, ``ACTIVE_BRANCH`` the active
            branch's view.
        types: Event types.
        run_id, since_us, until_us: Queryable envelope fields; ``since`` ≤ at < ``until``.
        visible: Visibilities to let through; None lets all.
        viewer: Agent whose ``visible_to``/``hidden_from`` hold; None sees all.
        descending: Newest first.
        incarnation: Refuse another one as SessionNotFound.
        with_source: Also load the kept source lines (export, verify); otherwise ``source`` is None.
    """

    key: SessionKey
    owner: str | None = None
    after: int = 0
    before: int | None = None
    limit: int = PAGE_EVENTS_DEFAULT
    branch: str | None = None
    types: frozenset[str] | None = None
    run_id: str | None = None
    since_us: int | None = None
    until_us: int | None = None
    visible: frozenset[str] | None = None
    viewer: str | None = None
    descending: bool = False
    incarnation: str | None = None
    with_source: bool = False


class EventPage(msgspec.Struct, frozen=True):
    """Some events and how far the read looked.

    Attributes:
        events: In the asked order, at most ``limit``.
        through_seq: Ascending: every matching event up to here was returned (the session's last seq at the end of it, so that a reader
            steps over what did not match and over pruned ranges). Descending: down to here.
        last_seq: The session's last seq.
        incarnation: Of the session that was read.
        ranges: Range tombstones that overlap what was looked at.
        more: Further events match.
    """

    events: list[Event]
    through_seq: int
    last_seq: int
    incarnation: str
    ranges: tuple[RangeTombstone, ...] = ()
    more: bool = False


class SessionQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Sessions of a tenant, newest (``updated_at``) first; expired ones count as ``expired`` by the store's clock."""

    tenant: str
    owner: str | None = None
    agent: str | None = None
    tags: tuple[str, ...] = ()
    status: str | None = None
    kind: str = "session"
    parent_id: str | None = None
    limit: int = PAGE_SESSIONS_DEFAULT
    cursor: str | None = None
    id_prefix: str | None = None


class SearchQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Events whose text holds all terms (already split by ``core.tokens.terms``)."""

    tenant: str
    terms: tuple[str, ...]
    owner: str | None = None
    agent: str | None = None
    session_id: str | None = None
    viewer: str | None = None
    limit: int = 20
    after: tuple[int, str, int] | None = None


class SearchRow(msgspec.Struct, frozen=True):
    """One found event. Order of rows: (bucket, session_id, seq); bucket 0 holds the terms as a phrase, 1 holds them apart."""

    session_id: str
    seq: int
    bucket: int


class IndexRow(msgspec.Struct, frozen=True):
    """What the search follower writes for one event: its terms in order, parted by one space or more.

    ``derived``: they are what ``core.search.index_rows`` makes of the event as this store has it, so the store can make them again. Who
    changes terms on their way to a store leaves it False.
    """

    seq: int
    terms: str
    visible_to: tuple[str, ...] | None = None
    hidden_from: tuple[str, ...] | None = None
    derived: bool = False


class ChangedSession(msgspec.Struct, frozen=True):
    """A session whose last seq is past a follower's."""

    key: SessionKey
    incarnation: str
    follower_seq: int
    last_seq: int


class CheckReport(msgspec.Struct, frozen=True):
    """What ``check`` found; ``problems`` is empty when all is well. ``facts`` are for ``doctor`` and ``store info``."""

    problems: tuple[str, ...] = ()
    facts: dict[str, str | int | float | bool] = {}


class MigrationReport(msgspec.Struct, frozen=True, kw_only=True):
    """What ``migrate`` did or, with ``dry_run``, would do.

    Attributes:
        before, after: Number of the newest migration that was applied before and after, 0 where there was nothing.
        known: Number of the newest one that this code knows.
        applied: Names of what was applied, or would be, in order.
        pending: Names of what is left for later: post migrations that were not asked for.
        dry_run: Nothing was changed.
    """

    before: int
    after: int
    known: int
    applied: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
    dry_run: bool = False


class Compacted(msgspec.Struct, frozen=True, kw_only=True):
    """What one step of ``compact`` did.

    Attributes:
        session_count: Sessions in which something was rewritten.
        segment_count: Blocks or files that were written.
        event_count: Events in them.
        bytes_before, bytes_after: Their size before and after.
        more: There is more to do: call again.
    """

    session_count: int = 0
    segment_count: int = 0
    event_count: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    more: bool = False


NOTHING_COMPACTED = Compacted()
