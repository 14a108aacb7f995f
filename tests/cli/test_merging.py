"""merge, branch rename and abandon, checkpoint --list: what the Python side decides, typed."""

import pytest

import turnfold as tf
from tests.cli.conftest import Program


@pytest.fixture
def talk(program: Program) -> Program:
    """A session ``talk`` with two attempts that changed the same key."""
    with tf.connect(program.store) as client:
        session = client.open("talk")
        session.append(tf.user("one"))
        side = session.fork("side")
        side.append([tf.user("two"), tf.assistant("three", usage=tf.Usage(output_tokens=4))])
        side.state.update({"x": 2, "y": 2})
        session.state["x"] = 1
    return program


def words(program: Program, *args: str) -> list[str]:
    return [message["parts"][0]["content"] for message in program.jsonl("show", "talk", *args)]


def test_merge_asks_about_conflicts_and_brings_everything_once(talk: Program) -> None:
    refused = talk.run("merge", "talk", "side", "--into", "main", status=6).stderr
    assert refused.splitlines()[0] == "x: base (none), ours 1, theirs 2"
    assert refused.splitlines()[1].startswith("merge_conflict: both 'main' and 'side' changed 'x'")
    would = talk.json("merge", "talk", "side", "--state", "theirs", "--dry-run")
    assert (would["dry_run"], would["merged_seq"], len(would["brought"])) == (True, None, 2)
    assert words(talk) == ["one"]
    text = talk.text("merge", "talk", "side", "--state", "x=both")
    assert text.splitlines() == [
        "2 events came from side to main; they part after #2",
        "  state x@side set",
        "  state y set",
        "  state x kept (both)",
    ]
    assert words(talk) == ["one", "two", "three"]
    assert talk.text("merge", "talk", "side") == "main has everything of side already\n"


def test_merge_by_choice_of_events(talk: Program) -> None:
    seq = talk.jsonl("show", "talk", "--branch", "side")[-1]["seq"]
    done = talk.json("merge", "talk", "side", "--strategy", "selective", "--event", str(seq))
    assert (done["brought"], done["state"]) == ([seq], {})
    assert words(talk) == ["one", "three"]
    assert talk.run("merge", "talk", "side", "--event", "3", status=2).stderr.startswith("invalid_input: ")
    talk.run("merge", "talk", "side", "--state", "x=ours", "--state", "theirs", status=2)


def test_branches_are_renamed_and_put_away(talk: Program) -> None:
    assert talk.text("branch", "rename", "talk", "side", "cheap") == "branch side of talk is called cheap\n"
    assert talk.text("branch", "ls", "talk").splitlines() == ["*\tmain\t\t", "\tcheap\tmain\t2"]
    assert words(talk, "--branch", "cheap") == words(talk, "--branch", "side") == ["one", "two", "three"]
    talk.text("branch", "abandon", "talk", "cheap", "--reason", "too slow")
    assert [one["name"] for one in talk.json("branch", "ls", "talk")["branches"]] == ["main"]
    assert talk.text("branch", "ls", "talk", "--all").splitlines() == ["*\tmain\t\t", "x\tcheap\tmain\t2"]
    assert "cheap  from #2  (abandoned)" in talk.text("tree", "talk")
    talk.run("branch", "switch", "talk", "cheap")
    assert [one["created_as"] for one in talk.json("branch", "ls", "talk")["branches"] if one["active"]] == ["side"]
    assert talk.run("branch", "abandon", "talk", "side", status=2).stderr.startswith("invalid_input: ")


def test_checkpoints_are_listed_and_taken_away(talk: Program) -> None:
    talk.run("checkpoint", "talk", "here")
    made = talk.json("checkpoint", "talk")
    assert (made["kind"], made["parent"]) == ("auto", "here")
    assert [mark["name"] for mark in talk.json("checkpoint", "talk", "--list")["checkpoints"]] == ["here", made["name"]]
    talk.text("checkpoint", "talk", "here", "--delete")
    assert talk.text("checkpoint", "talk", "--list").splitlines() == [f"{made['name']}\tmain\t{made['seq']}\tauto"]
    talk.run("checkpoint", "talk", "--delete", status=2)
    talk.run("restore", "talk", "2")
    assert words(talk) == ["one"]


def test_diff_shows_state_and_usage(talk: Program) -> None:
    found = talk.json("diff", "talk", "main", "side")
    assert [one["key"] for one in found["state"]] == ["x", "y"]
    assert found["usage"]["side"]["output_tokens"] == 4
    assert [row["same"] for row in found["rows"]] == [False, False]
    text = talk.text("diff", "talk", "main", "side")
    assert "  x: main 1, side 2" in text
    assert "  y: main (none), side 2" in text
