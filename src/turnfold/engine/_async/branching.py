"""Branches and checkpoints of a session."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from turnfold.core.branches import owner_of, segments
from turnfold.core.fold import branches_of, checkpoints_of
from turnfold.core.transcript import VIEW_TYPES, messages_of
from turnfold.engine._async.writing import AsyncWriting
from turnfold.errors import AlreadyExists, InvalidInput, NotFound
from turnfold.ids import check_name, new_id
from turnfold.model import event_types as t
from turnfold.model.answers import Diff
from turnfold.model.commit import LimitCheck
from turnfold.model.event import MAIN, NewEvent
from turnfold.model.session import Branch, Checkpoint, Head

Mark = Checkpoint | str | int


class AsyncBranching(AsyncWriting):
    """Forks, checkpoints, restores."""

    async def checkpoint(self, name: str | None = None) -> Checkpoint:
        """Name the end of the handle's branch; costs no copy.

        Args:
            name: Unique in the session; None makes one from the place.

        Raises:
            AlreadyExists: There is a checkpoint of that name.
            LimitExceeded: ``checkpoints_max``.
        """
        head, branch, _ = await self._place()
        at = head.info.last_seq
        chosen = check_name(name or f"checkpoint-{at}", "checkpoint")
        try:
            await self._commit(_checkpoint(chosen, branch, at), limits=self._checkpoint_limits())
        except AlreadyExists:
            if name is not None:
                raise
            return await self.checkpoint(_unique(chosen))
        return Checkpoint(chosen, branch, at)

    async def checkpoints(self) -> list[Checkpoint]:
        """Return the checkpoints, oldest first."""
        return sorted(checkpoints_of(await self.head()).values(), key=lambda mark: mark.created_seq)

    async def delete_checkpoint(self, name: str) -> None:
        """Remove a name; the events that it pointed to stay."""
        mark = checkpoints_of(await self.head()).get(name)
        if mark is None:
            raise NotFound(f"there is no checkpoint {name!r}", checkpoint=name)
        data = t.CheckpointCreated(name=name, branch=mark.branch, at_seq=mark.seq, deleted=True)
        await self._commit(NewEvent(type="checkpoint", data=data, visibility="none"))

    async def branches(self) -> list[Branch]:
        """Return all branches, ``main`` first, then in order of their creation."""
        forked = branches_of(await self.head()).values()
        return [Branch(MAIN), *sorted(forked, key=lambda branch: branch.created_seq)]

    async def fork(self, name: str | None = None, *, at: Mark | None = None) -> Self:
        """Start a branch; writes one event and copies nothing. The active branch stays.

        Args:
            name: Unique in the session; None makes one from the place.
            at: A checkpoint (or its name), a seq, or None for the end of the handle's branch.

        Returns:
            A handle pinned to the new branch.
        """
        head, branch, branches = await self._place()
        parent, fork_seq = await self._resolve(at, head, branch, branches)
        chosen = check_name(name or f"branch-{head.info.last_seq + 1}", "branch")
        created = _branch_created(chosen, owner_of(branches, parent, fork_seq), fork_seq)
        try:
            await self._commit(created, limits=self._branch_limits())
        except AlreadyExists:
            if name is not None:
                raise
            return await self.fork(_unique(chosen), at=at)
        return self._pinned(chosen)

    async def switch(self, name: str) -> None:
        """Make a branch the active one."""
        head, _, branches = await self._place()
        if name != MAIN and name not in branches:
            raise NotFound(f"there is no branch {name!r}", branch=name)
        if head.info.active_branch != name:
            data = t.BranchSwitched(name=name, previous=head.info.active_branch)
            await self._commit(NewEvent(type="branch.switched", data=data, visibility="none"))

    async def restore(self, mark: Mark) -> Self:
        """Go back to a place: a new branch from it becomes active, and a checkpoint keeps where the session was. Nothing is lost.

        Returns:
            A handle that floats on the active branch, which is the new one.
        """
        head, branch, branches = await self._place()
        parent, seq = await self._resolve(mark, head, branch, branches)
        at = head.info.last_seq
        name = f"restore-{at + 1}"
        owner = owner_of(branches, parent, seq)
        limits = (*self._branch_limits(), *self._checkpoint_limits())
        try:
            await self._commit(_restored(name, branch, at, owner, seq), limits=limits)
        except AlreadyExists:
            name = _unique(name)
            await self._commit(_restored(name, branch, at, owner, seq), limits=limits)
        if self._branch is not None:
            self._branch = name
        return self._pinned(None)

    async def diff(self, ours: str, theirs: str) -> Diff:
        """Compare two branches: the last common seq, and each side's messages after it."""
        branches = branches_of(await self.head())
        left, right = segments(branches, ours), segments(branches, theirs)
        base = 0
        for mine, other in zip(left, right, strict=False):
            if (mine.branch, mine.after) != (other.branch, other.after):
                break
            ends = [part.upto for part in (mine, other) if part.upto is not None]
            base = min(ends) if ends else (await self.head()).info.last_seq
            if mine.upto != other.upto:
                break
        sides = [messages_of(await self._all(name, VIEW_TYPES, None)) for name in (ours, theirs)]
        return Diff(base, *([message for message in side if message.seq > base] for side in sides))

    def _pinned(self, branch: str | None) -> Self:
        return type(self)(self._context, self._key, owner=self._owner, incarnation=self._incarnation, branch=branch, fence=self._fence)

    async def _resolve(self, at: Mark | None, head: Head, branch: str, branches: Mapping[str, Branch]) -> tuple[str, int]:
        """Turn a mark into (branch, seq)."""
        if at is None:
            return branch, head.info.last_seq
        if isinstance(at, str):
            mark = checkpoints_of(head).get(at)
            if mark is None:
                raise NotFound(f"there is no checkpoint {at!r}", checkpoint=at)
            return mark.branch, mark.seq
        if isinstance(at, Checkpoint):
            return at.branch, at.seq
        if not 0 <= at <= head.info.last_seq:
            raise InvalidInput(f"a place is 0 to {head.info.last_seq} in this session, not {at}", seq=at)
        if at == 0:
            return branch, at
        if all(at < other.created_seq for other in branches.values()):  # before the first fork there was one line
            return MAIN, at
        return (await self._event(at)).branch, at

    def _branch_limits(self) -> tuple[LimitCheck, ...]:
        value = self._context.settings.branches_max
        return () if value is None else (LimitCheck("branches_max", "branch_count", value),)

    def _checkpoint_limits(self) -> tuple[LimitCheck, ...]:
        value = self._context.settings.checkpoints_max
        return () if value is None else (LimitCheck("checkpoints_max", "checkpoint_count", value),)


def _unique(name: str) -> str:
    """A name for whoever gave none, where the one made from the place is taken: somebody forked there at the same moment."""
    return f"{name}-{new_id()[-8:]}"


def _restored(name: str, branch: str, at: int, parent: str, seq: int) -> list[NewEvent]:
    """What a restore writes: where the session was, the new branch, and the switch to it."""
    return [
        _checkpoint(f"before-{name}", branch, at),
        _branch_created(name, parent, seq, reason="restore"),
        NewEvent(type="branch.switched", data=t.BranchSwitched(name=name, previous=branch), visibility="none", branch=name),
    ]


def _checkpoint(name: str, branch: str, at: int) -> NewEvent:
    return NewEvent(type="checkpoint", data=t.CheckpointCreated(name=name, branch=branch, at_seq=at), visibility="none")


def _branch_created(name: str, parent: str, fork_seq: int, *, reason: str | None = None) -> NewEvent:
    data = t.BranchCreated(name=name, parent=parent, fork_seq=fork_seq, reason=reason)
    return NewEvent(type="branch.created", data=data, visibility="none", branch=name)
