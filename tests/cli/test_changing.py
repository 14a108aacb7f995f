"""fork, branch, checkpoint, restore, tag, close, delete: each change is there for the next command."""

import pytest

import turnfold as tf
from tests.cli.conftest import Program


@pytest.fixture
def talk(program: Program) -> Program:
    """A session ``talk`` of four messages."""
    with tf.connect(program.store) as client:
        session = client.open("talk", title="A talk")
        for word in ("one", "two", "three", "four"):
            session.append(tf.user(word))
    return program


def words(program: Program, *args: str) -> list[str]:
    return [message["parts"][0]["content"] for message in program.jsonl("show", "talk", *args)]


def test_fork_at_a_place_a_checkpoint_and_the_end(talk: Program) -> None:
    assert talk.json("fork", "talk", "--at", "3", "--name", "early")["fork_seq"] == 3
    assert words(talk, "--branch", "early") == ["one", "two"]
    assert words(talk) == ["one", "two", "three", "four"]
    talk.text("checkpoint", "talk", "here")
    assert talk.text("fork", "talk", "--at", "here", "--name", "late").startswith("branch late of talk: after #")
    assert words(talk, "--branch", "late") == ["one", "two", "three", "four"]
    assert talk.json("fork", "talk", "--name", "end")["parent"] == "main"
    assert talk.run("fork", "talk", "--name", "end", status=6).stderr.startswith("already_exists: ")
    assert talk.run("fork", "talk", "--at", "nowhere", "--name", "x", status=4).stderr.startswith("not_found: ")


def test_branches_are_listed_and_switched(talk: Program) -> None:
    talk.run("fork", "talk", "--at", "2", "--name", "early")
    assert talk.text("branch", "ls", "talk").splitlines() == ["*\tmain\t\t", "\tearly\tmain\t2"]
    assert talk.text("branch", "switch", "talk", "early") == "talk is on branch early\n"
    assert words(talk) == ["one"]
    assert [one["name"] for one in talk.json("branch", "ls", "talk")["branches"] if one["active"]] == ["early"]
    assert talk.json("branch", "switch", "talk", "main") == {"session_id": "talk", "active_branch": "main"}
    assert talk.run("branch", "switch", "talk", "nope", status=4).stderr.startswith("not_found: ")


def test_restore_goes_on_from_a_checkpoint_and_loses_nothing(talk: Program) -> None:
    mark = talk.json("checkpoint", "talk", "here")
    assert (mark["branch"], mark["seq"]) == ("main", 5)
    with tf.connect(talk.store) as client:
        client.open("talk").append(tf.user("five"))
    active = talk.json("restore", "talk", "here")["active_branch"]
    assert active != "main"
    assert words(talk) == ["one", "two", "three", "four"]
    assert words(talk, "--branch", "main")[-1] == "five"
    assert f"on branch {active}" not in talk.text("restore", "talk", "here")
    assert talk.run("restore", "talk", "nope", status=4).stderr.startswith("not_found: ")
    assert talk.run("checkpoint", "talk", "here", status=6).stderr.startswith("already_exists: ")


def test_tags_come_and_go(talk: Program) -> None:
    assert talk.text("tag", "talk", "b", "a").splitlines() == ["a", "b"]
    assert talk.json("tag", "talk", "c", "--remove", "a")["tags"] == ["b", "c"]
    assert talk.json("tag", "talk")["tags"] == ["b", "c"]


def test_a_closed_session_is_read_and_takes_no_more(talk: Program) -> None:
    assert talk.text("close", "talk") == "talk: completed\n"
    assert talk.json("close", "talk")["status"] == "completed"
    assert len(words(talk)) == 4
    assert talk.run("checkpoint", "talk", "late", status=5).stderr.startswith("session_closed: ")
    for reason in ("tired", "delete"):
        assert talk.run("close", "talk", "--reason", reason, status=2).stderr.startswith("invalid_input: ")


def test_a_failure_keeps_its_reason(talk: Program) -> None:
    assert talk.json("close", "talk", "--reason", "failed", "--error", "out of memory")["end_reason"] == "failed"
    assert talk.jsonl("events", "talk", "--type", "session.status_changed")[-1]["data"]["error"] == {"message": "out of memory"}


def test_delete_asks_unless_told(talk: Program) -> None:
    refused = talk.run("delete", "talk", status=2)
    assert "--yes" in refused.stderr
    assert len(words(talk)) == 4
    assert talk.json("delete", "talk", "--yes") == {"deleted": "talk"}
    assert talk.run("show", "talk", status=4).stderr.startswith("session_not_found: ")


def test_another_owners_session_is_not_found(talk: Program) -> None:
    with tf.connect(talk.store, owner="alice") as client:
        client.open("hers").append(tf.user("mine"))
    assert [info["id"] for info in talk.jsonl("ls", "--owner", "alice")] == ["hers"]
    for args in (["show", "hers"], ["delete", "hers", "--yes"], ["tag", "hers", "x"]):
        assert talk.run(*args, "--owner", "bob", status=4).stderr.startswith("session_not_found: ")
    assert talk.json("show", "hers")["session"]["owner"] == "alice"
