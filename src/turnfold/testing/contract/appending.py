"""Appending: gap-free seqs, order, atomicity, concurrency, and that what was written is read back as it was."""

from __future__ import annotations

import msgspec

from turnfold.errors import SessionNotFound, TurnfoldError
from turnfold.model.commit import Committed
from turnfold.model.event import NewEvent
from turnfold.model.message import assistant, user
from turnfold.model.usage import Usage
from turnfold.testing.contract import build
from turnfold.testing.contract.base import ContractBase, only_errors

CUSTOM = b'{"b":1,"a":[1.0,1e2,"\\u00e9"],"unknown":{"x":null}, "spaced" : true}'


class AppendCases(ContractBase):
    """What ``commit`` promises of plain events."""

    def test_first_commit_creates_and_counts_from_one(self) -> None:
        key = self.key()
        first = self.append(key, "hello", "again", genesis=build.genesis(agent="a", incarnation="inc-1"))
        assert (first.first_seq, first.last_seq, first.created, first.repeated) == (2, 3, True, False)
        assert (first.incarnation, first.branch, first.recorded_at_us) == ("inc-1", "main", self.clock())
        assert [(event.seq, event.type) for event in self.log(key)] == [(1, "session.created"), (2, "message"), (3, "message")]

    def test_seqs_are_contiguous_over_commits(self) -> None:
        key = self.create()
        places = [self.append(key, *["x"] * count) for count in (1, 3, 2)]
        assert [(place.first_seq, place.last_seq) for place in places] == [(2, 2), (3, 5), (6, 7)]
        assert self.seqs(key) == [1, 2, 3, 4, 5, 6, 7]

    def test_order_within_a_commit_is_kept(self) -> None:
        key = self.create()
        items = [build.event(f"text {index}") for index in range(50)]
        self.append(key, *items)
        assert [event.id for event in self.log(key)[1:]] == [item.id for item in items]

    def test_second_genesis_joins(self) -> None:
        key = self.create(agent="first", metadata={"a": 1})
        joined = self.append(key, "x", genesis=build.genesis(agent="second", metadata={"a": 2}))
        assert (joined.created, joined.first_seq) == (False, 2)
        info = self.head(key).info
        assert (info.agent, info.metadata, joined.incarnation) == ("first", {"a": 1}, info.incarnation)

    def test_missing_session_without_genesis_is_not_found(self) -> None:
        self.refused(SessionNotFound, build.commit(self.key(), "x"))

    def test_commit_without_events_creates(self) -> None:
        key = self.key()
        done = self.write(build.commit(key, genesis=build.genesis()))
        assert (done.first_seq, done.last_seq, done.created) == (0, 0, True)
        assert self.head(key).info.last_seq == 1

    def test_everything_of_an_event_is_read_back(self) -> None:
        key = self.create()
        sent = build.event(
            NewEvent(
                type="custom.kind",
                data=CUSTOM,
                version=7,
                run_id="r",
                actor="ann",
                causation_id="c",
                correlation_id="k",
                message_id="m",
                block_index=3,
                parent_id="p",
                visibility="ui",
                visible_to=("a", "b"),
                hidden_from=("c",),
                meta={"sidechain": True, "env": {"x": "ä"}},
                message_count=2,
                turn_count=1,
                token_count=17,
                usage=Usage(1, 2, 3, 4, 5, 6, "gpt"),
                source=b"L\x00raw \xff line\r",
            ),
            id="my/id: 1",
        )
        place = self.append(key, sent)
        expected = msgspec.structs.replace(sent, seq=2, branch="main", recorded_at_us=place.recorded_at_us)
        assert self.log(key)[1] == expected
        assert self.page(key, after=1).events == [msgspec.structs.replace(expected, source=None)]

    def test_model_that_counted_nothing_is_kept(self) -> None:
        key = self.create()
        self.append(key, msgspec.structs.replace(build.event("counted nothing"), usage=Usage(model="gpt")))
        assert self.log(key)[1].usage == Usage(model="gpt")

    def test_payload_bytes_are_kept_verbatim(self) -> None:
        key = self.create()
        self.append(key, NewEvent(type="message", data=b'{ "role":"user","parts":[],"zzz" : 1.50 }'), NewEvent(type="my.own", data=CUSTOM))
        events = self.log(key)
        assert [events[1].data_raw, events[2].data_raw] == [b'{ "role":"user","parts":[],"zzz" : 1.50 }', CUSTOM]

    def test_custom_types_keep_their_name(self) -> None:
        key = self.create()
        names = ["error_occurred!", "acme.deploy.started", "Größe", "x" * 200]
        self.append(key, *(NewEvent(type=name, data={"n": 1}) for name in names))
        assert [event.type for event in self.log(key)[1:]] == names

    def test_text_of_any_kind_survives(self) -> None:
        key = self.create()
        texts = ["", "\x00", "\u2028 \u202e", "🧵" * 100, "a\r\nb\tc", '"quoted" \\ back', "x" * 100_000]
        self.append(key, *texts)
        assert [event.data["parts"][0].get("content", "") for event in self.log(key)[1:]] == texts

    def test_fifty_threads_on_one_session(self) -> None:
        key = self.create()
        results = self.together(50, lambda index: [self.append(key, f"{index}-{turn}") for turn in range(4)])
        assert only_errors(results) == []
        taken = sorted(place.first_seq for places in results if isinstance(places, list) for place in places)
        assert taken == list(range(2, 202))
        texts = {event.data["parts"][0]["content"] for event in self.log(key)[1:]}
        assert texts == {f"{index}-{turn}" for index in range(50) for turn in range(4)}

    def test_batches_of_threads_stay_together(self) -> None:
        key = self.create()
        places = [item for item in self.together(10, lambda index: self.append(key, *[f"{index}"] * 5)) if isinstance(item, Committed)]
        assert len(places) == 10
        events = self.log(key)
        for place in places:
            block = events[place.first_seq - 1 : place.last_seq]
            assert len({event.data["parts"][0]["content"] for event in block}) == 1
            assert len(block) == 5

    def test_threads_race_to_create(self) -> None:
        key = self.key()
        results = self.together(10, lambda index: self.append(key, f"{index}", genesis=build.genesis()))
        places = [item for item in results if isinstance(item, Committed)]
        assert only_errors(results) == []
        assert sum(place.created for place in places) == 1
        assert len({place.incarnation for place in places}) == 1
        assert self.head(key).info.last_seq == 11

    def test_commit_many_isolates_failures(self) -> None:
        key = self.create()
        other = self.key("other")
        twice = build.event("twice")
        outcomes = self.store.commit_many(
            [
                build.commit(key, "one"),
                build.commit(self.key("missing"), "lost"),
                build.commit(key, "two", twice),
                build.commit(key, build.event("other text", id=twice.id)),
                build.commit(other, "three", genesis=build.genesis()),
                build.commit(key, "four", expected_seq=99),
                build.commit(key, "five"),
            ],
        )
        kinds = [item.code if isinstance(item, TurnfoldError) else "ok" for item in outcomes]
        assert kinds == ["ok", "session_not_found", "ok", "idempotency_conflict", "ok", "sequence_conflict", "ok"]
        assert [event.data["parts"][0]["content"] for event in self.log(key)[1:]] == ["one", "two", "twice", "five"]
        assert self.head(other).info.last_seq == 2

    def test_counts_and_sums_in_the_head(self) -> None:
        key = self.create()
        self.append(key, user("hi"), assistant("yes", usage=Usage(10, 5, model="a")), NewEvent(type="usage", token_count=9))
        self.append(key, assistant("more", usage=Usage(1, 1, model="a")), assistant("b", usage=Usage(2, 3, cost_microusd=7, model="b")))
        head = self.head(key)
        info = head.info
        of_messages = sum(event.token_count for event in self.log(key) if event.type == "message")
        assert (info.message_count, info.turn_count, info.token_count) == (4, 1, of_messages + 9)
        assert info.usage == Usage(13, 9, cost_microusd=7)
        assert head.usage_by_model == {"a": Usage(11, 6, model="a"), "b": Usage(2, 3, cost_microusd=7, model="b")}

    def test_revised_usage_may_go_down(self) -> None:
        key = self.create()
        self.append(key, assistant("x", usage=Usage(10, 5, model="a")))
        self.append(key, NewEvent(type="usage", usage=Usage(-4, 0, model="a")))
        assert self.head(key).info.usage == Usage(6, 5)

    def test_lists_go_by_the_sources_time_and_places_by_the_stores(self) -> None:
        key = self.create()
        created_at_us = build.source_us()
        self.clock.advance(5_000_000)
        place = self.append(key, "x")
        self.append(key, build.event("imported later, but older", at_us=created_at_us - 7))
        info = self.head(key).info
        assert (info.created_at_us, info.updated_at_us) == (created_at_us, build.source_us())
        assert place.recorded_at_us == self.clock()
        assert [event.at_us for event in self.log(key)] == [created_at_us, build.source_us(), created_at_us - 7]
        assert {event.recorded_at_us for event in self.log(key)[1:]} == {self.clock()}
