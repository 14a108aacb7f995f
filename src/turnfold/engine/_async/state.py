"""Key-value state of a session and of the scopes it shares: owner, agent, and temp (never stored).

Session state is branch-keyed head entries, folded from the session's own ``state.set`` events. A shared scope is a small log of its own, a session
of kind ``scope`` under a reserved id; a write to both is one commit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from turnfold.core.fold import change_of
from turnfold.core.state import decode_values, fold_state, keyed_entries
from turnfold.engine._async.life import AsyncLife
from turnfold.engine.prepare import prepare_all
from turnfold.engine.scopes import scope_genesis, scope_id
from turnfold.engine.state_mapping import AsyncStateMapping
from turnfold.errors import InvalidInput, SessionNotFound
from turnfold.ids import check_name
from turnfold.limits import STATE_VALUE_BYTES_MAX
from turnfold.model import event_types as t
from turnfold.model.commit import Commit
from turnfold.model.event import NewEvent
from turnfold.model.session import SessionKey

_STATE = frozenset({"state.set"})


class AsyncStateful(AsyncLife):
    """A session handle with state."""

    @property
    def state(self) -> AsyncState:
        """The session's state; ``state.owner``, ``state.agent`` and ``state.temp`` are the other scopes."""
        return AsyncState(self, "session")


class AsyncState(AsyncStateMapping):
    """State in one scope, as the handle's branch sees it."""

    def __init__(self, session: AsyncStateful, scope: str) -> None:
        """Bind a session and a scope."""
        self._session = session
        self._scope = scope

    @property
    def owner(self) -> AsyncState:
        """State shared by all sessions of the session's owner."""
        return AsyncState(self._session, "owner")

    @property
    def agent(self) -> AsyncState:
        """State shared by all sessions of the session's agent."""
        return AsyncState(self._session, "agent")

    @property
    def temp(self) -> dict[str, Any]:
        """State of this handle that is never stored."""
        return self._session.__dict__.setdefault("_temp", {})  # type: ignore[no-any-return]

    async def all(self) -> dict[str, Any]:
        """Return every key and value."""
        session = self._session
        if self._scope == "session":
            head, branch, branches = await session._place()  # noqa: SLF001  # state is a part of the handle
            values, exact = keyed_entries(head.entries, "state", branches, branch)
            if exact:
                return decode_values(values)
            return fold_state(await session._all(branch, _STATE, None))  # noqa: SLF001
        key, owner = await self._shared()
        try:
            head = await session._bridge.call(session._context.store.get_session, key, owner=owner)  # noqa: SLF001
        except SessionNotFound:
            return {}
        return decode_values(keyed_entries(head.entries, "state", {}, "main")[0])

    async def get(self, key: str, default: Any = None) -> Any:
        """Return a value, or the default."""
        return (await self.all()).get(key, default)

    async def set(
        self,
        values: Mapping[str, Any],
        *,
        removed: tuple[str, ...] = (),
        owner: Mapping[str, Any] | None = None,
        agent: Mapping[str, Any] | None = None,
    ) -> None:
        """Set and remove keys; ``owner`` and ``agent`` set keys of the shared scopes in the same commit."""
        session = self._session
        also = [
            await AsyncState(session, scope)._commit_of(shared, ())  # noqa: SLF001
            for scope, shared in (("owner", owner), ("agent", agent))
            if shared
        ]
        if self._scope == "session":
            await session._commit(_state_event(values, removed, "session"), also=tuple(also))  # noqa: SLF001
            return
        for commit in (await self._commit_of(values, removed), *also):
            await session._bridge.commit(commit)  # noqa: SLF001

    async def update(self, values: Mapping[str, Any] | None = None, /, **more: Any) -> None:  # type: ignore[override,unused-ignore]
        """Set several keys in one commit."""
        await self.set({**(values or {}), **more})

    async def remove(self, *keys: str) -> None:
        """Remove keys; missing ones are no error."""
        await self.set({}, removed=keys)

    async def _shared(self) -> tuple[SessionKey, str | None]:
        """The log of a shared scope, and the owner that it belongs to."""
        info = await self._session.info()
        name = info.owner if self._scope == "owner" else info.agent
        if not name:
            raise InvalidInput(f"session {self._session.id!r} has no {self._scope}, so there is no state in that scope")
        return SessionKey(self._session.tenant, scope_id(self._scope, name)), name if self._scope == "owner" else None

    async def _commit_of(self, values: Mapping[str, Any], removed: tuple[str, ...]) -> Commit:
        key, owner = await self._shared()
        mac_key = self._session._context.key  # noqa: SLF001
        events, parts = prepare_all(_state_event(values, removed, self._scope), mac_key)
        genesis = scope_genesis(owner, mac_key)
        return Commit(key=key, events=events, change=change_of(events), owner=owner, genesis=genesis, parts=tuple(parts))


def _state_event(values: Mapping[str, Any], removed: tuple[str, ...], scope: str) -> NewEvent:
    for key, value in values.items():
        check_name(key, "state key")
        try:
            size = len(msgspec.json.encode(value))
        except (TypeError, ValueError) as error:
            raise InvalidInput(f"state {key!r} cannot be written as JSON: {error}") from error
        if size > STATE_VALUE_BYTES_MAX:
            raise InvalidInput(f"state {key!r} has {size} bytes, the limit is {STATE_VALUE_BYTES_MAX}", limit="STATE_VALUE_BYTES_MAX")
    return NewEvent(type="state.set", data=t.StateSet(values=dict(values), removed=list(removed), scope=scope), visibility="none")
