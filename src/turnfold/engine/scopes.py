"""Genesis of sessions, and the reserved sessions that hold shared state."""

from __future__ import annotations

from typing import Any

from turnfold.core.fold import change_of
from turnfold.engine.prepare import prepare
from turnfold.errors import InvalidInput
from turnfold.ids import new_id
from turnfold.model import event_types as t
from turnfold.model.commit import Genesis
from turnfold.model.event import NewEvent

SCOPE_PREFIX = "~state/"


def scope_id(scope: str, name: str) -> str:
    """Return the id of the log of a shared scope."""
    from urllib.parse import quote

    return f"{SCOPE_PREFIX}{scope}/{quote(name, safe='')}"


def refuse_reserved(session_id: str) -> None:
    """Raise InvalidInput for an id that belongs to a shared scope."""
    if session_id.startswith(SCOPE_PREFIX):
        raise InvalidInput(f"session ids that begin with {SCOPE_PREFIX} are reserved for shared state", session_id=session_id)


def make_genesis(data: t.SessionCreated, key: bytes | None, *, owner_sessions_max: int | None = None, at: Any = None) -> Genesis:
    """Prepare what creates a session with its first commit."""
    event = prepare(NewEvent(type="session.created", data=data, visibility="none", at=at), key, [])
    return Genesis(
        event=event,
        change=change_of((event,)),
        incarnation=new_id(),
        owner=data.owner,
        agent=data.agent,
        status=data.status,
        kind=data.kind,
        ttl_s=data.ttl_s,
        owner_sessions_max=owner_sessions_max,
    )


def scope_genesis(owner: str | None, key: bytes | None) -> Genesis:
    """Prepare the genesis of a shared scope's log."""
    return make_genesis(t.SessionCreated(owner=owner, kind="scope"), key)
