"""A branch as a conversation: what is joined, taken out, compacted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from turnfold.core.compaction import COMPACTION, Span, compacted, span_of, split
from turnfold.core.conversation import Conversation, ConversationEntry, entries_of
from turnfold.model.event import Event
from turnfold.model.event_types import Compaction
from turnfold.model.message import Message, assistant, encode_message, tool_call, tool_result, user
from turnfold.model.session import SessionInfo
from turnfold.model.usage import Usage

_encode = msgspec.json.Encoder().encode


def events_of(*items: Any) -> list[Event]:
    """Give seqs to messages (or (message, fields)) and (type, payload, fields), from 1."""
    out = []
    for seq, item in enumerate(items, 1):
        fields: dict[str, Any] = {}
        if isinstance(item, Message):
            kind, data = "message", encode_message(item)
            fields = {"turn_count": int(item.role == "user")}
        elif isinstance(item[0], Message):
            kind, data, fields = "message", encode_message(item[0]), item[1]
        else:
            kind, data, fields = item[0], _encode(item[1]), item[2] if len(item) > 2 else {}
        out.append(Event(seq, f"e{seq}", kind, data, seq * 1_000_000, **fields))
    return out


def said(entries: Iterable[ConversationEntry]) -> list[str]:
    """The texts of entries; compactions as their type."""
    return [entry.type if entry.message is None else entry.message.text for entry in entries]


def model_view(*items: Any) -> list[str]:
    """What the model would get next."""
    entries = entries_of(events_of(*items))
    return said(Conversation(info=SessionInfo(id="s"), branch="main", entries=entries).for_model)


def test_events_of_one_message_are_one_entry_at_the_place_of_the_first() -> None:
    block = {"message_id": "m", "usage": Usage(3, 1, model="a")}
    entries = entries_of(
        events_of(
            user("ask"),
            (assistant("one "), {**block, "message_count": 1}),
            (tool_call("c", "Bash", {}), {"message_id": "m", "usage": Usage(0, 4, model="a")}),
            tool_result("c", "ok"),
            (assistant("two"), {"message_id": "m"}),
        ),
    )
    assert [(entry.seq, entry.last_seq) for entry in entries] == [(1, 1), (2, 5), (4, 4)]
    assert entries[1].message is not None
    assert entries[1].message.text == "one two"
    assert [call.id for call in entries[1].message.tool_calls] == ["c"]
    assert entries[1].usage == Usage(3, 5, model="a")
    assert [entry.is_turn for entry in entries] == [True, False, False]


def test_messages_of_one_id_but_different_roles_stay_apart() -> None:
    entries = entries_of(events_of((user("a"), {"message_id": "m"}), (assistant("b"), {"message_id": "m"})))
    assert said(entries) == ["a", "b"]


def test_retracted_messages_and_compactions_are_left_out_with_all_their_blocks() -> None:
    entries = entries_of(
        events_of(
            user("kept"),
            (assistant("gone "), {"message_id": "m"}),
            (assistant("too"), {"message_id": "m"}),
            (COMPACTION, {"summary": "gone", "first_seq": 1, "last_seq": 3}),
            ("retract", {"ranges": [(2, 4)]}),
            assistant("after"),
        ),
    )
    assert said(entries) == ["kept", "after"]


def test_a_block_that_was_retracted_alone_does_not_count_for_the_place_of_its_message() -> None:
    entries = entries_of(
        events_of(
            (assistant("a"), {"message_id": "m"}),
            (assistant("b"), {"message_id": "m", "usage": Usage(1, 1)}),
            ("retract", {"seqs": [2]}),
        ),
    )
    assert [(entry.seq, entry.last_seq, entry.usage) for entry in entries] == [(1, 1, Usage())]


def test_a_rollback_takes_back_turns_and_the_compactions_in_them_but_none_before() -> None:
    before = ("compaction", {"summary": "early", "first_seq": 1, "last_seq": 2})
    late = ("compaction", {"summary": "late", "first_seq": 1, "last_seq": 5})
    entries = entries_of(
        events_of(user("one"), assistant("1"), before, user("two"), assistant("2"), late, ("rollback", {"turns": 1}), user("three"))
    )
    assert said(entries) == ["one", "1", "early", "three"]
    assert said(entries_of(events_of(user("one"), before, ("rollback", {"turns": 9})))) == []


def test_a_compaction_leaves_its_summary_and_what_follows() -> None:
    compaction = (COMPACTION, {"summary": "SUM", "first_seq": 1, "last_seq": 2})
    assert model_view(user("a"), assistant("b"), compaction, user("c")) == ["SUM", "c"]
    again = (COMPACTION, {"summary": "SUM2", "first_seq": 1, "last_seq": 4})
    assert model_view(user("a"), assistant("b"), compaction, user("c"), again, assistant("d")) == ["SUM2", "d"]


def test_what_a_compaction_keeps_stands_before_the_summary_when_it_is_old_and_after_it_when_it_is_new() -> None:
    old = (COMPACTION, {"summary": "SUM", "first_seq": 1, "last_seq": 4, "keeps": [1, 3]})
    assert model_view(user("a"), assistant("b"), user("c"), assistant("d"), old, user("e")) == ["a", "c", "SUM", "e"]
    new = (COMPACTION, {"summary": "SUM", "first_seq": 1, "last_seq": 4, "keeps": [3, 4]})
    assert model_view(user("a"), assistant("b"), user("c"), assistant("d"), new, user("e")) == ["SUM", "c", "d", "e"]
    window = (COMPACTION, {"summary": "SUM", "first_seq": 1, "last_seq": 2})
    assert model_view(user("a"), assistant("b"), user("c"), assistant("d"), window, user("e")) == ["SUM", "c", "d", "e"]


def test_a_replacement_of_the_source_stands_for_everything_before() -> None:
    replacement = [{"role": "user", "parts": [{"type": "text", "content": "all of it"}]}, {"no": "message"}, 7]
    events = events_of(user("a"), (COMPACTION, {"first_seq": 1, "last_seq": 1, "replacement": replacement}), user("b"))
    entries = entries_of(events)
    assert [message.text for message in entries[1].replacement] == ["all of it"]
    view = Conversation(info=SessionInfo(id="s"), branch="main", entries=entries).for_model
    assert [entry.seq for entry in view] == [2, 3]


def test_what_the_model_was_told_besides_messages_is_in_its_view_and_what_people_see_is_not() -> None:
    told = ("context", {"role": "user", "parts": [{"type": "text", "content": "reminder"}]}, {"visibility": "model"})
    shown = ("context", {"role": "user", "parts": [{"type": "text", "content": "on screen"}]}, {"visibility": "ui"})
    other = ("context", {"kind": "agent_message", "message": "an application's own"}, {"visibility": "ui"})
    assert model_view(user("a"), told, shown, other) == ["a", "reminder"]


def test_usage_reported_apart_belongs_to_the_answer_before_it_and_the_first_to_the_one_after() -> None:
    items: list[Any] = [("usage", {}, {"usage": Usage(1, 1)}), user("a"), assistant("b"), ("usage", {}, {"usage": Usage(2, 2)}), user("c")]
    entries = entries_of(events_of(*items))
    assert [entry.usage for entry in entries] == [Usage(), Usage(3, 3), Usage()]
    assert [entry.message and entry.message.usage for entry in entries] == [None, Usage(3, 3), None]
    assert [entry.last_seq for entry in entries] == [2, 3, 5]


def test_a_redacted_compaction_stands_for_nothing() -> None:
    events = events_of(user("a"), (COMPACTION, {"summary": "SUM", "first_seq": 1, "last_seq": 1}), user("b"))
    events[1] = msgspec.structs.replace(events[1], redacted=True, data_raw=b"null")
    assert said(entries_of(events)) == ["a", "b"]


def test_a_compaction_of_a_stretch_leaves_what_is_before_and_after_it() -> None:
    middle = (COMPACTION, {"summary": "SUM", "first_seq": 2, "last_seq": 3})
    assert model_view(user("a"), assistant("b"), user("c"), assistant("d"), middle, user("e")) == ["a", "SUM", "d", "e"]
    entries = entries_of(events_of(user("a"), user("b"), user("c")))
    before, after = split(entries, Span(2, 2, frozenset()))
    assert (said(before), said(after)) == (["a"], ["c"])
    assert said(compacted(entries, {3: Span(1, 2, frozenset())}, frozenset({1}))) == ["a", "c"]


def test_how_far_back_a_view_has_to_be_known() -> None:
    assert span_of(Compaction(), 7).reach_seq == 7
    assert span_of(Compaction(first_seq=1, last_seq=5, keeps=[2, 9]), 7).reach_seq == 2
    assert span_of(Compaction(first_seq=3, last_seq=5), 7).reach_seq == 1
    assert span_of(Compaction(first_seq=3, keeps=[1], replacement=[{}]), 7).reach_seq == 7
