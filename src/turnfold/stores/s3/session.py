"""One session as this process knows it: its newest manifest, and the loop that writes the next one.

Theory of operation. A commit is checked against the manifest that is known, without asking for a newer one, and written on condition that it
still is the newest. If it was not, the answer is the newest one, and everything is checked again. What is refused, or need not be written,
is answered only from a manifest that was asked for during the call, because a refusal by an old one may be wrong. Who loses against other
processes waits for a short random time; who writes from several threads of one process is combined into one write.
"""

from __future__ import annotations

import contextlib
import itertools
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from turnfold.core.checks import not_found
from turnfold.errors import StoreCorrupt, StoreUnavailable, TurnfoldError
from turnfold.limits import OBJECT_CONTENTION_S_MAX, OBJECT_GRACE_S
from turnfold.model.commit import Commit, Committed
from turnfold.model.session import SessionKey
from turnfold.objectstorage import Found, NotModified, Tag, pause
from turnfold.stores._combiner import Combiner
from turnfold.stores.s3 import names
from turnfold.stores.s3.manifest import decode_manifest, goes_on_from, is_written_with, pack
from turnfold.stores.s3.segments import Moved
from turnfold.stores.s3.staging import stage
from turnfold.stores.s3.state import State

if TYPE_CHECKING:
    from turnfold.stores.s3.house import House

Result = Committed | Exception
MOVES_MAX = 8
"""How often a manifest is read again because what it names is gone already."""
_CONTENTION_PAUSE_S_MAX = 0.2
_REMOVE_MIN = 32


class Stale(Exception):
    """What was decided rests on a manifest that may be old."""


class Session:
    """A session in this process. Thread-safe."""

    def __init__(self, house: House, key: SessionKey) -> None:
        """Name it; nothing is read."""
        self.key = key
        self._house = house
        self._name = names.manifest(key)
        self._lock = threading.Lock()
        self._known = False
        self._state: State | None = None
        self._removed: set[str] = set()
        self.seen_s = 0.0
        self.combiner: Combiner[tuple[Commit, bool], Committed] = Combiner(self._write)

    # ---- what is known ---------------------------------------------------------------------------------------------------------------
    def peek(self) -> State | None:
        """What this process knows of it, perhaps a deleted one; nothing is asked for."""
        return self._state

    def fresh(self) -> State | None:
        """Ask for the newest manifest; what it says, perhaps of a deleted session, or None where there never was one."""
        for _ in range(MOVES_MAX):
            state = self._state
            try:
                found = self._house.bucket.get(self._name, unless=None if state is None else state.tag)
            except NotModified:
                self.seen_s = time.monotonic()
                return state
            try:
                state = self._adopt(found)
            except Moved:
                continue
            self.seen_s = time.monotonic()
            return state
        raise StoreCorrupt(f"{self._name} names an object that is not there", key=self._name)

    def living(self) -> State | None:
        """Ask for the newest manifest; None where there is no session now."""
        state = self.fresh()
        return None if state is None or state.deleted_at_us is not None else state

    def _adopt(self, found: Found | None) -> State | None:
        """Take in a manifest that was read, unless a newer one is known."""
        if found is None:
            state = None
        else:
            manifest = decode_manifest(found.body, self._name)
            known = self._state
            if known is not None and known.version > manifest.version:
                return known
            base = None
            if manifest.base:
                base = self._house.segments.base(names.data(self.key, manifest.incarnation), manifest.base)
            state = State.of(manifest, base, found.tag)
        with self._lock:
            known = self._state
            if state is not None and known is not None and known.version > state.version:
                return known
            self._state, self._known = state, True
        return state

    # ---- writing ---------------------------------------------------------------------------------------------------------------------
    def commit(self, commits: Sequence[Commit], *, thorough: bool = False) -> list[Result]:
        """Write commits, in one manifest with those of other threads; each succeeds or fails on its own."""
        results = self.combiner.submit([(commit, thorough) for commit in commits])
        self.deliver()
        return results

    def _write(self, jobs: Sequence[tuple[Commit, bool]]) -> list[Result]:
        results: list[Result] = []

        def decide(known: State | None, fresh: bool) -> State | None:  # noqa: FBT001 - a callback
            nonlocal results
            results, work = self._stage_all(jobs, known, fresh=fresh)
            return work

        try:
            self.change(decide)
        except TurnfoldError as error:
            return [error if isinstance(result, Committed) and not result.repeated else result for result in results or [error] * len(jobs)]
        return results

    def _stage_all(self, jobs: Sequence[tuple[Commit, bool]], known: State | None, *, fresh: bool) -> tuple[list[Result], State | None]:
        """Check and apply commits one after the other; their answers, and the state after them where something is to be written."""
        fence = 0 if known is None else known.fence
        version = 0 if known is None else known.version
        work = None if known is None or known.deleted_at_us is not None else known.copy()
        results: list[Result] = []
        written = False
        for commit, thorough in jobs:
            context = self._house.context(thorough=thorough)
            try:
                staged = stage(commit, work, fence, context)
            except TurnfoldError as error:
                if not fresh:
                    raise Stale from error
                results.append(error)
                continue
            if not staged.written and not fresh:
                raise Stale
            work = staged.state
            assert work is not None
            if staged.written:
                written = True
                work.outbox += [pack(also) for also in commit.also]
            results.append(staged.committed)
        if not written or work is None:
            return results, None
        work.version = version
        return results, work

    def change(self, decide: Callable[[State | None, bool], State | None]) -> State | None:
        """Write the next manifest, and go on until it is written or not wanted any more.

        Args:
            decide: Gets what is known of the session (perhaps deleted, None: there never was one) and whether that was asked for during this
                call; returns a changed copy, or None where nothing is to be written. Raises Stale to be asked again with a fresh one.
        """
        begun_s = time.monotonic()
        fresh = False
        lost: list[str] = []
        for attempt in itertools.count(1):
            if not self._known:
                self.fresh()
                fresh = True
            known = self._state
            try:
                work = decide(known, fresh)
                if work is None:
                    return known
                begun_upload_s = time.monotonic()
                self._upload(work, lost)
            except Stale:
                self.fresh()
                fresh = True
                continue
            except Moved:
                self.fresh()
                fresh = True
                if attempt > MOVES_MAX:
                    raise StoreCorrupt(f"{self._name} names an object that is not there", key=self._name) from None
                continue
            if time.monotonic() - begun_upload_s > OBJECT_GRACE_S / 3:  # else what was uploaded might be swept away before it is named
                raise StoreUnavailable(f"writing to session {self.key.session_id!r} takes too long", hint="is the connection very slow?")
            if self._replace(work, None if known is None else known.tag):
                return work
            fresh = True
            if time.monotonic() - begun_s > OBJECT_CONTENTION_S_MAX:
                raise StoreUnavailable(f"session {self.key.session_id!r} is written to by others all the time", hint="try again")
            pause(min(attempt, 6), _CONTENTION_PAUSE_S_MAX, self._house.round_trip_s)
        raise AssertionError("unreachable")

    def _upload(self, work: State, lost: list[str]) -> None:
        """Write what the manifest will refer to. Objects of attempts that came to nothing are left to be removed."""
        now_us = self._house.clock()
        work.garbage = [item for item in work.garbage if item.name not in self._removed]
        work.discard(lost, now_us)
        uploads = self._house.segments.settle(work, now_us)
        folder = names.data(self.key, work.incarnation)
        objects = [(upload.key, upload.body) for upload in uploads]
        objects += [(folder + names.part(ref), content) for ref, content in work.uploads.items()]
        self._removed.difference_update(names.part(ref) for ref in work.uploads)
        work.uploads = {}
        lost += [upload.key.removeprefix(folder) for upload in uploads]
        self._house.parallel(lambda one: self._house.bucket.put(*one), objects)

    def _replace(self, work: State, expected: Tag | None) -> bool:
        """Write the manifest on condition, and say whether it was written; what stands there instead, or on top of it, is taken in."""
        token = secrets.token_hex(8)
        version = max(work.version + 1, self._house.clock())
        body = pack(work.manifest(token, version))
        begun_s = time.monotonic()
        answer = self._house.bucket.replace(self._name, body, expected=expected, is_mine=lambda found: is_written_with(found, token))
        self._house.note_round_trip(time.monotonic() - begun_s)
        if not isinstance(answer, Tag):
            try:
                self._adopt(answer)
            except Moved:
                self._known = False
            written = answer is not None and goes_on_from(answer.body, token)
            if written and work.hurries and self._state is not None:
                self._state.hurries = True
                self._remove_due(self._state)
            return written
        work.tokens = [*work.tokens, work.token][-31:] if work.token else []
        work.tag, work.token, work.version = answer, token, version
        with self._lock:
            if self._state is None or self._state.version < version:
                self._state, self._known = work, True
        self._remove_due(work)
        return True

    def _remove_due(self, work: State) -> None:
        """Remove objects that nothing refers to any more: at once what was redacted, the others many at a time."""
        now_us = self._house.clock()
        due = [item.name for item in work.garbage if item.due_at_us <= now_us and item.name not in self._removed]
        if due and (work.hurries or len(due) >= _REMOVE_MIN):
            folder = names.data(self.key, work.incarnation)
            with contextlib.suppress(StoreUnavailable):
                self._house.bucket.delete([folder + name for name in due])
                self._house.segments.cache.drop(folder + name for name in due)
                self._removed.update(due)
        work.hurries = False

    def deliver(self) -> None:
        """Hand over the commits to other logs that wait in the manifest, then take out of it those that are settled."""
        state = self._state
        if state is None or not state.outbox or state.deleted_at_us is not None:
            return
        settled = set(self._house.deliver(list(state.outbox)))

        def clear(known: State | None, _fresh: bool) -> State | None:  # noqa: FBT001 - a callback
            if known is None or known.deleted_at_us is not None or settled.isdisjoint(known.outbox):
                return None
            work = known.copy()
            work.outbox = [one for one in known.outbox if one not in settled]
            return work

        if settled:
            with self.combiner.exclusive():
                self.change(clear)

    def deliver_waiting(self) -> None:
        """Hand over what a process left behind that died between its commit and the other logs'."""
        self.fresh()
        self.deliver()

    def update(self, decide: Callable[[State], State | None]) -> State:
        """Change a living session outside of commits (leases, seals, deletion); SessionNotFound where there is none."""

        def on_living(known: State | None, fresh: bool) -> State | None:  # noqa: FBT001 - a callback
            if not fresh:
                raise Stale
            if known is None or known.deleted_at_us is not None:
                raise not_found(self.key.session_id)
            return decide(known)

        with self.combiner.exclusive():
            state = self.change(on_living)
        assert state is not None
        return state
