"""Roll-ups of usage over sessions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from turnfold.limits import PAGE_EVENTS_MAX, PAGE_SESSIONS_MAX
from turnfold.model.event import from_us
from turnfold.model.query import EventQuery, SessionQuery
from turnfold.model.session import SessionInfo, SessionKey
from turnfold.model.usage import NO_USAGE, Usage
from turnfold.ports.store import Store

By = Literal["model", "agent", "owner", "session", "day"]
BY: tuple[By, ...] = ("model", "agent", "owner", "session", "day")


class UsageRow(msgspec.Struct, frozen=True):
    """One group of a roll-up."""

    name: str
    usage: Usage
    session_count: int


def roll_up(
    store: Store,
    *,
    tenant: str,
    owner: str | None,
    agent: str | None,
    by: By,
    since_us: int | None,
) -> list[UsageRow]:
    """Sum usage by model, agent, owner, session or day (UTC), most tokens first (days in order).

    Whole sessions are summed from their heads; ``since`` and days need the events of those that used anything.
    """
    sums: dict[str, Usage] = {}
    sessions: dict[str, set[str]] = {}
    for info in _sessions(store, tenant, owner, agent):
        if since_us is not None and info.updated_at_us < since_us:
            continue
        for name, usage in _parts(store, info, by, since_us):
            if usage:
                sums[name] = sums.get(name, NO_USAGE) + usage
                sessions.setdefault(name, set()).add(info.id)
    rows = [UsageRow(name, msgspec.structs.replace(usage, model=""), len(sessions[name])) for name, usage in sums.items()]
    if by == "day":
        return sorted(rows, key=lambda row: row.name)
    return sorted(rows, key=lambda row: (-row.usage.total_tokens, row.name))


def _sessions(store: Store, tenant: str, owner: str | None, agent: str | None) -> Iterator[SessionInfo]:
    cursor: str | None = None
    while True:
        query = SessionQuery(tenant=tenant, owner=owner, agent=agent, limit=PAGE_SESSIONS_MAX, cursor=cursor)
        items, cursor = store.list_sessions(query)
        yield from items
        if cursor is None:
            return


def _parts(store: Store, info: SessionInfo, by: By, since_us: int | None) -> Iterator[tuple[str, Usage]]:
    key = SessionKey(info.tenant, info.id)
    if by == "day" or since_us is not None:
        if not info.usage:
            return
        after = 0
        while True:
            page = store.read_events(EventQuery(key=key, after=after, limit=PAGE_EVENTS_MAX, since_us=since_us))
            for event in page.events:
                if event.usage:
                    yield _name(info, by, event.usage.model, event.at_us), event.usage
            if not page.more:
                return
            after = page.through_seq
    if by == "model":
        if info.usage:
            for model, usage in store.get_session(key).usage_by_model.items():
                yield model or "(unknown)", usage
        return
    yield _name(info, by, "", 0), info.usage


def _name(info: SessionInfo, by: By, model: str, at_us: int) -> str:
    match by:
        case "model":
            return model or "(unknown)"
        case "agent":
            return info.agent or "(none)"
        case "owner":
            return info.owner or "(none)"
        case "session":
            return info.id
        case "day":
            return from_us(at_us).date().isoformat()
