"""Scenarios 6 to 13 of the acceptance list for sessions, on every store."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

import turnfold as tf

CALLERS = 20


def texts(session: tf.Session, branch: str | None = None) -> list[str]:
    if branch is None:
        return [message.text for message in session.messages()]
    return [event.data["parts"][0]["content"] for event in session.events(branch=branch, types="message", limit=1_000).items]


def test_scenario_6_exactly_the_newest_checkpoints_remain(session: tf.Session) -> None:
    made: list[tuple[tf.Checkpoint, list[str]]] = []
    with tf.override(checkpoints_max=12):
        for number in range(50):
            session.append(tf.user(f"m{number}"))
            made.append((session.checkpoint(), texts(session)))
            assert len(session.checkpoints()) <= 12
            if number % 3 == 2:
                session.delete_checkpoint(made.pop()[0].name)
    left = session.checkpoints()
    assert len({mark.name for mark, _ in made}) == len(made)
    assert [mark.name for mark in left] == [mark.name for mark, _ in made[-len(left) :]]
    assert len(left) == 12
    for mark, then in made[-len(left) :]:
        assert texts(session.fork(at=mark)) == then


def test_scenario_6_named_checkpoints_are_never_dropped_silently(session: tf.Session) -> None:
    with tf.override(checkpoints_max=3):
        session.checkpoint("mine")
        for _ in range(10):
            session.append(tf.user("more"))
            session.checkpoint()
        assert [mark.kind for mark in session.checkpoints()] == ["manual", "auto", "auto"]
        session.checkpoint("second")
        session.checkpoint("third")
        assert [mark.name for mark in session.checkpoints()] == ["mine", "second", "third"]
        before = session.info().last_seq
        for refused in (lambda: session.checkpoint("fourth"), session.checkpoint, lambda: session.restore("mine"), session.reset):
            with pytest.raises(tf.LimitExceeded) as caught:
                refused()
            assert caught.value.details == {"limit": "checkpoints_max", "value": 3}
        assert session.info().last_seq == before, "a refused call writes nothing"


def test_scenario_7_checkpoints_and_branches_are_no_sessions(client: tf.Client, session: tf.Session) -> None:
    session.checkpoint("one")
    session.fork("side").append(tf.user("aside"))
    session.restore("one")
    assert [info.id for info in client.sessions().items] == ["s"]


def test_scenario_8_restoring_does_not_reopen(client: tf.Client, session: tf.Session) -> None:
    mark = session.checkpoint("mark")
    session.append(tf.user("p2"))
    session.close()
    for call in (lambda: session.restore(mark), lambda: session.fork("other", at=mark), lambda: session.merge("main", into="other")):
        with pytest.raises((tf.SessionClosed, tf.NotFound)):
            call()
    assert session.info().status == "completed"
    assert [branch.name for branch in client.open("s").branches()] == ["main"]


def test_scenario_9_restoring_loses_nothing(session: tf.Session) -> None:
    mark = session.checkpoint("early")
    session.append([tf.user("p2"), tf.assistant("p3")])
    back = session.restore(mark)
    assert texts(back) == ["p1"]
    safety = session.checkpoints()[-1]
    assert (safety.kind, safety.branch, safety.parent) == ("safety", "main", "early")
    assert texts(session.fork("again", at=safety)) == ["p1", "p2", "p3"]
    moved = session.events(types=["branch.created", "branch.switched"], limit=2).items
    assert [(event.type, event.data["name"]) for event in moved] == [
        ("branch.created", back_name(session)),
        ("branch.switched", back_name(session)),
    ]
    assert moved[0].data["reason"] == "restore"


def back_name(session: tf.Session) -> str:
    return session.info().active_branch


def test_scenario_10_everything_arrives_once_and_in_order(session: tf.Session) -> None:
    side = session.fork("side")
    old = datetime(2020, 1, 1, tzinfo=UTC)
    side.append([tf.NewEvent(type="message", data=tf.user(text), at=old) for text in ("b1", "b2")])
    session.append(tf.user("p2"))
    side.append(tf.user("b3"))
    base = session.common_ancestor("main", "side")
    merged = session.merge("side", into="main", strategy="append")
    assert texts(session) == ["p1", "p2", "b1", "b2", "b3"]
    assert (merged.base_seq, len(merged.brought)) == (base.seq, 3)
    record = session.event(merged.merged_seq or 0)
    assert (record.type, record.data["base_seq"], record.data["source"]) == ("branch.merged", base.seq, "side")
    before = session.info().last_seq
    assert session.merge("side", into="main").merged_seq is None
    assert session.info().last_seq == before, "merging again adds nothing"
    side.append(tf.user("b4"))
    assert len(session.merge("side", into="main").brought) == 1
    assert texts(session) == ["p1", "p2", "b1", "b2", "b3", "b4"]
    assert texts(side) == ["p1", "b1", "b2", "b3", "b4"], "the source stays as it is"


def test_scenario_11_a_key_that_both_changed_is_a_conflict(session: tf.Session) -> None:
    session.state.update({"x": 0, "same": 0, "ours": 0, "theirs": 0})
    for name, policy, expected in (("a", "ours", {"x": 1}), ("b", "theirs", {"x": 2}), ("c", "both", {"x": 1, "x@c": 2})):
        target = session.fork(f"target-{name}")
        side = target.fork(name)
        target.state.update({"x": 1, "same": 5, "ours": 1})
        side.state.update({"x": 2, "same": 5, "theirs": 2})
        before = session.info().last_seq
        with pytest.raises(tf.MergeConflict) as caught:
            target.merge(name)
        assert caught.value.details["conflicts"] == [{"key": "x", "base": 0, "ours": 1, "theirs": 2, "missing": []}]
        assert session.info().last_seq == before, "a refused merge writes nothing"
        merged = target.merge(name, strategy=policy)
        assert dict(target.state) == {"same": 5, "ours": 1, "theirs": 2, **expected}
        assert merged.choices == {"x": policy}
        assert session.event(merged.merged_seq or 0).data["choices"] == {"x": policy}
        assert target.merge(name).merged_seq is None, "what was decided is not asked again"


def test_scenario_12_another_owners_branches_are_not_there(client: tf.Client, store_url: str, session: tf.Session) -> None:
    mark = session.checkpoint("mark")
    side = session.fork("side")
    side.append(tf.user("secret"))
    before = session.info().last_seq
    stranger = client.open("s", owner="bob")
    own = client.open("of-bob", owner="bob")
    own.append(tf.user("hello"))
    calls: list[Callable[[], object]] = [
        lambda: stranger.merge("side", into="main"),
        lambda: stranger.fork("mine", at=mark),
        lambda: stranger.restore(mark),
        lambda: stranger.rename("side", "mine"),
        lambda: stranger.abandon("side"),
        lambda: stranger.diff("main", "side"),
        lambda: own.merge(side),
        lambda: own.merge("side"),
        lambda: own.fork("mine", at=mark),
    ]
    for call in calls:
        with pytest.raises((tf.SessionNotFound, tf.NotFound, tf.InvalidInput)):
            call()
    assert session.info().last_seq == before
    assert texts(own) == ["hello"]


def at_once(client: tf.Client, call: Callable[[tf.Session, int], object]) -> Counter[str]:
    """Let twenty callers, each with a handle of its own, do something at the same moment; count what came of it."""
    gate = threading.Barrier(CALLERS)
    outcome: Counter[str] = Counter()
    lock = threading.Lock()

    def caller(number: int) -> None:
        handle = client.open("s")
        gate.wait()
        try:
            call(handle, number)
            said = "done"
        except tf.LimitExceeded as error:
            said = f"{error.details['limit']}={error.details['value']}"
        with lock:
            outcome[said] += 1

    threads = [threading.Thread(target=caller, args=(number,)) for number in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcome


def test_scenario_13_branches(store_url: str) -> None:
    with tf.connect(store_url, branches_max=4) as client:
        client.open("s").append(tf.user("p1"))
        outcome = at_once(client, lambda handle, number: handle.fork(f"f{number}"))
        assert outcome == {"done": 3, "branches_max=4": CALLERS - 3}
        assert len(client.open("s").branches()) == client.open("s").info().branch_count == 4


def test_scenario_13_restores(store_url: str) -> None:
    with tf.connect(store_url, branches_max=4) as client:
        session = client.open("s")
        session.append(tf.user("p1"))
        session.checkpoint("mark")
        outcome = at_once(client, lambda handle, _: handle.restore("mark"))
        assert outcome == {"done": 3, "branches_max=4": CALLERS - 3}
        assert len(session.branches()) == 4
        assert [mark.kind for mark in session.checkpoints()] == ["manual", *["safety"] * 3], "a refused restore leaves no checkpoint"


def test_a_lower_limit_holds_from_the_next_checkpoint_on(session: tf.Session) -> None:
    for _ in range(5):
        session.checkpoint()
    session.checkpoint("mine")
    with tf.override(checkpoints_max=2):
        last = session.checkpoint()
        assert [mark.name for mark in session.checkpoints()] == ["mine", last.name]


def test_scenario_13_named_checkpoints(store_url: str) -> None:
    with tf.connect(store_url, checkpoints_max=3) as client:
        client.open("s").append(tf.user("p1"))
        outcome = at_once(client, lambda handle, number: handle.checkpoint(f"c{number}"))
        assert outcome == {"done": 3, "checkpoints_max=3": CALLERS - 3}
        assert len(client.open("s").checkpoints()) == 3


def test_scenario_13_unnamed_checkpoints_all_succeed_and_the_number_holds(store_url: str) -> None:
    with tf.connect(store_url, checkpoints_max=3) as client:
        client.open("s").append(tf.user("p1"))
        assert at_once(client, lambda handle, _: handle.checkpoint()) == {"done": CALLERS}
        assert len(client.open("s").checkpoints()) == 3


def test_scenario_13_turns(store_url: str) -> None:
    with tf.connect(store_url, turns_max=5) as client:
        client.open("s").append(tf.user("p1"))
        outcome = at_once(client, lambda handle, number: handle.append(tf.user(f"t{number}")))
        assert outcome == {"done": 4, "turns_max=5": CALLERS - 4}


def test_twenty_merges_at_once_bring_everything_once(client: tf.Client, session: tf.Session) -> None:
    for number in range(CALLERS):
        session.fork(f"b{number}").append([tf.user(f"{number}"), tf.assistant(f"{number}!")])
    session.append(tf.user("p2"))
    assert at_once(client, lambda handle, number: handle.merge(f"b{number // 2}", into="main")) == {"done": CALLERS}
    found = texts(session)
    assert found[:2] == ["p1", "p2"]
    assert sorted(found[2:]) == sorted(f"{number}{mark}" for number in range(CALLERS // 2) for mark in ("", "!"))
    assert all(found[index + 1] == found[index] + "!" for index in range(2, len(found), 2)), "a merge is one commit"
