"""What every part of a session handle stands on: whose session it is, where it writes, and the one commit and read path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from turnfold.core.branches import key_of
from turnfold.core.fold import branches_of, change_of
from turnfold.engine.bridge_async import AsyncBridge
from turnfold.engine.context import Context
from turnfold.engine.cursor import Cursor
from turnfold.engine.prepare import Item, prepare_all
from turnfold.errors import NotFound, SessionNotFound
from turnfold.model.commit import Commit, Committed, Genesis, LimitCheck, Redact
from turnfold.model.event import MAIN, Event
from turnfold.model.query import EventPage, EventQuery
from turnfold.model.session import Branch, Head, SessionInfo, SessionKey


class AsyncHandle:
    """Base of a session handle: identity, commit, read."""

    def __init__(
        self,
        context: Context[AsyncBridge],
        key: SessionKey,
        *,
        owner: str | None,
        genesis: Genesis | None = None,
        incarnation: str | None = None,
        branch: str | None = None,
        fence: int | None = None,
    ) -> None:
        """Bind a session.

        Args:
            context: What the handle shares with its client.
            key: The session.
            owner: Whose data is in reach; None is the whole tenant.
            genesis: What creates the session with the first commit.
            incarnation: The creation that the handle knows.
            branch: Pins the handle to a branch.
            fence: Of the lease that every commit of the handle carries.
        """
        self._context = context
        self._bridge = context.bridge
        self._key = key
        self._owner = owner
        self._genesis = genesis
        self._incarnation = incarnation
        self._branch = branch
        self._fence = fence

    def __repr__(self) -> str:
        """Identity only: content never reaches a repr."""
        pinned = "" if self._branch is None else f", branch={self._branch!r}"
        return f"<{type(self).__name__} {self._key.session_id!r}{pinned}>"

    @property
    def id(self) -> str:
        """The session's id."""
        return self._key.session_id

    @property
    def tenant(self) -> str:
        """The tenant that the session belongs to."""
        return self._key.tenant

    @property
    def branch(self) -> str | None:
        """The branch that the handle is pinned to, or None where it floats on the active one."""
        return self._branch

    async def head(self) -> Head:
        """Read the head. A session that nothing was written to yet has an empty one."""
        try:
            head = await self._bridge.call(self._context.store.get_session, self._key, owner=self._owner)
        except SessionNotFound:
            if self._genesis is None:
                raise
            return _unborn(self._key, self._genesis)
        if self._incarnation is not None and head.info.incarnation != self._incarnation:
            raise SessionNotFound(f"session {self.id!r} was deleted and created again", session_id=self.id)
        return head

    async def persist(self) -> None:
        """Write a new session at once, without waiting for its first commit; a no-op where it exists."""
        if self._genesis is not None:
            done = await self._bridge.commit(Commit(key=self._key, owner=self._owner, genesis=self._genesis, lifecycle=True))
            self._incarnation, self._genesis = done.incarnation, None

    async def info(self) -> SessionInfo:
        """Read the session's row as a list shows it."""
        return (await self.head()).info

    async def _commit(
        self,
        items: Item | Iterable[Item],
        *,
        expected_seq: int | None = None,
        lifecycle: bool = False,
        limits: tuple[LimitCheck, ...] = (),
        redacts: tuple[Redact, ...] = (),
        also: tuple[Commit, ...] = (),
    ) -> Committed:
        """Prepare and commit items on the handle's branch; the one write path."""
        context = self._context
        events, parts = prepare_all(items, context.key)
        commit = Commit(
            key=self._key,
            events=events,
            change=change_of(events),
            owner=self._owner,
            incarnation=self._incarnation,
            genesis=self._genesis,
            branch=self._branch,
            expected_seq=expected_seq,
            lease=self._fence,
            lifecycle=lifecycle,
            limits=limits,
            redacts=redacts,
            parts=tuple(parts) if parts else (),
            also=also,
        )
        done = await self._bridge.commit(commit)
        if self._genesis is not None:
            self._incarnation, self._genesis = done.incarnation, None
        if context.hub.active:
            context.hub.committed(self._key, done.incarnation, done.last_seq)
        context.upkeep.touched()
        return done

    def _query(self, **fields: Any) -> EventQuery:
        """Ask for events of this session, as its owner; ``fields`` are those of EventQuery."""
        return EventQuery(**{"key": self._key, "owner": self._owner, "incarnation": self._incarnation, **fields})

    async def _read(self, query: EventQuery) -> EventPage:
        """Read a page; a session that nothing was written to yet is empty."""
        context = self._context
        if context.settings.verify_on_read and not query.with_source:
            query = msgspec.structs.replace(query, with_source=True)
        try:
            page = await self._bridge.call(context.store.read_events, query)
        except SessionNotFound:
            if self._genesis is None:
                raise
            return EventPage([], query.after, 0, "")
        except NotFound:
            branch = key_of(await self.head(), query.branch) if query.branch else query.branch
            if branch == query.branch:
                raise
            return await self._read(msgspec.structs.replace(query, branch=branch))
        if context.settings.verify_on_read:
            context.check(page.events)
        return page

    async def _event(self, seq: int) -> Event:
        """Read one event with its kept line, or raise NotFound."""
        page = await self._read(self._query(after=seq - 1, before=seq + 1, limit=1, with_source=True))
        if not page.events:
            raise NotFound(f"session {self.id!r} has no event {seq}", seq=seq)
        return page.events[0]

    async def _place(self) -> tuple[Head, str, Mapping[str, Branch]]:
        """Read the head; return it with the handle's branch and all branches."""
        head = await self.head()
        branch = key_of(head, self._branch) if self._branch else head.info.active_branch
        branches = branches_of(head)
        if branch != MAIN and branch not in branches:
            raise NotFound(f"there is no branch {branch!r}", branch=branch)
        return head, branch, branches

    def _cursor(self, after: int | str) -> tuple[int, str | None]:
        """Take an int seq, a Cursor or its token apart into (seq, incarnation)."""
        cursor = Cursor.parse(after, self._context.key)
        return int(cursor), cursor.incarnation or self._incarnation


def _unborn(key: SessionKey, genesis: Genesis) -> Head:
    info = SessionInfo(
        id=key.session_id,
        tenant=key.tenant,
        owner=genesis.owner,
        agent=genesis.agent,
        status=genesis.status,
        kind=genesis.kind,
        incarnation="",
        created_at_us=genesis.event.at_us,
        updated_at_us=genesis.event.at_us,
    )
    return Head(info=info, entries=(), ttl_s=genesis.ttl_s)
