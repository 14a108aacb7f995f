"""What is taken away: redaction of one payload, pruning of a range."""

from __future__ import annotations

import pytest

from turnfold.codec.residual import part_ref
from turnfold.core.redaction import echo_of, redact_of
from turnfold.errors import IdempotencyConflict, InvalidInput, NotFound, SequenceConflict
from turnfold.model.commit import Commit
from turnfold.model.event import Event, NewEvent
from turnfold.model.message import assistant
from turnfold.model.query import SearchQuery
from turnfold.model.session import SessionKey
from turnfold.model.usage import Usage
from turnfold.testing.contract import build
from turnfold.testing.contract.base import ContractBase

SECRET = "hunter2"


class RedactionCases(ContractBase):
    """A redacted payload is gone everywhere; its place, digest and counts stay."""

    def _redaction(self, *events: Event, parts: tuple[str, ...] = ()) -> Commit:
        return build.redaction(self.key(), *events, parts=parts)

    def _with_secret(self) -> Event:
        key = self.create()
        part = (part_ref(SECRET.encode()), SECRET.encode())
        message = NewEvent(
            type="message",
            data=assistant(f"the word is {SECRET}", usage=Usage(10, 5, model="m")),
            source=b"L" + SECRET.encode(),
            meta={"note": SECRET},
        )
        self.append(key, "before", message, "after", parts=(part,))
        self.index_all()
        return self.log(key)[2]

    def test_payload_salt_source_and_meta_are_gone(self) -> None:
        stored = self._with_secret()
        ref = part_ref(SECRET.encode())
        self.write(self._redaction(stored, parts=(ref,)))
        key = self.key()
        after = self.log(key)[2]
        assert after == build.replace(
            stored,
            data_raw=redact_of(stored).tombstone,
            salt=b"",
            source=None,
            meta_raw=None,
            redacted=True,
        )
        assert self.store.search(SearchQuery(tenant="default", terms=(SECRET,))) == []
        with pytest.raises(NotFound):
            self.store.read_part(key, ref)
        info = self.head(key).info
        assert (info.message_count, info.usage, info.last_seq) == (3, Usage(10, 5), 5)

    def test_neighbours_are_untouched(self) -> None:
        stored = self._with_secret()
        before = self.log(self.key())
        self.write(self._redaction(stored))
        after = self.log(self.key())
        assert [after[place] for place in (0, 1, 3)] == [before[place] for place in (0, 1, 3)]
        self.index_all()
        rows = self.store.search(SearchQuery(tenant="default", terms=("before",)))
        assert [(row.session_id, row.seq) for row in rows] == [("s1", 2)]

    def test_id_of_a_redacted_event_counts_as_present(self) -> None:
        stored = self._with_secret()
        self.write(self._redaction(stored))
        again = self.append(self.key(), build.event(f"the word is {SECRET}", id=stored.id))
        assert (again.repeated, again.first_seq) == (True, 3)
        assert self.log(self.key())[2].redacted
        self.refused(IdempotencyConflict, build.commit(self.key(), build.event("x", id=stored.id), "new"))

    def test_conditional_on_the_digest(self) -> None:
        stored = self._with_secret()
        self.refused(SequenceConflict, self._redaction(build.replace(stored, digest=b"\x00" * 32)))
        self.refused(SequenceConflict, self._redaction(build.replace(stored, seq=4)))
        self.refused(SequenceConflict, self._redaction(build.replace(stored, seq=99)))

    def test_of_a_closed_session(self) -> None:
        stored = self._with_secret()
        self.step(self.key(), "completed")
        self.write(self._redaction(stored))
        assert self.log(self.key())[2].redacted

    def test_twice_is_no_harm(self) -> None:
        stored = self._with_secret()
        commit = self._redaction(stored)
        self.write(commit)
        assert self.write(commit).repeated
        once = self.log(self.key())[2]
        self.write(self._redaction(once))
        assert self.log(self.key())[2] == once

    def test_again_with_another_tombstone(self) -> None:
        """The last one stays, whatever the ones before were."""
        stored = self._with_secret()
        commit = self._redaction(stored)
        for tombstone in (b'{"role":"user","n":1}', b'{"role":"user","n":2}', b'{"role":"user","n":1}', b'{"role":"user","n":3}'):
            again = build.commit(commit.key, NewEvent(type="redaction", data=commit.events[0].data_raw), lifecycle=True)
            redact = build.replace(commit.redacts[0], tombstone=tombstone)
            self.write(build.replace(again, redacts=(redact,)))
            assert self.log(self.key())[2].data_raw == tombstone
        self.append(self.key(), "goes on")

    def test_several_at_once(self) -> None:
        key = self.create()
        events = self.fill(key, 5)
        self.write(self._redaction(*events[1:4]))
        assert [event.redacted for event in self.log(key)] == [False, True, True, True, False, False, False]

    def test_an_entry_may_get_another_value_instead(self) -> None:
        key = self.create()
        self.append(key, NewEvent(type="import.cursor", data={"source": "x", "note": SECRET}))
        self.append(key, NewEvent(type="import.cursor", data={"source": "y", "note": SECRET}))
        self.append(key, NewEvent(type="import.cursor", data={"source": "x", "note": "later"}))
        stored = self.log(key)
        redacts = tuple(echo for event in stored if (echo := echo_of(event, [SECRET + "!"])) is not None)
        assert redacts == ()
        redacts = tuple(echo for event in stored if (echo := echo_of(event, [SECRET])) is not None)
        assert [redact.seq for redact in redacts] == [2, 3]
        targets = [{"seq": redact.seq, "digest": redact.digest.hex()} for redact in redacts]
        self.write(build.commit(key, NewEvent(type="redaction", data={"targets": targets}), redacts=redacts, lifecycle=True))
        values = {entry.name: entry.value for entry in self.head(key).entries if entry.kind == "import"}
        assert values == {"x": b'{"source":"x","note":"later"}', "y": b'{"source":"y","note":""}'}
        assert all(SECRET.encode() not in event.data_raw for event in self.log(key))

    def test_entries_go_with_their_event(self) -> None:
        key = self.create()
        self.append(
            key,
            NewEvent(type="title", data={"title": SECRET}),
            build.state_event(secret=SECRET, kept=1),
            NewEvent(type="session.updated", data={"metadata": {"m": SECRET}, "system_prompt": SECRET, "handles": {"h": SECRET}}),
            NewEvent(type="tag", data={"added": [SECRET]}),
            build.state_event(kept=2),
        )
        self.write(self._redaction(*self.log(key)[1:5]))
        head = self.head(key)
        assert [(entry.kind, entry.name, entry.value) for entry in head.entries] == [("state", "kept", b"2"), ("state", "secret", None)]
        assert SECRET not in repr((head, self.log(key)))

    def test_genesis(self) -> None:
        key = self.create(title=SECRET, metadata={"m": SECRET}, tags=["t"], agent="a", owner="alice", ttl_s=100)
        self.write(self._redaction(self.log(key)[0]))
        head = self.head(key)
        assert (head.info.agent, head.info.owner, head.ttl_s, head.entries) == ("a", "alice", 100, ())

    def test_digest_of_the_log_still_tells(self) -> None:
        stored = self._with_secret()
        self.write(self._redaction(stored))
        notice = self.log(self.key())[4]
        assert notice.data["targets"] == [{"seq": 3, "digest": self.log(self.key())[2].digest.hex()}]


class RangeCases(ContractBase):
    """Every seq is an event or in exactly one range tombstone."""

    def _pruned(self) -> tuple[SessionKey, list[Event]]:
        key = self.create()
        self.append(key, "a", build.delta("b"), build.delta("c"), build.delta("d"), "e")
        self.index_all()
        events = self.log(key)
        self.append(key, prune=(build.range_of(events[2:5]),), lifecycle=True)
        return key, events

    def test_reads_step_over(self) -> None:
        key, events = self._pruned()
        tombstone = build.range_of(events[2:5])
        page = self.page(key)
        assert ([event.seq for event in page.events], page.through_seq, page.ranges) == ([1, 2, 6], 6, (tombstone,))
        page = self.page(key, after=2, limit=1)
        assert ([event.seq for event in page.events], page.through_seq, page.ranges, page.more) == ([6], 6, (tombstone,), False)
        page = self.page(key, after=3, before=5)
        assert (page.events, page.through_seq, page.ranges, page.more) == ([], 4, (tombstone,), False)
        assert self.page(key, after=5).ranges == ()
        assert self.page(key, limit=2).ranges == ()
        assert self.seqs(key, descending=True, limit=2) == [6, 2]

    def test_place_and_head_stay(self) -> None:
        key, _ = self._pruned()
        info = self.head(key).info
        assert (info.last_seq, info.message_count) == (6, 2)
        assert self.append(key, "f", expected_seq=6).first_seq == 7

    def test_tail_may_go(self) -> None:
        key = self.create()
        self.append(key, "a", build.delta("b"), build.delta("c"))
        self.append(key, prune=(build.range_of(self.log(key)[2:]),), lifecycle=True)
        assert self.head(key).info.last_seq == 4
        page = self.page(key, after=2)
        assert (page.events, page.through_seq, page.last_seq) == ([], 4, 4)
        assert self.append(key, "d").first_seq == 5

    def test_pruned_ids_count_as_present(self) -> None:
        key, events = self._pruned()
        again = self.append(key, build.event("whatever", id=events[3].id))
        assert (again.repeated, again.first_seq, again.last_seq) == (True, 4, 4)
        again = self.append(key, events[1], *(build.event("x", id=event.id) for event in events[2:5]), events[5])
        assert (again.repeated, again.first_seq, again.last_seq, again.seqs) == (True, 2, 6, None)
        self.refused(IdempotencyConflict, build.commit(key, build.event("x", id=events[3].id), "new"))

    def test_ranges_may_be_joined_by_a_larger_one(self) -> None:
        key, events = self._pruned()
        larger = build.range_of(events[1:6])
        self.append(key, prune=(larger,), lifecycle=True, change=build.without_counts(events[1:6], keep=events[2:5]))
        assert self.log_and_ranges(key) == ([events[0]], [larger])
        assert self.append(key, build.event("x", id=events[3].id)).first_seq == 4

    def test_several_ranges(self) -> None:
        key = self.create()
        self.append(key, *(build.delta(f"{index}") for index in range(9)))
        events = self.log(key)
        ranges = tuple(build.range_of(events[at : at + 2]) for at in (7, 1, 4))
        self.append(key, prune=ranges[:2], lifecycle=True)
        self.append(key, prune=ranges[2:], lifecycle=True)
        assert self.seqs(key) == [1, 4, 7, 10]
        assert [(item.first_seq, item.last_seq) for item in self.page(key).ranges] == [(2, 3), (5, 6), (8, 9)]

    def test_ranges_that_cannot_be(self) -> None:
        key, events = self._pruned()
        good = build.range_of(events[2:5])
        for bad in (
            build.range_of(events[1:4]),
            build.range_of(events[4:6]),
            build.replace(good, last_seq=99),
            build.replace(good, first_seq=0),
            build.replace(good, ids=good.ids[1:]),
            build.replace(good, leaves=b""),
            build.replace(build.range_of([build.replace(events[5], seq=7)])),
        ):
            self.refused(InvalidInput, build.commit(key, prune=(bad,), lifecycle=True))

    def test_prune_of_the_deltas_travels_with_the_message(self) -> None:
        key = self.create()
        self.append(key, build.delta("he"), build.delta("llo"))
        self.append(key, "hello", prune=(build.range_of(self.log(key)[1:3]),))
        assert self.seqs(key) == [1, 4]
