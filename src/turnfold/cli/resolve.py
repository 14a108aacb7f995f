"""Session ids from prefixes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from turnfold.errors import InvalidInput, SessionNotFound

if TYPE_CHECKING:
    from turnfold.client import Client

CANDIDATES_MAX: Final = 12
"""Sessions that an ambiguous prefix names in its error."""
SHORT_ID: Final = 8
"""Characters of an id that a table shows, unless more are needed to tell them apart."""


def session_id(client: Client, prefix: str) -> str:
    """Return the id of the one session that ``prefix`` means.

    An exact id always means itself. A prefix that a session and its own children share (``<id>/subagents/…``) means the session.

    Raises:
        SessionNotFound: No id begins with it.
        InvalidInput: Several do; the hint lists them.
    """
    if not prefix:
        raise InvalidInput("the session id is empty", hint="turnfold ls shows the ids")
    page = client.sessions(prefix=prefix, limit=CANDIDATES_MAX)
    ids = [info.id for info in page.items]
    if prefix in ids or not ids:
        return prefix
    if (found := _common_parent(ids)) is not None and page.cursor is None:
        return found
    if page.cursor is not None and _exists(client, prefix):
        return prefix
    more = " …" if page.cursor is not None else ""
    raise InvalidInput(f"{prefix!r} begins several session ids", hint="one of: " + ", ".join(sorted(ids)) + more, candidates=ids)


def _common_parent(ids: Sequence[str]) -> str | None:
    first = min(ids, key=len)
    return first if all(one == first or one.startswith(first + "/") for one in ids) else None


def _exists(client: Client, exact: str) -> bool:
    try:
        client.open(exact, create=False)
    except SessionNotFound:
        return False
    return True


def short_ids(ids: Sequence[str]) -> dict[str, str]:
    """Return for each id the shortest prefix, at least ``SHORT_ID`` long, that tells it from the others given.

    A child's id is shown from its last parts, since its beginning is its parent's.
    """
    out: dict[str, str] = {}
    ordered = sorted(set(ids))
    for place, one in enumerate(ordered):
        near = [other for other in (ordered[place - 1] if place else "", ordered[place + 1] if place + 1 < len(ordered) else "") if other]
        length = max([SHORT_ID, *(_shared(one, other) + 1 for other in near if not other.startswith(one + "/"))])
        out[one] = one[:length]
    return out


def _shared(one: str, other: str) -> int:
    for place, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return place
    return min(len(one), len(other))
