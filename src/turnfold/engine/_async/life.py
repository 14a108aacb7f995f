"""A session's lifecycle: every step guarded by the table inside the commit."""

from __future__ import annotations

from typing import Any

from turnfold.core.lifecycle import ACTIVE, ARCHIVED, SUSPENDED, check_transition, status_for
from turnfold.engine._async.checkpoints import _crowded
from turnfold.engine._async.merging import AsyncMerging
from turnfold.errors import AlreadyExists, InvalidTransition, LimitExceeded, NotFound
from turnfold.limits import PLAN_ATTEMPTS_MAX
from turnfold.model import event_types as t
from turnfold.model.event import NewEvent


class AsyncLife(AsyncMerging):
    """Lifecycle steps of a session handle."""

    async def activate(self) -> None:
        """Make a pending session active; a no-op on an active one."""
        await self._step(ACTIVE)

    async def suspend(self) -> None:
        """Stop taking events until ``resume``; a no-op on a suspended session."""
        await self._step(SUSPENDED)

    async def resume(self) -> None:
        """Make a suspended session active again; a no-op on an active one."""
        await self._step(ACTIVE)

    async def archive(self) -> None:
        """Put the session away for good; a no-op on an archived one."""
        await self._step(ARCHIVED, reason="archive")

    async def close(self, reason: str = "completed", *, error: Any = None) -> None:
        """End the session. Idempotent: closing a session that ended for the same reason does nothing.

        Args:
            reason: ``completed``, ``failed``, ``cancelled``, ``timeout``, ``archive``, ``new``; ``reset`` empties the view and stays
                active; ``delete`` deletes the session.
            error: What went wrong: text, an exception, or a JSON object.

        Raises:
            InvalidTransition: The lifecycle has no such step from the session's status.
        """
        target = status_for(reason)
        if reason == "reset":
            await self.reset()
        elif reason == "delete":
            await self._bridge.call(self._context.store.delete_session, self._key, owner=self._owner)
        elif target is not None:
            await self._step(target, reason=reason, error=error)
            await self._bridge.call(self._context.upkeep.seal, self._key)

    async def reset(self) -> None:
        """Take everything but pinned messages out of the branch's view; the session stays active and the log keeps all.

        A checkpoint, ``before-reset-<seq>``, keeps how it was: restore it to have it back.
        """
        for _ in range(PLAN_ATTEMPTS_MAX):
            head, branch, _ = await self._place()
            ranges = _but_pinned(await self.pins(), head.info.last_seq)
            if not ranges:
                return
            retract = NewEvent(type="retract", data=t.Retract(ranges=ranges, reason="reset"), visibility="none")
            items = [*self._safety(head, branch, f"before-reset-{head.info.last_seq + 1}"), retract]
            try:
                await self._commit(items, limits=self._checkpoint_limits())
            except (AlreadyExists, NotFound, LimitExceeded):
                continue  # somebody else made a checkpoint meanwhile, or the same room: look again
            return
        raise _crowded(self.id)

    async def _step(self, target: str, *, reason: str | None = None, error: Any = None) -> None:
        """Commit a transition; being there already is a no-op."""
        details = None if error is None else error if isinstance(error, dict) else {"message": str(error)}
        data = t.StatusChanged(status=target, reason=reason, error=details)
        try:
            await self._commit(NewEvent(type="session.status_changed", data=data, visibility="none"), lifecycle=True)
        except InvalidTransition:
            info = await self.info()
            if not check_transition(info.status, target):
                return
            raise


def _but_pinned(pins: list[int], last_seq: int) -> list[tuple[int, int]]:
    """All places of a session but the pinned ones, as inclusive pairs."""
    ranges: list[tuple[int, int]] = []
    start = 1
    for seq in [*pins, last_seq + 1]:
        if start < seq:
            ranges.append((start, seq - 1))
        start = seq + 1
    return ranges
