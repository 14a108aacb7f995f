"""Session ids from prefixes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from turnfold.errors import InvalidInput, SessionNotFound

if TYPE_CHECKING:
    from turnfold.client import Client

CANDIDATES_MAX: Final = 12
"""Sessions that an ambiguous prefix names in its error."""
FAMILY_MAX: Final = 1_000
"""Sessions looked through for a child that is named by beginnings of its parts."""
SHORT_ID: Final = 8
"""Characters of an id that a table shows, unless more are needed to tell them apart."""
SHORT_NAME: Final = 12
"""The same for a child's own name."""


def session_id(client: Client, prefix: str) -> str:
    """Return the id of the one session that ``prefix`` means.

    An exact id always means itself. A prefix that a session and its own children share means the session. A child (``<id>/subagents/<name>``)
    may be named by beginnings of its parts: ``7d3f/agent-a4``, which is how tables show it.

    Raises:
        SessionNotFound: No id begins with it.
        InvalidInput: Several do; the hint lists them.
    """
    if not prefix:
        raise InvalidInput("the session id is empty", hint="turnfold ls shows the ids")
    page = client.sessions(prefix=prefix, limit=CANDIDATES_MAX)
    ids, more = [info.id for info in page.items], page.cursor is not None
    if more and _exists(client, prefix):
        return prefix
    if not ids and "/" in prefix:
        family = client.sessions(prefix=prefix.partition("/")[0], limit=FAMILY_MAX)
        ids = [info.id for info in family.items if _matches(prefix, info.id)]
    if not ids:
        raise SessionNotFound(f"there is no session {prefix!r}", hint="turnfold ls shows the ids", session_id=prefix)
    if prefix in ids:
        return prefix
    if not more and (found := _common_parent(ids)) is not None:
        return found
    listed = ", ".join(sorted(ids)[:CANDIDATES_MAX])
    raise InvalidInput(f"{prefix!r} begins several session ids", hint=f"one of: {listed}{' …' if more else ''}", candidates=ids)


def _common_parent(ids: Sequence[str]) -> str | None:
    first = min(ids, key=len)
    return first if all(one == first or one.startswith(first + "/") for one in ids) else None


def _matches(prefix: str, full: str) -> bool:
    """Whether the prefix's parts begin parts of the id, in order: the first the first, the others any later ones."""
    first, *wanted = prefix.split("/")
    head, *parts = full.split("/")
    left = iter(parts)
    return head.startswith(first) and all(any(part.startswith(want) for part in left) for want in wanted)


def _exists(client: Client, exact: str) -> bool:
    try:
        client.open(exact, create=False)
    except SessionNotFound:
        return False
    return True


def short_ids(ids: Sequence[str]) -> dict[str, str]:
    """Return for each id a short form that ``session_id`` understands and that tells it from the others given.

    It is the shortest prefix of at least ``SHORT_ID`` characters; a child's is its session's, a slash, and that of its own name.
    """
    heads = _shortest({one.partition("/")[0] for one in ids}, SHORT_ID)
    tails = _shortest({one.rpartition("/")[2] for one in ids if "/" in one}, SHORT_NAME)
    return {one: heads[one.partition("/")[0]] + ("/" + tails[one.rpartition("/")[2]] if "/" in one else "") for one in ids}


def _shortest(names: set[str], least: int) -> dict[str, str]:
    ordered = sorted(names)
    out: dict[str, str] = {}
    for place, one in enumerate(ordered):
        near = [*ordered[max(place - 1, 0) : place], *ordered[place + 1 : place + 2]]
        out[one] = one[: max([least, *(_shared(one, other) + 1 for other in near)])]
    return out


def _shared(one: str, other: str) -> int:
    return next((place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
