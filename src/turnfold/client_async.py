"""The async client; ``client.py`` is generated from it by ``tools/make_sync.py``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from msgspec.structs import replace

from turnfold.core.branches import key_of
from turnfold.core.lifecycle import PENDING
from turnfold.engine._async.files import AsyncFiles
from turnfold.engine._async.session import AsyncSession
from turnfold.engine.bridge_async import AsyncBridge
from turnfold.engine.context import Context
from turnfold.engine.scopes import make_genesis, refuse_reserved
from turnfold.errors import InvalidInput, InvalidTransition, LeaseLost, NotSupported, SessionClosed, SessionNotFound
from turnfold.ids import check_name, check_session_id
from turnfold.limits import PAGE_SESSIONS_MAX
from turnfold.model import event_types as t
from turnfold.model.event import Seal, to_us
from turnfold.model.page import Page
from turnfold.model.query import SearchQuery, SessionQuery
from turnfold.model.session import Lease, SessionInfo, SessionKey
from turnfold.model.settings import Settings
from turnfold.ports.store import ENCRYPTED, Shredder, Store

if TYPE_CHECKING:  # what a client needs only when it is asked for it is imported there
    from pathlib import Path

    from turnfold.engine.resuming import Resumption
    from turnfold.engine.searching import SearchHit
    from turnfold.engine.usage import By, UsageRow
    from turnfold.engine.verify import Verified


class AsyncClient(AsyncFiles):
    """A store in one tenant, perhaps narrowed to one owner. Made by ``connect_async``; close it, or use it as a context manager."""

    def __init__(
        self,
        store: Store,
        *,
        tenant: str = "default",
        owner: str | None = None,
        settings: Settings | None = None,
        integrity_key: bytes | None = None,
        close_store: bool = True,
    ) -> None:
        """Bind a store.

        Args:
            store: Any implementation of the store port.
            tenant: The isolation boundary; every call is scoped by it.
            owner: Bind the client to one owner; None sees the whole tenant.
            settings: Limits and habits.
            integrity_key: Key of digests, seals and cursors (HMAC); the same for every client of the store.
            close_store: Whether closing the client closes the store.
        """
        chosen = settings or Settings()
        self._context = Context(store, AsyncBridge(store), tenant=tenant, owner=owner, settings=chosen, key=integrity_key)
        self._context.upkeep.enabled = chosen.upkeep
        self._close_store = close_store
        self._closed = False

    def __repr__(self) -> str:
        """Where and whose, without credentials."""
        context = self._context
        return f"<{type(self).__name__} {context.store.url} tenant={context.tenant!r} owner={context.owner!r}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Finish what runs, bring the index up to date if that is quick, close the store. Idempotent."""
        if self._closed:
            return
        self._closed = True
        context = self._context
        context.hub.close()
        await context.bridge.call(context.upkeep.close)
        context.bridge.close()
        if self._close_store:
            context.store.close()

    @property
    def store(self) -> Store:
        """The store behind the client."""
        return self._context.store

    @property
    def tenant(self) -> str:
        """The tenant that every call is scoped by."""
        return self._context.tenant

    @property
    def owner(self) -> str | None:
        """The owner that the client is bound to, or None where it sees the whole tenant."""
        return self._context.owner

    async def open(
        self,
        session_id: str,
        *,
        owner: str | None = None,
        agent: str = "",
        create: bool = True,
        activate: bool = True,
        persist: bool = False,
        title: str | None = None,
        tags: Iterable[str] = (),
        metadata: Mapping[str, Any] | None = None,
        parent: Mapping[str, Any] | None = None,
        ttl_s: float | None = None,
        branch: str | None = None,
        lease: Lease | None = None,
    ) -> AsyncSession:
        """Get a session, or prepare to create it with the first commit. One read, no write.

        Args:
            session_id: Any string up to ``SESSION_ID_BYTES_MAX`` bytes.
            owner: Whose session; fixed when it is created. Another owner's session is SessionNotFound.
            agent: The agent it belongs to; a session that exists keeps its own.
            create: False raises SessionNotFound where there is none.
            activate: False creates it pending, until ``session.activate()``.
            persist: Write it at once instead of with the first commit.
            title: Of a new session.
            tags: Of a new session.
            metadata: Of a new session.
            parent: ``{"session_id": …, "relation": …}`` of a new session.
            ttl_s: Sliding time to live of a new session; None takes the setting.
            branch: Pin the handle to a branch.
            lease: Write under this lease of the session, which must exist.

        Raises:
            SessionNotFound: Missing and ``create=False``. Another owner's session is not told from a missing one here; with ``create``
                the first commit finds out.
        """
        context = self._context
        refuse_reserved(check_session_id(session_id))
        scope = context.scope(owner)
        key = SessionKey(context.tenant, session_id)
        if lease is not None and (lease.tenant, lease.session_id) != key:
            raise InvalidInput(f"the lease is one of session {lease.session_id!r}, not of {session_id!r}")
        try:
            head = await context.bridge.call(context.store.get_session, key, owner=scope)
        except SessionNotFound:
            if not create or lease is not None:
                raise
        else:
            fence = None if lease is None else lease.fence
            pinned = None if branch is None else key_of(head, branch)
            return AsyncSession(context, key, owner=scope, incarnation=head.info.incarnation, branch=pinned, fence=fence)
        settings = context.settings
        data = t.SessionCreated(
            agent=agent and check_name(agent, "agent"),
            owner=scope,
            status="active" if activate else PENDING,
            title=title,
            tags=[check_name(tag, "tag") for tag in tags],
            metadata=dict(metadata or {}),
            parent=None if parent is None else dict(parent),
            ttl_s=settings.session_ttl_s if ttl_s is None else ttl_s,
        )
        genesis = make_genesis(data, context.key, owner_sessions_max=settings.owner_sessions_max)
        session = AsyncSession(context, key, owner=scope, genesis=genesis, branch=branch)
        if persist:
            await session.persist()
        return session

    async def sessions(
        self,
        *,
        owner: str | None = None,
        agent: str | None = None,
        tags: Iterable[str] = (),
        status: str | None = None,
        parent: str | None = None,
        prefix: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[SessionInfo]:
        """Return sessions, newest first.

        Args:
            owner: Only this owner's.
            agent: Only this agent's.
            tags: Only those with all of these tags.
            status: Only in this status.
            parent: Only children of this session.
            prefix: Only ids that begin so.
            limit: 1 to ``PAGE_SESSIONS_MAX``.
            cursor: Of the page before.
        """
        if not 0 < limit <= PAGE_SESSIONS_MAX:
            raise InvalidInput(f"limit is 1 to {PAGE_SESSIONS_MAX}, not {limit}", limit="PAGE_SESSIONS_MAX", value=PAGE_SESSIONS_MAX)
        context = self._context
        query = SessionQuery(
            tenant=context.tenant,
            owner=context.scope(owner),
            agent=agent,
            tags=tuple([tags] if isinstance(tags, str) else tags),
            status=status,
            parent_id=parent,
            limit=limit,
            cursor=cursor,
            id_prefix=prefix,
        )
        items, following = await context.bridge.call(context.store.list_sessions, query)
        return Page(items, following)

    async def find(self, session_id: str, *, owner: str | None = None) -> SessionInfo:
        """Return the session of this id, or the only one whose id begins so.

        Raises:
            SessionNotFound: None does.
            InvalidInput: Several do; ``details['candidates']`` lists some.
        """
        context = self._context
        try:
            head = await context.bridge.call(
                context.store.get_session, SessionKey(context.tenant, check_session_id(session_id)), owner=context.scope(owner)
            )
        except SessionNotFound:
            page = await self.sessions(owner=owner, prefix=session_id, limit=6)
        else:
            return head.info
        if not page.items:
            raise SessionNotFound(f"there is no session {session_id!r}", session_id=session_id, hint="`turnfold ls` lists them")
        names = sorted((info.id for info in page.items), key=len)
        if any(not name.startswith(names[0] + "/") for name in names[1:]):  # a session's own children do not make it ambiguous
            raise InvalidInput(f"{session_id!r} is the beginning of {len(names)} or more ids", candidates=names, hint=", ".join(names))
        return next(info for info in page.items if info.id == names[0])

    async def search(
        self,
        text: str,
        *,
        owner: str | None = None,
        agent: str | None = None,
        session_id: str | None = None,
        viewer: str | None = None,
        limit: int = 20,
        cursor: tuple[int, str, int] | None = None,
    ) -> Page[SearchHit]:
        """Find events that hold all words of ``text``; those that hold them as a phrase come first.

        ``indexed_through`` of the page is the number of sessions whose index still lags behind.
        """
        from turnfold.engine.searching import query_terms, search

        context = self._context
        query = SearchQuery(
            tenant=context.tenant,
            terms=query_terms(text),
            owner=context.scope(owner),
            agent=agent,
            session_id=session_id,
            viewer=viewer,
            limit=limit,
            after=cursor,
        )
        return await context.bridge.call(search, context.store, context.upkeep, query)

    async def usage(
        self,
        *,
        by: By = "model",
        owner: str | None = None,
        agent: str | None = None,
        since: datetime | None = None,
    ) -> list[UsageRow]:
        """Sum tokens and cost over sessions by model, agent, owner, session or day (UTC)."""
        from turnfold.engine.usage import BY, roll_up

        if by not in BY:
            raise InvalidInput(f"usage goes by {', '.join(BY)}, not {by!r}")
        context = self._context
        return await context.bridge.call(
            roll_up,
            context.store,
            tenant=context.tenant,
            owner=context.scope(owner),
            agent=agent,
            by=by,
            since_us=None if since is None else to_us(since),
        )

    async def catch_up(self, *, wait_s: float | None = None) -> int:
        """Bring the search index up to date now, instead of with the next search; can be broken off at any time.

        Args:
            wait_s: Stop after so long; None goes on to the end.

        Returns:
            The number of sessions that still lag.
        """
        return await self._context.bridge.call(self._context.upkeep.catch_up, None if wait_s is None else monotonic() + wait_s)

    async def resume_with(
        self,
        session_id: str,
        tool: str,
        *,
        branch: str = "",
        home: Path | str | None = None,
        cwd: Path | str | None = None,
        reasoning: Literal["drop", "note"] = "drop",
        force: bool = False,
        dry_run: bool = False,
        owner: str | None = None,
    ) -> Resumption:
        """Put a session where another tool goes on with it: structured calls and results, images and compactions, as its own session.

        A session that came from that tool and is as it came is put back as it was. A file that is there is never written over; where it is
        the one that would be written, it is the answer, even if the tool has gone on in it since. The session gets a ``link`` event that
        says where it went on; importing that file later brings in a session with this one as its parent.

        Args:
            session_id: The session.
            tool: ``claude`` or ``codex``.
            branch: Its branch to go on from; empty is the active one.
            home: The tool's folder; None is that of the environment (``CLAUDE_CONFIG_DIR``, ``CODEX_HOME``) or of the user.
            cwd: The folder to go on in; None is the session's own.
            reasoning: What becomes of another provider's reasoning: ``drop`` it, or ``note`` it as text.
            force: Write another copy, under another id, where one is there already.
            dry_run: Write nothing and say what would be.
            owner: Whose session.

        Raises:
            NotSupported: There is no such tool.
            InvalidInput: The folder is not on this machine.
            AlreadyExists: The tool's own file of that session is there and holds something else.
        """
        from pathlib import Path

        from turnfold.engine.resuming import ResumeRequest, resume

        context = self._context
        request = ResumeRequest(
            tool=tool,
            branch=branch,
            home=None if home is None else Path(home),
            cwd=None if cwd is None else Path(cwd),
            reasoning=reasoning,
            force=force,
            dry_run=dry_run,
        )
        key = SessionKey(context.tenant, check_session_id(session_id))
        done = await context.bridge.call(resume, context.store, key, request, owner=context.scope(owner))
        if done.link is None:
            return replace(done.resumption, linked=not dry_run and not done.resumption.is_native)
        session = await self.open(session_id, owner=owner, create=False)
        try:
            await session.append(done.link)
        except (SessionClosed, InvalidTransition, LeaseLost):  # a session that takes nothing more is resumed all the same
            return done.resumption
        return replace(done.resumption, linked=True)

    async def delete(self, session_id: str, *, owner: str | None = None) -> None:
        """Delete a session: not found from the moment that this returns.

        Raises:
            SessionNotFound: There is none (any more).
        """
        context = self._context
        key = SessionKey(context.tenant, check_session_id(session_id))
        await context.bridge.call(context.store.delete_session, key, owner=context.scope(owner))

    async def forget_key(self, session_id: str, *, owner: str | None = None) -> int:
        """Destroy the keys of an encrypted session, so that no copy of it can be read any more; return how many there were.

        The session stays in lists, without what was said in it; reading it raises KeyUnavailable, and so does writing to it. Deleting a
        session destroys its keys too.

        Raises:
            SessionNotFound: There is no such session.
            NotSupported: The store is not encrypted, or its keyring derives all keys from one.
        """
        context = self._context
        store = context.store
        if ENCRYPTED not in store.capabilities or not isinstance(store, Shredder):
            raise NotSupported("this store is not encrypted, so that there is no key to forget", hint="delete the session instead")
        key = SessionKey(context.tenant, check_session_id(session_id))
        return await context.bridge.call(store.forget_key, key, owner=context.scope(owner))

    async def verify(self, session_id: str, *, owner: str | None = None) -> Verified:
        """Check digests, gap-free seqs, redactions, seals and out-of-line parts of a session.

        Raises:
            IntegrityError: Names the first bad seq.
        """
        from turnfold.engine.verify import verify_session

        context = self._context
        key = SessionKey(context.tenant, check_session_id(session_id))
        return await context.bridge.call(verify_session, context.store, key, owner=context.scope(owner), mac_key=context.key)

    async def seal(self, session_id: str, *, owner: str | None = None) -> Seal | None:
        """Seal a session now; None where nothing is new since its last seal."""
        session = await self.open(session_id, owner=owner, create=False)
        return await self._context.bridge.call(self._context.upkeep.seal, SessionKey(self.tenant, session.id))

    async def lease(self, session_id: str, holder: str, *, ttl_s: float = 30.0, owner: str | None = None) -> Lease:
        """Take the exclusive right to write to a session; ``open(…, lease=…)`` gives the handle that may.

        Args:
            session_id: The session, which must exist.
            holder: Who takes it. The same holder may take it again, and gets a new fence.
            ttl_s: How long it lasts without being renewed, up to ``LEASE_TTL_S_MAX``.
            owner: Whose session.

        Raises:
            LeaseLost: Another holder has it.
        """
        context = self._context
        key = SessionKey(context.tenant, check_session_id(session_id))
        return await context.bridge.call(context.store.acquire_lease, key, check_name(holder, "holder"), ttl_s, owner=context.scope(owner))

    async def renew_lease(self, lease: Lease, *, ttl_s: float = 30.0) -> Lease:
        """Move a lease's end to ``ttl_s`` from now; handles opened with it go on.

        Raises:
            LeaseLost: It does not hold any more, or is one of a session that this client does not see.
        """
        if not await self._sees(lease):
            raise LeaseLost(f"there is no lease of session {lease.session_id!r} to renew")
        return await self._context.bridge.call(self._context.store.renew_lease, lease, ttl_s)

    async def release_lease(self, lease: Lease) -> None:
        """Give a lease up: anybody may write again, but no one under it. Not holding it any more is no error."""
        if await self._sees(lease):
            await self._context.bridge.call(self._context.store.release_lease, lease)

    async def _sees(self, lease: Lease) -> bool:
        """Whether the lease is one of a session of this client's tenant and owner; fences can be guessed, sessions cannot be borrowed."""
        context = self._context
        if lease.tenant != context.tenant:
            return False
        if context.owner is None:
            return True
        try:
            await context.bridge.call(context.store.get_session, SessionKey(lease.tenant, lease.session_id), owner=context.owner)
        except SessionNotFound:
            return False
        return True
