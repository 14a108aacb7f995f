"""Merging and comparing branches: read both sides, decide, write one commit that holds only if nobody wrote meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from turnfold.core.branches import Place, common_ancestor, labels_of
from turnfold.core.fold import branches_of
from turnfold.core.state import fold_state
from turnfold.core.transcript import messages_of
from turnfold.engine._async.branching import AsyncBranching, _known
from turnfold.engine._async.checkpoints import _crowded
from turnfold.errors import InvalidInput, SequenceConflict, SessionNotFound
from turnfold.limits import PAGE_EVENTS_MAX, PLAN_ATTEMPTS_MAX
from turnfold.model import event_types as t
from turnfold.model.answers import Diff, Merged
from turnfold.model.event import Event
from turnfold.model.session import Branch, Head

if TYPE_CHECKING:
    from turnfold.core.merging import MergeSides, MergeStrategy, Planned, StatePolicy

_STATE = frozenset({"state.set"})
_MERGES = frozenset({"branch.merged"})


class AsyncMerging(AsyncBranching):
    """What concerns two branches of a session."""

    async def merge(
        self,
        source: str | AsyncMerging,
        *,
        into: str | None = None,
        strategy: str | MergeStrategy = "append",
        events: Iterable[str | int] = (),
        state: StatePolicy | None = None,
        dry_run: bool = False,
    ) -> Merged:
        """Bring what a branch has, and another has not got yet, to that other: copies at its end, in one commit. The source stays as it is.

        Args:
            source: A branch of this session, or a handle on it.
            into: The branch that gets it; None is the handle's.
            strategy: ``append`` brings everything; ``selective`` the ``events`` and what belongs to them; ``ours``, ``theirs`` and ``both``
                are ``append`` with that choice for state; or an object with ``plan(sides)``.
            events: For ``selective``: ids or seqs of the source's events.
            state: What to do about keys that both sides changed since they were last the same: keep ``ours``, take ``theirs``, or keep ``both``
                (theirs under ``key@source``); or a mapping from key to one of these. ``selective`` leaves state alone without it.
            dry_run: Decide, and write nothing.

        Returns:
            What came. Merging again brings only what is new; ``merged_seq`` is None where there was nothing.

        Raises:
            MergeConflict: Both sides changed a key and nothing says which holds; ``details['conflicts']`` has key, base, ours and theirs.
            NotFound: There is no such branch in this session.
            InvalidInput: A handle of another session, a branch into itself, or a strategy that there is not.
            SequenceConflict: Others wrote all the time (``PLAN_ATTEMPTS_MAX``).
        """
        from turnfold.core.merging import strategy_of

        decide = strategy_of(strategy, tuple(events), state)
        for _ in range(PLAN_ATTEMPTS_MAX):
            head, branch, branches = await self._place()
            theirs = self._source(source, head, branches)
            ours = branch if into is None else _known(head, branches, into)
            if ours == theirs:
                raise InvalidInput(f"branch {ours!r} cannot be merged into itself")
            sides, planned = await self._planned(decide, head, branches, ours=ours, theirs=theirs)
            if dry_run or not planned.items:
                return _answer(sides, planned, None)
            try:
                done = await self._commit(planned.items, expected_seq=head.info.last_seq, limits=self._context.append_limits())
            except SequenceConflict:
                continue
            return _answer(sides, planned, done.last_seq)
        raise _crowded(self.id)

    async def diff(self, ours: str, theirs: str) -> Diff:
        """Compare two branches: where they part, their messages after it side by side, the keys whose values differ, what each has used."""
        from turnfold.core.comparing import align, compare_state, usage_of

        head = await self.head()
        branches = branches_of(head)
        keys = [_known(head, branches, name) for name in (ours, theirs)]
        base = common_ancestor(branches, keys[0], keys[1], head.info.last_seq)
        sides = [await self._span(key, base.seq, head.info.last_seq) for key in keys]
        mine, other = (messages_of(side) for side in sides)
        states = await self._states(head, (base, *(Place(key, head.info.last_seq) for key in keys)))
        usage = (usage_of(sides[0]), usage_of(sides[1]))
        return Diff(base.seq, mine, other, align(mine, other), compare_state(*states), usage)

    async def _planned(
        self,
        strategy: MergeStrategy,
        head: Head,
        branches: Mapping[str, Branch],
        *,
        ours: str,
        theirs: str,
    ) -> tuple[MergeSides, Planned]:
        """Read both sides as they were at the head, and decide."""
        from turnfold.core import merging

        last = head.info.last_seq
        base = common_ancestor(branches, ours, theirs, last)
        into = await self._all(ours, _MERGES, None, before=last + 1)
        merges = into + await self._all(theirs, _MERGES, None, before=last + 1)
        began = merging.state_base(sorted(merges, key=_seq), branches, theirs, ours, base)
        states = await self._states(head, (began, Place(ours, last), Place(theirs, last)))
        labels = labels_of(head)
        new = merging.fresh(await self._span(theirs, base.seq, last), branches, ours, merging.brought_by(into))
        there = merging.shown_of(await self._span(ours, base.seq, last))
        sides = merging.MergeSides(
            source=merging.Side(branch=labels.get(theirs, theirs), events=new, state=states[2]),
            target=merging.Side(branch=labels.get(ours, ours), events=tuple(there), state=states[1]),
            base_seq=base.seq,
            base_state=states[0],
        )
        if not new and states[0] == states[2]:
            return sides, merging.Planned()
        name = getattr(strategy, "name", type(strategy).__name__.lower())
        merged = t.BranchMerged(source=theirs, source_seq=last, base_seq=base.seq, strategy=str(name))
        return sides, merging.planned(sides, strategy.plan(sides), merged=merged, target=ours, first_seq=last + 1)

    def _source(self, source: str | AsyncMerging, head: Head, branches: Mapping[str, Branch]) -> str:
        """The branch that is meant, if it is one of this session."""
        if isinstance(source, str):
            return _known(head, branches, source)
        key, incarnation, branch = source._key, source._incarnation, source._branch  # noqa: SLF001  # a handle like this one
        if key != self._key:
            raise InvalidInput(f"a branch of session {source.id!r} cannot be merged into session {self.id!r}", hint="export and import it")
        if incarnation not in {None, head.info.incarnation}:
            raise SessionNotFound(f"session {self.id!r} was deleted and created again", session_id=self.id)
        return head.info.active_branch if branch is None else _known(head, branches, branch)

    async def _states(self, head: Head, places: Iterable[Place]) -> list[dict[str, Any]]:
        """Return the session state at some places."""
        if all(entry.kind != "state" for entry in head.entries):
            return [{} for _ in places]
        return [fold_state(await self._all(place.branch, _STATE, None, before=place.seq + 1)) if place.seq else {} for place in places]

    async def _span(self, branch: str, after: int, upto: int) -> list[Event]:
        """Read a stretch of a branch's view, events of every type."""
        out: list[Event] = []
        while True:
            page = await self._read(self._query(after=after, before=upto + 1, limit=PAGE_EVENTS_MAX, branch=branch))
            out = page.events if not out else out + page.events
            if not page.more:
                return out
            after = page.through_seq


def _seq(event: Event) -> int:
    return event.seq


def _answer(sides: MergeSides, planned: Planned, merged_seq: int | None) -> Merged:
    return Merged(
        sides.source.branch,
        sides.target.branch,
        sides.base_seq,
        merged_seq,
        planned.seqs,
        planned.held,
        planned.left,
        dict(planned.state.values),
        planned.state.removed,
        dict(planned.state.choices),
    )
