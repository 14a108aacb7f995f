"""What a write is: one commit = events + head change + run rows (+ lease token), all or nothing."""

from __future__ import annotations

import msgspec

from turnfold.model.event import Event, RangeTombstone, Seal
from turnfold.model.run import Run
from turnfold.model.session import Entry, SessionKey
from turnfold.model.usage import NO_USAGE, Usage


class StatusChange(msgspec.Struct, frozen=True, gc=False):
    """Guarded: takes place only while the status is one of ``allowed_from``; ``end_reason`` is stored beside it."""

    to: str
    allowed_from: frozenset[str]
    end_reason: str | None = None


class Guard(msgspec.Struct, frozen=True, gc=False):
    """Refuse the commit unless the live head entry ``(kind, name)`` is there (NotFound) or is not (AlreadyExists). Checked with the status."""

    kind: str
    name: str
    present: bool


class HeadChange(msgspec.Struct, frozen=True, gc=False):
    """What the commit's events change in the head; computed by ``core.fold.change_of``, never by a store.

    Sums (counts, usage), last-by-seq (entries), guarded (status, guards; ``active_branch`` must exist or be created by the commit).
    ``expires_at_us``: None leaves it, 0 clears it.
    A branch-keyed entry with an empty ``branch`` belongs to the branch that its event goes to.
    """

    message_count: int = 0
    turn_count: int = 0
    token_count: int = 0
    usage: Usage = NO_USAGE
    usage_by_model: tuple[Usage, ...] = ()
    entries: tuple[Entry, ...] = ()
    status: StatusChange | None = None
    active_branch: str | None = None
    expires_at_us: int | None = None
    branch_count: int = 0
    checkpoint_count: int = 0
    guards: tuple[Guard, ...] = ()


NO_CHANGE = HeadChange()


class Genesis(msgspec.Struct, frozen=True, kw_only=True):
    """How to create the session, if it does not exist when the commit arrives; else it is dropped and the commit joins.

    Attributes:
        event: The ``session.created`` event, which becomes seq 1.
        change: Its head entries.
        incarnation: Id of this creation, if it happens.
        status: ``pending`` or ``active``.
        kind: ``session``, or ``scope`` for the small log of a shared state scope (left out of lists).
        ttl_s: Sliding time to live: each commit moves the expiry to the store's clock plus this.
        owner_sessions_max: Refuse to create when the owner has that many open sessions.
    """

    event: Event
    change: HeadChange
    incarnation: str
    owner: str | None = None
    agent: str = ""
    status: str = "active"
    kind: str = "session"
    ttl_s: float | None = None
    expires_at_us: int | None = None
    owner_sessions_max: int | None = None


class LimitCheck(msgspec.Struct, frozen=True, gc=False):
    """Refuse the commit if a counter of the head would pass ``value``; the error names ``limit``.

    Counters: ``turn_count``, ``message_count``, ``branch_count``, ``checkpoint_count``, ``last_seq``.
    """

    limit: str
    counter: str
    value: int


class Redact(msgspec.Struct, frozen=True, gc=False):
    """Replace one stored payload by ``tombstone`` (JSON that keeps what the fold counts), erase salt, source, meta and index rows.

    Conditional on the event still having ``digest``; refused as a SequenceConflict otherwise. Parts that only this event referred to are
    named in ``parts`` and erased too. ``entries`` get the value given where their seq is still this event's; None is as if removed by it.
    """

    seq: int
    digest: bytes
    tombstone: bytes
    parts: tuple[str, ...] = ()
    entries: tuple[Entry, ...] = ()


class Verbatim(msgspec.Struct, frozen=True, kw_only=True):
    """A session as it was elsewhere: seqs, times, digests, tombstones and seals are kept.

    The first such commit creates the session and is refused where there is one (AlreadyExists). One that continues it has no genesis and
    no seals (``Store.add_seal`` carries them on); it passes the checks of ids, lease and place, and in every status: its events happened
    elsewhere. So a log of any length is copied in bounded memory, and a copy that has fallen behind is brought up to date.

    Attributes:
        created_at_us: When the session began; the first commit decides.
        updated_at_us: The latest time of its events up to here.
        ranges: Range tombstones between the events; the two together leave no gap.
        seals: In order; only with the first commit.
        after_seq: Where the log must end before: 0 creates the session, anything else continues it (SequenceConflict).
    """

    created_at_us: int
    updated_at_us: int
    ranges: tuple[RangeTombstone, ...] = ()
    seals: tuple[Seal, ...] = ()
    after_seq: int = 0


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """One write. Order of the checks on every store: ids, lease token, expected_seq, status, limits.

    Attributes:
        key: Tenant and session id.
        events: Without seq and recorded_at (``verbatim`` keeps them); an event's ``branch`` wins over the commit's.
        change: What the events do to the head.
        owner: Scope of the caller: another owner's session is SessionNotFound. None sees every owner of the tenant.
        incarnation: The creation that the handle knows; None takes whichever lives. A dead one is SessionNotFound.
        genesis: Creates the session if it is not there; without it a missing session is SessionNotFound.
        branch: Where the events go; None is the active branch, resolved by the store.
        expected_seq: Refuse unless it is the last seq.
        lease: Fencing token. ``leased`` sessions refuse commits without one.
        lifecycle: The commit is a lifecycle step, guarded by ``change.status`` instead of by "must be active".
        limits: Checked last.
        runs: Rows replaced by id.
        parts: Out-of-line payloads by ``sha256:<hex>``, stored once per session; ``keyed:<hex>`` where a wrapper hides the hash.
        redacts: Payloads to erase.
        prune: Ranges to replace by a range tombstone.
        also: Commits to other logs in the same transaction (shared state scopes); they have no ``also`` of their own.
        verbatim: See there; excludes genesis-by-events: ``genesis`` gives the fields of a new session, its event is events[0].
    """

    key: SessionKey
    events: tuple[Event, ...] = ()
    change: HeadChange = NO_CHANGE
    owner: str | None = None
    incarnation: str | None = None
    genesis: Genesis | None = None
    branch: str | None = None
    expected_seq: int | None = None
    lease: int | None = None
    lifecycle: bool = False
    limits: tuple[LimitCheck, ...] = ()
    runs: tuple[Run, ...] = ()
    parts: tuple[tuple[str, bytes], ...] = ()
    redacts: tuple[Redact, ...] = ()
    prune: tuple[RangeTombstone, ...] = ()
    also: tuple[Commit, ...] = ()
    verbatim: Verbatim | None = None


class Committed(msgspec.Struct, frozen=True, gc=False):
    """What a commit did.

    Attributes:
        first_seq, last_seq: Places of the commit's own events (genesis not counted), both 0 when it had none.
        repeated: All ids were there already; the places are the original ones.
        seqs: Original places, only where a repeated commit's are not contiguous.
        created: The commit created the session.
        incarnation: Of the session that it went to.
        branch: The branch that ``None`` stood for.
        recorded_at_us: The store's time.
    """

    first_seq: int
    last_seq: int
    repeated: bool = False
    seqs: tuple[int, ...] | None = None
    created: bool = False
    incarnation: str = ""
    branch: str = "main"
    recorded_at_us: int = 0
