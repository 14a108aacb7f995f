"""A log put elsewhere as it was: whole, and in pieces that each leave a whole session."""

from __future__ import annotations

import pytest

from turnfold.codec.residual import part_ref
from turnfold.codec.seal import leaf, seal_root
from turnfold.core.redaction import redact_of
from turnfold.errors import AlreadyExists, InvalidInput, LeaseLost, SequenceConflict, SessionNotFound
from turnfold.model.commit import Commit
from turnfold.model.event import NewEvent, Seal
from turnfold.model.message import assistant, user
from turnfold.model.run import Run
from turnfold.model.session import SessionKey
from turnfold.model.usage import Usage
from turnfold.testing.contract import build
from turnfold.testing.contract.base import ContractBase


class VerbatimCases(ContractBase):
    """A whole log kept as it was: seqs, times, digests, tombstones, seals."""

    def _rich(self) -> SessionKey:
        """A session with something of everything."""
        key = self.create(agent="a", title="t", tags=["x"], metadata={"m": 1})
        self.append(key, user("hi"), assistant("yo", usage=Usage(3, 4, model="m")), build.delta("p"), build.delta("q"))
        self.clock.advance(1_000)
        self.append(key, build.branch_event("b", "main", 2), build.state_event(s=1), build.checkpoint_event("c", "main", 3))
        self.clock.advance(1_000)
        self.append(key, NewEvent(type="my.own", data=b'{ "x" : 1 }', source=b"Lraw", meta={"k": 1}), build.state_event(s=2), branch="b")
        self.append(key, build.switch_event("b"), NewEvent(type="pin", data={"target_seq": 2}))
        events = self.log(key)
        root = seal_root(b"", 8, (leaf(event) for event in events[:8]))
        assert self.store.add_seal(key, Seal(8, b"", root, 7, b"sig"), incarnation=self.head(key).info.incarnation)
        self.append(key, prune=(build.range_of(events[3:5]),), lifecycle=True)
        target = {"seq": 2, "digest": events[1].digest.hex()}
        notice = NewEvent(type="redaction", data={"targets": [target]}, branch="main")
        self.append(key, notice, redacts=(redact_of(events[1]),), lifecycle=True)
        self.append(key, build.status_event("completed", reason="completed"), lifecycle=True)
        return key

    def _copy(self, key: SessionKey, to: SessionKey) -> Commit:
        events, ranges = self.log_and_ranges(key)
        return build.verbatim(to, self.head(key), events, ranges, self.store.read_seals(key))

    def test_reads_back_equal(self) -> None:
        key = self._rich()
        self.clock.advance(5_000_000)
        to = self.key("copy", "other")
        place = self.write(self._copy(key, to))
        assert (place.created, place.repeated) == (True, False)
        assert self.log_and_ranges(to) == self.log_and_ranges(key)
        assert self.store.read_seals(to) == self.store.read_seals(key)
        head, copied = self.head(key), self.head(to)
        assert copied.info == build.replace(head.info, id="copy", tenant="other", incarnation=copied.info.incarnation)
        assert copied.entries == head.entries
        assert copied.usage_by_model == head.usage_by_model
        assert self.seqs(to, branch="b") == self.seqs(key, branch="b")

    def test_runs_and_parts_come_along(self) -> None:
        key = self.create()
        copy = self._copy(key, self.key("copy"))
        part = (part_ref(b"x"), b"x")
        run = Run(id="r", session_id="copy", status="completed")
        self.write(build.replace(copy, runs=(run,), parts=(part,)))
        assert self.store.list_runs(copy.key) == [run]
        assert self.store.read_part(copy.key, part[0]) == b"x"

    def test_goes_on_after(self) -> None:
        key = self.create(ttl_s=1_000)
        events = self.fill(key, 3)
        to = self.key("copy")
        self.write(self._copy(key, to))
        self.clock.advance(1_000_000)
        assert self.append(to, build.event("message 1", id=events[2].id, at_us=events[2].at_us)).repeated
        assert self.append(to, "next").first_seq == 5
        root = seal_root(b"", 5, (leaf(event) for event in self.log(to)))
        assert self.store.add_seal(to, Seal(5, b"", root), incarnation=self.head(to).info.incarnation)

    def test_pruned_ids_are_still_known(self) -> None:
        key = self.create()
        self.append(key, "a", build.delta("b"), "c")
        events = self.log(key)
        self.append(key, prune=(build.range_of(events[2:3]),), lifecycle=True)
        to = self.key("copy")
        self.write(self._copy(key, to))
        assert self.append(to, build.event("b", id=events[2].id)).first_seq == 3

    def test_only_into_an_empty_incarnation(self) -> None:
        key, to = self.create("from"), self.create("to")
        self.fill(key, 2)
        self.refused(AlreadyExists, self._copy(key, to))

    def test_again_is_a_repeat(self) -> None:
        key = self.create("from")
        self.fill(key, 2)
        copy = self._copy(key, self.key("to"))
        self.write(copy)
        assert self.write(copy).repeated

    def test_log_with_a_hole(self) -> None:
        key = self.create("from")
        self.fill(key, 4)
        copy = self._copy(key, self.key("to"))
        holed = build.replace(copy, events=copy.events[:2] + copy.events[3:])
        self.refused(InvalidInput, holed)
        assert copy.verbatim is not None
        overlapping = build.replace(copy.verbatim, ranges=(build.range_of(list(copy.events[1:3])),))
        self.refused(InvalidInput, build.replace(copy, verbatim=overlapping))


class ContinuedCases(ContractBase):
    """A verbatim log in several commits, as a copy in bounded memory and a later run of it make them."""

    def _pieces(self, key: SessionKey, to: SessionKey, size: int) -> list[Commit]:
        """The commits that copy a session in pieces of so many places."""
        events, ranges = self.log_and_ranges(key)
        head = self.head(key)
        commits: list[Commit] = []
        last = 0
        while last < head.info.last_seq:
            end = max([last + size, *(item.last_seq for item in ranges if item.first_seq <= last + size <= item.last_seq)])
            piece = [event for event in events if last < event.seq <= end]
            inside = tuple(item for item in ranges if last < item.first_seq <= end)
            commits.append(build.verbatim_piece(to, head, events, piece, inside, after_seq=last))
            last = end
        return commits

    def _log(self) -> SessionKey:
        """A session with branches, state, a pruned range, usage, and a close, but nothing that changes an earlier event's entry."""
        key = self.create(agent="a", title="t", tags=["x"])
        self.append(key, user("hi"), assistant("yo", usage=Usage(3, 4, model="m")), build.delta("p"), build.delta("q"))
        self.clock.advance(1_000)
        self.append(key, build.branch_event("b", "main", 2), build.state_event(s=1), build.checkpoint_event("c", "main", 3))
        self.append(key, NewEvent(type="my.own", data=b'{ "x" : 1 }', source=b"Lraw", meta={"k": 1}), build.state_event(s=2), branch="b")
        self.clock.advance(1_000)
        self.append(key, build.switch_event("b"), assistant("more", usage=Usage(1, 1, model="n")))
        self.append(key, prune=(build.range_of(self.log(key)[3:5]),), lifecycle=True)
        self.append(key, build.status_event("completed", reason="completed"), lifecycle=True)
        return key

    @pytest.mark.parametrize("size", [1, 2, 5])
    def test_pieces_read_back_equal(self, size: int) -> None:
        key, to = self._log(), self.key("copy", "other")
        self.clock.advance(5_000_000)
        created = [self.write(piece).created for piece in self._pieces(key, to, size)]
        assert created == [True, *[False] * (len(created) - 1)]
        assert self.log_and_ranges(to) == self.log_and_ranges(key)
        head, copied = self.head(key), self.head(to)
        assert copied.info == build.replace(head.info, id="copy", tenant="other", incarnation=copied.info.incarnation)
        assert (copied.entries, copied.usage_by_model) == (head.entries, head.usage_by_model)
        assert self.seqs(to, branch="b") == self.seqs(key, branch="b")

    def test_every_piece_leaves_a_whole_session(self) -> None:
        key, to = self._log(), self.key("copy")
        for piece in self._pieces(key, to, 2):
            self.write(piece)
            self.check_head(to)
            assert self.write(piece).repeated or not piece.events

    def test_seals_follow_one_by_one(self) -> None:
        key, to = self.create("from"), self.key("to")
        self.fill(key, 3)
        first, second = self._pieces(key, to, 2)
        self.write(first)
        self.write(second)
        root = seal_root(b"", 4, (leaf(event) for event in self.log(key)))
        assert self.store.add_seal(to, Seal(4, b"", root, 7, b"s"), incarnation=self.head(to).info.incarnation)
        assert self.store.read_seals(to) == [Seal(4, b"", root, 7, b"s")]

    def test_only_where_the_log_ends(self) -> None:
        key, to = self.create("from"), self.key("to")
        self.fill(key, 5)
        first, second, third = self._pieces(key, to, 2)
        self.refused(SessionNotFound, second)
        self.write(first)
        assert self.refused(SequenceConflict, third).current_seq == 2
        self.write(second)
        self.append(to, "somebody else")
        self.refused(SequenceConflict, third)

    def test_a_piece_with_a_hole_or_with_seals(self) -> None:
        key, to = self.create("from"), self.key("to")
        self.fill(key, 5)
        first, second = self._pieces(key, to, 3)
        self.write(first)
        self.refused(InvalidInput, build.replace(second, events=second.events[1:]))
        assert second.verbatim is not None
        sealed = build.replace(second.verbatim, seals=(Seal(6, b"", b"r" * 32),))
        self.refused(InvalidInput, build.replace(second, verbatim=sealed))

    def test_another_incarnation_owner_or_lease(self) -> None:
        key, to = self.create("from", owner="alice"), self.key("to")
        self.fill(key, 5)
        first, second = self._pieces(key, to, 3)
        self.write(first)
        self.refused(SessionNotFound, build.replace(second, incarnation="another"))
        self.refused(SessionNotFound, build.replace(second, owner="bob"))
        lease = self.store.acquire_lease(to, "worker", 60)
        self.refused(LeaseLost, second)
        assert self.write(build.replace(second, lease=lease.fence)).last_seq == 6

    def test_ids_of_both_pieces_are_known(self) -> None:
        key, to = self.create("from"), self.key("to")
        events = self.fill(key, 4)
        for piece in self._pieces(key, to, 2):
            self.write(piece)
        for event in events[1:]:
            assert self.append(to, build.event("x", id=event.id) if event.redacted else event).first_seq == event.seq
        assert self.append(to, "next").first_seq == 6

    def test_followers_see_what_was_added(self) -> None:
        key, to = self.create("from"), self.key("to")
        self.fill(key, 3)
        first, second = self._pieces(key, to, 2)
        self.write(first)
        self.index_all()
        self.write(second)
        changed = {item.key: (item.follower_seq, item.last_seq) for item in self.store.changed_sessions("search", 10)}
        assert changed == {to: (2, 4)}
