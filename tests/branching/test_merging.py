"""What a merge brings, on every store where the store matters, else on the memory store."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import turnfold as tf


@pytest.fixture
def talk() -> Iterator[tf.Session]:
    with tf.connect("memory://", upkeep=False) as client:
        session = client.open("s")
        session.append(tf.user("p1"))
        yield session


def texts(session: tf.Session) -> list[str]:
    return [message.text or "+".join(part.type for part in message.parts) for message in session.messages()]


def test_usage_is_counted_once_and_messages_are_shown_as_they_were(session: tf.Session) -> None:
    side = session.fork("side")
    side.append(tf.assistant("b1", usage=tf.Usage(input_tokens=10, output_tokens=5, cost_microusd=7), model="m"))
    before = session.info().usage
    session.merge("side", into="main")
    assert session.info().usage == before
    copy = session.messages()[-1]
    assert (copy.text, copy.model, copy.usage and copy.usage.cost_microusd) == ("b1", "m", 7)
    assert [message.text for message in session.messages(last=1)] == ["b1"]


def test_a_branch_renamed_put_away_and_taken_up_is_the_same_branch(client: tf.Client, session: tf.Session) -> None:
    side = session.fork("side")
    side.append(tf.user("b1"))
    session.rename("side", "cheaper")
    side.append(tf.user("b2"))
    assert [branch.name for branch in session.branches()] == ["main", "cheaper"]
    assert session.branches()[1].created_as == "side"
    for name in ("side", "cheaper"):
        assert texts(client.open("s", branch=name)) == ["p1", "b1", "b2"]
        assert len(session.events(branch=name, types="message").items) == 3
    for taken in ("side", "cheaper"):
        with pytest.raises(tf.AlreadyExists):
            session.fork(taken)
    other = session.fork("other")
    for taken in ("side", "cheaper"):
        with pytest.raises(tf.AlreadyExists):
            session.rename("other", taken)
    session.rename("cheaper", "cheapest")
    session.rename("other", "cheaper")
    assert texts(client.open("s", branch="cheaper")) == texts(other)
    session.abandon("cheapest", reason="no good")
    session.abandon("cheapest")
    assert [branch.name for branch in session.branches()] == ["main", "cheaper"]
    assert [branch.name for branch in session.branches(abandoned=True)] == ["main", "cheapest", "cheaper"]
    assert session.info().branch_count == 2
    session.merge("cheapest", into="main")
    assert texts(session) == ["p1", "b1", "b2"]
    session.switch("cheapest")
    assert session.info().branch_count == 3
    with pytest.raises(tf.InvalidInput):
        session.abandon("side")
    session.rename("cheapest", "side")
    assert session.branches()[1].created_as is None


def test_an_abandoned_branch_makes_room_and_needs_it_to_come_back(client: tf.Client, session: tf.Session) -> None:
    with tf.override(branches_max=2):
        session.fork("one")
        session.abandon("one")
        session.fork("two")
        with pytest.raises(tf.LimitExceeded):
            session.switch("one")
        assert session.info().active_branch == "main"


def test_copies_and_bundles_know_all_of_it(client: tf.Client, session: tf.Session, tmp_path: Path) -> None:
    side = session.fork("side")
    side.append([tf.user("b1"), tf.assistant("b2", usage=tf.Usage(output_tokens=3), model="m")])
    side.state["x"] = 1
    session.merge("side", into="main")
    session.rename("side", "aside")
    session.fork("gone")
    session.abandon("gone")
    session.restore(session.checkpoint("mark"))
    client.export("s", tmp_path / "s.tfbundle")
    with tf.connect("memory://") as copied, tf.connect("memory://") as imported:
        tf.copy(client.store, copied.store)
        imported.import_files([tmp_path / "s.tfbundle"])
        for other in (copied.open("s"), imported.open("s")):
            assert other.branches(abandoned=True) == session.branches(abandoned=True)
            assert other.checkpoints() == session.checkpoints()
            assert (other.info().branch_count, other.info().active_branch) == (session.info().branch_count, session.info().active_branch)
            assert texts(other) == texts(session)
            assert other.merge("aside", into="main").merged_seq is None
    client.export("s", tmp_path / "s.json", format="openai", branch="aside")
    assert "b2" in (tmp_path / "s.json").read_text(encoding="utf-8")


def test_the_async_side_merges_alike(store_url: str) -> None:
    async def main() -> None:
        async with tf.connect_async(store_url) as client:
            session = await client.open("s")
            await session.append(tf.user("p1"))
            side = await session.fork("side")
            await side.append(tf.user("b1"))
            merges = await asyncio.gather(*(session.merge(side, into="main") for _ in range(4)))
            assert sum(merged.merged_seq is not None for merged in merges) == 1
            assert [message.text for message in await session.messages()] == ["p1", "b1"]

    asyncio.run(main())


def test_lineage_and_common_ancestor(session: tf.Session) -> None:
    side = session.fork("side")
    side.append(tf.user("b1"))
    at = session.info().last_seq
    side.fork("deep").append(tf.user("c1"))
    session.rename("side", "aside")
    assert [branch.name for branch in session.lineage("deep")] == ["deep", "aside", "main"]
    assert session.common_ancestor("deep", "aside") == ("aside", at)
    assert session.common_ancestor("deep", "main") == ("main", 2)
    session.fork("nothing", at=0)
    assert session.common_ancestor("nothing", "deep").seq == 0


def test_automatic_checkpoints_come_every_so_many_turns(client: tf.Client, session: tf.Session) -> None:
    with tf.override(auto_checkpoint_interval=3, checkpoints_max=2):
        for number in range(2, 12):
            client.open("s").append(tf.user(f"p{number}"))
            session.append(tf.assistant("answer"))
    marks = session.checkpoints()
    assert [(mark.name, mark.kind) for mark in marks] == [("auto-turn-6", "auto"), ("auto-turn-9", "auto")]
    assert texts(session.fork(at="auto-turn-6"))[-1] == "p6"
    assert marks[1].parent == "auto-turn-6"


def test_automatic_checkpoints_of_several_processes_are_made_once(client: tf.Client, session: tf.Session) -> None:
    with tf.override(auto_checkpoint_interval=5):
        settings = contextvars.copy_context()

        def write() -> None:
            for number in range(10):
                client.open("s").append(iter([tf.user(f"{number}"), tf.assistant("answer")]))

        threads = [threading.Thread(target=settings.copy().run, args=(write,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    names = [mark.name for mark in session.checkpoints()]
    assert len(names) == len(set(names))
    assert names[-1] == "auto-turn-40"
    assert set(names) <= {f"auto-turn-{turns}" for turns in range(5, 45, 5)}


def test_resetting_can_be_taken_back(session: tf.Session) -> None:
    session.append(tf.user("p2"))
    session.reset()
    assert texts(session) == []
    mark = session.checkpoints()[-1]
    assert (mark.kind, mark.name.startswith("before-reset-")) == ("safety", True)
    assert texts(session.restore(mark)) == ["p1", "p2"]


def test_erasing_reaches_the_copies(session: tf.Session) -> None:
    side = session.fork("side")
    side.append(tf.user("a secret of somebody"))
    session.merge("side", into="main")
    copy = session.messages()[-1]
    assert len(session.redact(copy.seq)) == 2
    assert b"secret" not in b"".join(event.data_raw for event in session.events(limit=100).items)
    assert session.merge("side", into="main").merged_seq is None


def test_a_detour_over_a_third_branch_brings_nothing_twice(talk: tf.Session) -> None:
    side, third = talk.fork("side"), talk.fork("third")
    side.append(tf.user("b1"))
    talk.merge("side", into="third")
    third.append(tf.user("c1"))
    talk.merge("third", into="main")
    assert texts(talk) == ["p1", "b1", "c1"]
    side.append(tf.user("b2"))
    assert texts(side) == ["p1", "b1", "b2"]
    talk.merge("side", into="main")
    assert texts(talk) == ["p1", "b1", "c1", "b2"]
    talk.merge("main", into="side")
    assert texts(side) == ["p1", "b1", "b2", "c1"]
    assert talk.merge("main", into="side").merged_seq is None


def test_a_branch_from_before_the_merge_can_have_it_again(talk: tf.Session) -> None:
    mark = talk.checkpoint("before")
    talk.fork("side").append(tf.user("b1"))
    talk.merge("side", into="main")
    talk.restore(mark)
    assert texts(talk) == ["p1"]
    talk.merge("side")
    assert texts(talk) == ["p1", "b1"]


def test_state_goes_both_ways(talk: tf.Session) -> None:
    talk.state["x"] = 0
    side = talk.fork("side")
    side.state.update({"x": 1, "new": True})
    talk.merge("side", into="main")
    assert dict(talk.state) == {"x": 1, "new": True}
    talk.state["x"] = 2
    talk.merge("main", into="side")
    assert dict(side.state) == {"x": 2, "new": True}
    del side.state["new"]
    side.state["x"] = 3
    merged = talk.merge("side", into="main")
    assert (dict(talk.state), merged.state, merged.removed) == ({"x": 3}, {"x": 3}, ("new",))
    talk.state["x"] = 4
    side.state["x"] = 5
    with pytest.raises(tf.MergeConflict) as caught:
        talk.merge("side", into="main", state={"y": "ours"})
    assert caught.value.details["conflicts"][0]["base"] == 3, "the base is what the last merge left"
    assert talk.merge("side", into="main", state={"x": "theirs"}).choices == {"x": "theirs"}
    assert talk.state["x"] == 5


def test_a_deleted_key_against_a_changed_one(talk: tf.Session) -> None:
    talk.state["x"] = None
    side = talk.fork("side")
    del talk.state["x"]
    side.state["x"] = 1
    with pytest.raises(tf.MergeConflict) as caught:
        talk.merge("side", into="main")
    assert caught.value.details["conflicts"] == [{"key": "x", "base": None, "ours": None, "theirs": 1, "missing": ["ours"]}]
    assert talk.merge("side", into="main", state="both").state == {"x": 1}


def test_dry_run_writes_nothing(talk: tf.Session) -> None:
    side = talk.fork("side")
    side.append(tf.user("b1"))
    before = talk.info().last_seq
    would = talk.merge("side", into="main", dry_run=True)
    assert (would.merged_seq, len(would.brought), talk.info().last_seq) == (None, 1, before)
    assert would.brought == talk.merge("side", into="main").brought


def test_selective_takes_whole_tool_pairs_and_whole_messages(talk: tf.Session) -> None:
    side = talk.fork("side")
    side.append([tf.user("b1"), tf.tool_call("c1", "look"), tf.tool_result("c1", "found"), tf.assistant("b2")])
    side.append([tf.NewEvent(type="message", data=tf.assistant(text), message_id="m") for text in ("one", "two")])
    side.state["x"] = 1
    page = side.events(branch="side", types="message", limit=100).items
    result = next(event for event in page if event.data["role"] == "tool")
    merged = talk.merge("side", into="main", strategy="selective", events=[result.id])
    assert (texts(talk), len(merged.brought)) == (["p1", "tool_call", "tool_call_response"], 2)
    assert dict(talk.state) == {}
    talk.merge("side", into="main", strategy="selective", events=[page[-1].seq])
    assert texts(talk)[-1] == "onetwo"
    talk.merge("side", into="main")
    assert texts(talk) == ["p1", "tool_call", "tool_call_response", "onetwo", "b1", "b2"], "the rest comes later, once"
    assert talk.state["x"] == 1


def test_a_call_that_waits_for_its_result_comes_with_it(talk: tf.Session) -> None:
    side = talk.fork("side")
    side.append([tf.user("b1"), tf.tool_call("c1", "look"), tf.tool_call("c2", "look"), tf.tool_result("c1", 1)])
    merged = talk.merge("side", into="main")
    assert len(merged.held) == 1
    assert texts(talk) == ["p1", "b1", "tool_call", "tool_call_response"]
    assert talk.merge("side", into="main").merged_seq is None
    talk.append(tf.user("p2"))
    side.append(tf.tool_result("c2", 2))
    talk.merge("side", into="main")
    assert texts(talk)[-3:] == ["p2", "tool_call", "tool_call_response"]
    side.append([tf.tool_call("c3", "look"), tf.user("never mind")])
    assert texts(talk)[-3:] == ["p2", "tool_call", "tool_call_response"]
    assert not talk.merge("side", into="main").held, "a call that was given up comes as it is"
    assert texts(talk)[-2:] == ["tool_call", "never mind"]


def test_a_call_is_not_answered_twice(talk: tf.Session) -> None:
    talk.append(tf.tool_call("c1", "look"))
    side = talk.fork("side")
    side.append([tf.tool_result("c1", "theirs"), tf.assistant("b1")])
    talk.append(tf.tool_result("c1", "ours"))
    merged = talk.merge("side", into="main")
    assert (len(merged.left), texts(talk)) == (1, ["p1", "tool_call", "tool_call_response", "b1"])
    assert talk.merge("side", into="main").merged_seq is None


def test_what_a_branch_took_back_does_not_come(talk: tf.Session) -> None:
    side = talk.fork("side")
    first = side.append([tf.user("b1"), tf.user("b2")]).first_seq
    side.retract(first)
    side.append([tf.user("b3"), tf.NewEvent(type="rollback", data={"turns": 1})])
    talk.merge("side", into="main")
    assert texts(talk) == ["p1", "b2"]


def test_pins_follow_their_messages(talk: tf.Session) -> None:
    side = talk.fork("side")
    seq = side.append(tf.user("b1")).first_seq
    side.pin(seq)
    side.pin(2)
    talk.merge("side", into="main")
    assert talk.pins() == [2, talk.messages()[-1].seq]
    talk.unpin(2)
    assert talk.merge("side", into="main").merged_seq is None
    assert len(talk.pins()) == 1


def test_own_events_come_and_the_sessions_do_not(talk: tf.Session) -> None:
    side = talk.fork("side")
    side.append([tf.NewEvent(type="my.note", data={"a": 1}, meta={"k": "v"}), tf.user("b1")])
    side.update(title="a title")
    talk.merge("side", into="main")
    types = [event.type for event in talk.events(branch="main", limit=100).items]
    assert types == ["session.created", "message", "my.note", "message", "branch.merged"]
    note = talk.events(branch="main", types="my.note").items[0]
    assert (note.data, note.meta["k"], note.meta["merged"]["branch"]) == ({"a": 1}, "v", "side")


class Summary:
    """Brings one message that stands for everything."""

    name = "summary"

    def plan(self, sides: tf.MergeSides) -> tf.MergePlan:
        note = tf.assistant(f"{sides.source.branch} said {len(sides.source.events)} things")
        return tf.MergePlan(extra=[note], covers=sides.source.events, state=tf.merge_state(sides, "theirs"))


class Greedy:
    """Brings what is not there."""

    def plan(self, sides: tf.MergeSides) -> tf.MergePlan:
        return tf.MergePlan(events=sides.target.events)


def test_a_strategy_of_ones_own(talk: tf.Session) -> None:
    side = talk.fork("side")
    side.append([tf.user("b1"), tf.user("b2")])
    merged = talk.merge("side", into="main", strategy=Summary())
    assert texts(talk) == ["p1", "side said 2 things"]
    assert talk.event(merged.merged_seq or 0).data["strategy"] == "summary"
    assert talk.merge("side", into="main").merged_seq is None, "what it covers has come"
    side.append(tf.user("b3"))
    with pytest.raises(tf.InvalidInput):
        talk.merge("side", into="main", strategy=Greedy())


@pytest.mark.parametrize(
    "arguments",
    [
        {"strategy": "rebase"},
        {"strategy": "append", "events": [1]},
        {"state": "mine"},
        {"state": {"x": "mine"}},
        {"strategy": Summary(), "state": "ours"},
        {"into": "side"},
    ],
)
def test_what_cannot_be_meant_is_refused(talk: tf.Session, arguments: dict[str, object]) -> None:
    talk.fork("side").append(tf.user("b1"))
    with pytest.raises(tf.InvalidInput):
        talk.merge("side", **arguments)  # type: ignore[arg-type]


def test_diff_aligns_messages_state_and_usage(talk: tf.Session) -> None:
    talk.state["x"] = 0
    side = talk.fork("side")
    talk.append([tf.user("q"), tf.assistant("long", usage=tf.Usage(output_tokens=9), model="m"), tf.user("thanks")])
    side.append([tf.user("q"), tf.assistant("short", usage=tf.Usage(output_tokens=2), model="m"), tf.user("thanks"), tf.user("bye")])
    side.state["x"] = 1
    talk.state["y"] = 1
    found = talk.diff("main", "side")
    rows = [(row.ours and row.ours.text, row.theirs and row.theirs.text, row.same) for row in found.rows]
    assert rows == [("q", "q", True), ("long", "short", False), ("thanks", "thanks", True), (None, "bye", False)]
    assert [(one["key"], one["base"], one["ours"], one["theirs"], one["missing"]) for one in found.state] == [
        ("x", 0, 0, 1, []),
        ("y", None, 1, None, ["base", "theirs"]),
    ]
    assert [usage.output_tokens for usage in found.usage] == [9, 2]
