"""Checkpoints: names for places, what was before something was taken away, and one every so many turns."""

from __future__ import annotations

from collections.abc import Collection

from turnfold.core.branches import key_of, labels_of
from turnfold.core.checkpoints import AUTO, MANUAL, SAFETY, created, deleted, due, evicted, parent_of
from turnfold.core.fold import branches_of, checkpoints_of
from turnfold.engine._async.reading import AsyncReading
from turnfold.errors import AlreadyExists, InvalidInput, InvalidTransition, LimitExceeded, NotFound, SequenceConflict, SessionClosed
from turnfold.ids import check_name, new_id
from turnfold.limits import PLAN_ATTEMPTS_MAX
from turnfold.model.commit import LimitCheck
from turnfold.model.event import NewEvent
from turnfold.model.session import Checkpoint, Head


class AsyncCheckpoints(AsyncReading):
    """Checkpoints of a session handle."""

    async def checkpoint(self, name: str | None = None) -> Checkpoint:
        """Name the end of the handle's branch; costs no copy.

        Args:
            name: Unique in the session. None makes one from the place; such a checkpoint is dropped when ``checkpoints_max`` needs room.

        Raises:
            AlreadyExists: There is a checkpoint of that name.
            LimitExceeded: ``checkpoints_max``, and all that are there were named by somebody.
        """
        if name is not None:
            check_name(name, "checkpoint")
        return await self._mark(name, AUTO if name is None else MANUAL)

    async def checkpoints(self) -> list[Checkpoint]:
        """Return the checkpoints, oldest first."""
        head = await self.head()
        labels = labels_of(head)
        marks = sorted(checkpoints_of(head).values(), key=lambda mark: mark.created_seq)
        return [_labelled(mark, labels.get(mark.branch, mark.branch)) for mark in marks]

    async def delete_checkpoint(self, name: str) -> None:
        """Remove a name; the events that it pointed to stay."""
        mark = checkpoints_of(await self.head()).get(name)
        if mark is None:
            raise NotFound(f"there is no checkpoint {name!r}", checkpoint=name)
        await self._commit(deleted(mark))

    async def _mark(self, name: str | None, kind: str) -> Checkpoint:
        """Make a checkpoint of the end of the handle's branch, and room for it."""
        for _ in range(PLAN_ATTEMPTS_MAX):
            head, branch, branches = await self._place()
            at = head.info.last_seq
            marks = checkpoints_of(head)
            chosen = name or (f"checkpoint-{at}" if f"checkpoint-{at}" not in marks else _unique(f"checkpoint-{at}"))
            mark = Checkpoint(chosen, branch, at, parent=parent_of(marks.values(), branches, branch), kind=kind)
            items = [*self._room(head), created(mark)]
            try:
                await self._commit(items, limits=self._checkpoint_limits())
            except (AlreadyExists, NotFound, LimitExceeded) as error:
                if isinstance(error, AlreadyExists) and name is not None:
                    raise
                continue  # somebody else made one, or made the same room, since the head was read
            return _labelled(mark, labels_of(head).get(branch, branch))
        raise _crowded(self.id)

    async def _checkpoint_if_due(self) -> None:
        """Make the automatic checkpoint of the last full interval of turns, unless it is there; a full session goes without."""
        interval = self._context.settings.auto_checkpoint_interval or 0
        if interval < 1:
            raise InvalidInput(f"auto_checkpoint_interval is 1 or more turns, not {interval}", limit="auto_checkpoint_interval")
        head = await self.head()
        name = due(head.info.turn_count, interval, checkpoints_of(head))
        if name is not None:
            try:
                await self._mark(name, AUTO)
            except (AlreadyExists, LimitExceeded, SessionClosed, InvalidTransition, SequenceConflict):
                return  # another writer's append found it due too, or there is no room: what was appended stays appended

    def _safety(self, head: Head, branch: str, name: str, *, keep: Collection[str] = ()) -> list[NewEvent]:
        """What a commit writes first that takes something out of the view: a checkpoint of how it was, and room for it."""
        marks = checkpoints_of(head)
        parent = parent_of(marks.values(), branches_of(head), branch)
        mark = Checkpoint(name, branch, head.info.last_seq, parent=parent, kind=SAFETY)
        return [*self._room(head, keep=keep), created(mark)]

    def _room(self, head: Head, *, keep: Collection[str] = ()) -> list[NewEvent]:
        gone = evicted(checkpoints_of(head).values(), self._context.settings.checkpoints_max, keep=keep)
        return [deleted(mark) for mark in gone]

    def _checkpoint_limits(self) -> tuple[LimitCheck, ...]:
        value = self._context.settings.checkpoints_max
        return () if value is None else (LimitCheck("checkpoints_max", "checkpoint_count", value),)

    async def _key_of(self, branch: str) -> str:
        """The name that a branch's events carry."""
        return key_of(await self.head(), branch)


def _unique(name: str) -> str:
    """A name for whoever gave none, where the one made from the place is taken: somebody forked there at the same moment."""
    return f"{name}-{new_id()[-8:]}"


def _labelled(mark: Checkpoint, branch: str) -> Checkpoint:
    return Checkpoint(mark.name, branch, mark.seq, mark.created_seq, mark.parent, mark.kind)


def _crowded(session_id: str) -> SequenceConflict:
    return SequenceConflict(f"session {session_id!r} moved on {PLAN_ATTEMPTS_MAX} times while a change to it was planned", current_seq=0)
