"""Branches of a session: fork, list, switch, rename, put away, restore."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from turnfold.core.branches import Place, common_ancestor, key_of, labels_of, lineage, named_branches, owner_of
from turnfold.core.fold import branches_of, checkpoints_of
from turnfold.engine._async.checkpoints import _crowded, _unique
from turnfold.engine._async.writing import AsyncWriting
from turnfold.errors import AlreadyExists, InvalidInput, LimitExceeded, NotFound, SequenceConflict
from turnfold.ids import check_name
from turnfold.limits import PLAN_ATTEMPTS_MAX
from turnfold.model import event_types as t
from turnfold.model.commit import LimitCheck
from turnfold.model.event import MAIN, NewEvent
from turnfold.model.session import Branch, Checkpoint, Head

Mark = Checkpoint | str | int


class AsyncBranching(AsyncWriting):
    """Forks and restores."""

    async def branches(self, *, abandoned: bool = False) -> list[Branch]:
        """Return the branches, ``main`` first, then in order of their creation.

        Args:
            abandoned: Return those too that were put away. The active branch is always there.
        """
        head = await self.head()
        found = named_branches(head, branches_of(head))
        active = head.info.active_branch
        return [one for one in found if abandoned or not one.abandoned or active in {one.name, one.created_as}]

    async def lineage(self, name: str | None = None) -> list[Branch]:
        """Return a branch and what it came from: itself first, ``main`` last.

        Args:
            name: The branch; None is the handle's.
        """
        head, own, branches = await self._place()
        line = {branch.name for branch in lineage(branches, own if name is None else key_of(head, name))}
        return [one for one in reversed(named_branches(head, branches)) if (one.created_as or one.name) in line]

    async def common_ancestor(self, ours: str, theirs: str) -> Place:
        """Return the last place that two branches share: ``branch`` and ``seq``; seq 0 where they share nothing."""
        head = await self.head()
        place = common_ancestor(branches_of(head), key_of(head, ours), key_of(head, theirs), head.info.last_seq)
        return Place(labels_of(head).get(place.branch, place.branch), place.seq)

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
        """Make a branch the active one; one that was put away is taken up again."""
        for _ in range(PLAN_ATTEMPTS_MAX):
            head, _, branches = await self._place()
            key = _known(head, branches, name)
            if head.info.active_branch == key:
                return
            items = [NewEvent(type="branch.switched", data=t.BranchSwitched(name=key, previous=head.info.active_branch), visibility="none")]
            limits: tuple[LimitCheck, ...] = ()
            if key in head.named("abandoned"):
                items.insert(0, _abandoned(key, undone=True))
                limits = self._branch_limits()
            try:
                await self._commit(items, limits=limits)
            except NotFound:  # somebody else took it up meanwhile
                continue
            return
        raise _crowded(self.id)

    async def rename(self, name: str, new: str) -> None:
        """Call a branch something else. Its events, and handles elsewhere, go on knowing it by the name that it was created with.

        Args:
            name: The branch, by either name. ``main`` is always called so.
            new: Unique among all names that branches have and were created with.

        Raises:
            AlreadyExists: A branch has that name.
        """
        check_name(new, "branch")
        if MAIN in {name, new}:
            raise InvalidInput(f"{MAIN!r} is the name of the first branch, and stays so")
        for _ in range(PLAN_ATTEMPTS_MAX):
            head, _, branches = await self._place()
            key = _known(head, branches, name)
            before = labels_of(head).get(key, "")
            if new == (before or key):
                return
            data = t.BranchRenamed(name=key, label="" if new == key else new, previous=before)
            try:
                await self._commit(NewEvent(type="branch.renamed", data=data, visibility="none"), expected_seq=head.info.last_seq)
            except SequenceConflict:
                continue
            return
        raise _crowded(self.id)

    async def abandon(self, name: str, *, reason: str | None = None) -> None:
        """Put a branch away: lists leave it out and it does not count as a branch any more. Nothing is lost; ``switch`` takes it up again.

        Args:
            name: A branch that is not the active one. One that was put away already stays so.
            reason: Why, for readers of the log.
        """
        head, _, branches = await self._place()
        key = _known(head, branches, name)
        if key == head.info.active_branch:
            raise InvalidInput(f"{name!r} is the active branch", hint="switch to another one first", branch=name)
        if key not in head.named("abandoned"):
            try:
                await self._commit(_abandoned(key, reason=reason))
            except AlreadyExists:
                return  # somebody else put it away meanwhile

    async def restore(self, mark: Mark) -> Self:
        """Go back to a place: a new branch from it becomes active, and a checkpoint keeps where the session was. Nothing is lost.

        Returns:
            A handle that floats on the active branch, which is the new one.

        Raises:
            SessionClosed: The session has ended. Going back does not open it again.
            LimitExceeded: ``branches_max``; or ``checkpoints_max``, and there is no room for the checkpoint.
        """
        for attempt in range(PLAN_ATTEMPTS_MAX):
            head, branch, branches = await self._place()
            parent, seq = await self._resolve(mark, head, branch, branches)
            name = f"restore-{head.info.last_seq + 1}"
            if attempt or name in branches:
                name = _unique(name)
            keep = (mark.name,) if isinstance(mark, Checkpoint) else (mark,) if isinstance(mark, str) else ()
            items = [
                *self._safety(head, branch, f"before-{name}", keep=keep),
                _branch_created(name, owner_of(branches, parent, seq), seq, reason="restore"),
                NewEvent(type="branch.switched", data=t.BranchSwitched(name=name, previous=branch), visibility="none", branch=name),
            ]
            try:
                await self._commit(items, limits=(*self._branch_limits(), *self._checkpoint_limits()))
            except (AlreadyExists, NotFound):
                continue
            except LimitExceeded as error:
                if error.details.get("limit") != "checkpoints_max":
                    raise
                continue  # the head has one more than it had when it was read: look again which can go
            if self._branch is not None:
                self._branch = name
            return self._pinned(None)
        raise _crowded(self.id)

    def _pinned(self, branch: str | None) -> Self:
        return type(self)(self._context, self._key, owner=self._owner, incarnation=self._incarnation, branch=branch, fence=self._fence)

    async def _resolve(self, at: Mark | None, head: Head, branch: str, branches: Mapping[str, Branch]) -> Place:
        """Turn a mark into a place of this session."""
        if at is None:
            return Place(branch, head.info.last_seq)
        if isinstance(at, (str, Checkpoint)):
            name = at if isinstance(at, str) else at.name
            mark = checkpoints_of(head).get(name)
            if mark is None or (isinstance(at, Checkpoint) and at.seq != mark.seq):
                raise NotFound(f"there is no checkpoint {name!r}", checkpoint=name)
            return Place(mark.branch, mark.seq)
        if not 0 <= at <= head.info.last_seq:
            raise InvalidInput(f"a place is 0 to {head.info.last_seq} in this session, not {at}", seq=at)
        if at == 0:
            return Place(branch, at)
        if all(at < other.created_seq for other in branches.values()):  # before the first fork there was one line
            return Place(MAIN, at)
        return Place((await self._event(at)).branch, at)

    def _branch_limits(self) -> tuple[LimitCheck, ...]:
        value = self._context.settings.branches_max
        return () if value is None else (LimitCheck("branches_max", "branch_count", value),)


def _known(head: Head, branches: Mapping[str, Branch], name: str) -> str:
    """The name that a branch's events carry, or NotFound."""
    key = key_of(head, name)
    if key != MAIN and key not in branches:
        raise NotFound(f"there is no branch {name!r}", branch=name)
    return key


def _abandoned(key: str, *, reason: str | None = None, undone: bool = False) -> NewEvent:
    return NewEvent(type="branch.abandoned", data=t.BranchAbandoned(name=key, reason=reason, undone=undone), visibility="none")


def _branch_created(name: str, parent: str, fork_seq: int, *, reason: str | None = None) -> NewEvent:
    data = t.BranchCreated(name=name, parent=parent, fork_seq=fork_seq, reason=reason)
    return NewEvent(type="branch.created", data=data, visibility="none", branch=name)
