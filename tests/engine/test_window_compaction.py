"""The window over compactions: what they stand for is out, what they keep is in, however far back it lies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from turnfold import Message, NewEvent, Session, assistant, connect, user

BUDGET = 10_000_000


@pytest.fixture
def session() -> Session:
    return connect("memory://").open("s")


def compact(**data: Any) -> NewEvent:
    return NewEvent(type="compaction", data=data)


def texts(messages: list[Message]) -> list[str]:
    return [message.text for message in messages]


def test_what_lies_behind_the_compacted_stretch_stays(session: Session) -> None:
    session.append([user("a"), assistant("b"), user("c"), assistant("d"), compact(summary="SUM", first_seq=1, last_seq=3), user("e")])
    assert texts(session.window(BUDGET)) == ["SUM", "c", "d", "e"]


def test_what_is_kept_is_found_far_behind_the_compaction(session: Session) -> None:
    session.append(user("first"))
    session.append([assistant(str(number)) for number in range(500)])
    session.append([compact(summary="SUM", first_seq=1, last_seq=502, keeps=[2]), user("last")])
    assert texts(session.window(BUDGET)) == ["SUM", "first", "last"]


def test_summaries_of_two_stretches_both_stand(session: Session) -> None:
    session.append([user("a"), compact(summary="ONE", first_seq=1, last_seq=2), user("b"), compact(summary="TWO", first_seq=4, last_seq=4)])
    session.append(user("c"))
    assert texts(session.window(BUDGET)) == ["ONE", "TWO", "c"]


def test_a_later_compaction_stands_for_an_earlier_one(session: Session) -> None:
    session.append([user("a"), compact(summary="ONE"), user("b"), compact(summary="TWO"), user("c")])
    assert texts(session.window(BUDGET)) == ["TWO", "c"]


def test_a_compaction_that_was_taken_back_stands_for_nothing(session: Session) -> None:
    session.append([user("a"), compact(summary="SUM"), user("b")])
    session.append([assistant(str(number)) for number in range(100)])
    session.retract(3)
    window = texts(session.window(BUDGET))
    assert window[:2] == ["a", "b"]
    assert len(window) == 102

    session.append([compact(summary="SUM"), NewEvent(type="rollback", data={"turns": 1})])
    assert texts(session.window(BUDGET)) == ["a"]


def test_a_pinned_message_stays_in_front_of_a_replacement(session: Session) -> None:
    session.append([user("pinned"), user("b")])
    session.pin(2)
    session.append([compact(replacement=[{"role": "user", "parts": [{"type": "text", "content": "ALL"}]}]), user("c")])
    assert texts(session.window(BUDGET)) == ["ALL", "pinned", "c"]


def test_the_window_of_an_imported_session_begins_at_its_compaction(shared_dir: Path) -> None:
    (path,) = (shared_dir / "data" / "transcripts" / "claude-code").glob("cipher-box-12f1f541*.jsonl")
    with connect("memory://") as client:
        (session_id,) = client.import_files([path]).session_ids[:1]
        session = client.open(session_id)
        (boundary,) = session.events(types=["compaction"]).items
        window = session.window(BUDGET)
        assert window[0].text.startswith("This session is being continued from a previous conversation")
        assert min(message.seq for message in window) > boundary.seq
        assert len(window) < len(session.messages()) - 50
