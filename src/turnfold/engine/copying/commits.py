"""A piece of a log as the verbatim commit that writes it."""

from __future__ import annotations

from collections.abc import Sequence

from turnfold.core.fold import payload_of
from turnfold.engine.copying.pieces import Piece
from turnfold.errors import IntegrityError
from turnfold.ids import new_id
from turnfold.model.commit import NO_CHANGE, Commit, Genesis, HeadChange, Verbatim
from turnfold.model.event import Seal
from turnfold.model.run import Run
from turnfold.model.session import Head, SessionKey


def commit_of(
    key: SessionKey,
    piece: Piece,
    head: Head,
    *,
    change: HeadChange,
    updated_at_us: int,
    runs: Sequence[Run] = (),
    seals: Sequence[Seal] = (),
    incarnation: str | None = None,
    owner: str | None = None,
) -> Commit:
    """Return the commit that writes a piece; the first one of a log creates the session.

    Args:
        key: Where to.
        piece: Places, events, ranges and parts.
        head: Of the session where it comes from.
        change: What its events do to the head.
        updated_at_us: The latest time of events up to the end of the piece.
        runs: With the last piece.
        seals: With a piece that is the whole log.
        incarnation: What the piece continues.
        owner: Scope of the caller.

    Raises:
        IntegrityError: The log does not begin with its creation.
    """
    verbatim = Verbatim(
        created_at_us=head.info.created_at_us,
        updated_at_us=updated_at_us,
        ranges=piece.ranges,
        seals=tuple(seals),
        after_seq=piece.after_seq,
    )
    return Commit(
        key=key,
        events=piece.events,
        change=change,
        owner=owner,
        genesis=None if piece.after_seq else _genesis(head, piece),
        incarnation=incarnation,
        lifecycle=True,
        runs=tuple(runs),
        parts=piece.parts,
        verbatim=verbatim,
    )


def _genesis(head: Head, piece: Piece) -> Genesis:
    """How the session begins: as it did where it comes from."""
    if not piece.events or piece.events[0].type != "session.created":
        raise IntegrityError("the log does not begin with session.created", seq=1)
    created = payload_of(piece.events[0])
    return Genesis(
        event=piece.events[0],
        change=NO_CHANGE,
        incarnation=new_id(),
        owner=head.info.owner,
        agent=head.info.agent,
        status=created.status,
        kind=head.info.kind,
        ttl_s=head.ttl_s,
        expires_at_us=created.expires_at_us,
    )
