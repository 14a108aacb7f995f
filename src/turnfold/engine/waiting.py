"""Waiting for a session to move on: the async and the sync way, by hand, because here the two really differ."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from turnfold.engine.hub import Hub, Subscription
from turnfold.model.session import SessionKey


class Following:
    """A subscription for the length of a ``with`` block."""

    def __init__(self, hub: Hub, key: SessionKey) -> None:
        """Prepare to follow a session."""
        self._hub = hub
        self._key = key
        self._subscription: Subscription | None = None

    def __enter__(self) -> Self:
        self._subscription = self._hub.subscribe(self._key)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._subscription is not None:
            self._subscription.close()

    def past(self, seq: int, wait_s: float | None) -> bool:
        """Wait until the session may be past ``seq``; False when the time is over."""
        assert self._subscription is not None
        return self._subscription.wait(seq, wait_s)


class AsyncFollowing:
    """A subscription for the length of an ``async with`` block, bound to the running loop."""

    def __init__(self, hub: Hub, key: SessionKey) -> None:
        """Prepare to follow a session."""
        self._hub = hub
        self._key = key
        self._subscription: Subscription | None = None

    async def __aenter__(self) -> Self:
        from asyncio import get_running_loop

        self._subscription = self._hub.subscribe(self._key, get_running_loop())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._subscription is not None:
            self._subscription.close()

    async def past(self, seq: int, wait_s: float | None) -> bool:
        """Wait until the session may be past ``seq``; False when the time is over."""
        assert self._subscription is not None
        return await self._subscription.wait_async(seq, wait_s)
