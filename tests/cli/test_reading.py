"""ls, show, tree, diff, events: what is stored, as text and as JSON."""

import json

import pytest

import turnfold as tf
from tests.cli.conftest import Program

NASTY = "\x1b]52;c;cm0=\x07\x1b[31mred\x9b0m \u202eevil [bold]x[/bold]"


@pytest.fixture
def filled(program: Program) -> Program:
    """Two sessions: ``order-4711`` with a tool call, a checkpoint and two branches; ``ordinary`` with nasty text."""
    with tf.connect(program.store) as client:
        session = client.open("order-4711", agent="support", title="Refund", tags=["vip"])
        session.append(tf.user("Refund order 4711, please"))
        session.append(tf.assistant("Which item?", usage=tf.Usage(input_tokens=812, output_tokens=40), model="m-1"))
        mark = session.checkpoint("before-tool")
        session.append([tf.tool_call("c1", "lookup", {"order": 4711}), tf.tool_result("c1", "\n".join(f"line {n}" for n in range(40)))])
        other = session.fork("cheaper", at=mark)
        other.append(tf.assistant("Both items, or one?"))
        client.open("ordinary", agent=NASTY[-10:], title=NASTY).append(tf.user(NASTY))
        client.open("order-4711/subagents/a", agent="support", parent={"session_id": "order-4711", "relation": "subagent"}).append(
            tf.user("look")
        )
    return program


def test_ls_in_a_pipe_is_one_line_per_session_newest_first(filled: Program) -> None:
    rows = [line.split("\t") for line in filled.text("ls").splitlines()]
    assert [row[0] for row in rows] == ["order-4711/subagents/a", "ordinary", "order-4711"]
    assert rows[2][1:6] == ["Refund", "support", "active", "5", "852"]


def test_turnfold_alone_is_ls(filled: Program) -> None:
    assert filled.run().stdout == filled.text("ls")


def test_ls_json_and_jsonl_carry_session_infos(filled: Program) -> None:
    lines = filled.jsonl("ls")
    with tf.connect(filled.store) as client:
        assert lines == [json.loads(json.dumps(info.to_dict())) for info in client.sessions().items]
    assert filled.json("ls") == {"sessions": lines}


def test_ls_filters_and_pages(filled: Program) -> None:
    assert [info["id"] for info in filled.jsonl("ls", "--tag", "vip")] == ["order-4711"]
    assert len(filled.jsonl("ls", "--agent", "support")) == 2
    assert filled.jsonl("ls", "--status", "completed") == []
    assert len(filled.jsonl("ls", "--limit", "2")) == 2
    assert len(filled.jsonl("ls", "--all")) == 3
    assert len(filled.jsonl("ls", "--tenant", "other")) == 0


def test_an_empty_store_says_how_to_fill_it(program: Program) -> None:
    assert program.text("ls") == ""
    assert program.json("ls") == {"sessions": []}


def test_show_prints_messages_calls_and_cut_results(filled: Program) -> None:
    text = filled.text("show", "order-4711")
    assert "Refund order 4711, please" in text
    assert "→ lookup" in text
    assert "order: 4711" in text
    assert "line 11" in text
    assert "line 12" not in text
    assert "… 28 more lines, --full shows them" in text
    assert "line 39" in filled.text("show", "order-4711", "--full")


def test_show_of_a_place_a_branch_and_the_last(filled: Program) -> None:
    now = filled.jsonl("show", "order-4711")
    assert [message["role"] for message in now] == ["user", "assistant", "assistant", "tool"]
    assert [m["role"] for m in filled.jsonl("show", "order-4711", "--at", str(now[1]["seq"]))] == ["user", "assistant"]
    assert filled.jsonl("show", "order-4711", "--branch", "cheaper")[-1]["parts"][0]["content"] == "Both items, or one?"
    assert filled.jsonl("show", "order-4711", "--last", "1") == now[-1:]
    assert filled.jsonl("show", "order-4711", "--last", "1", "--at", str(now[1]["seq"])) == now[1:2]
    whole = filled.json("show", "order-4711")
    assert whole["messages"] == now
    assert whole["session"]["title"] == "Refund"


def test_a_unique_prefix_is_an_id_and_children_do_not_make_it_ambiguous(filled: Program) -> None:
    assert filled.json("show", "order-4")["session"]["id"] == "order-4711"
    for name in ("order-4711/", "order-4711/subagents/a", "order-4/a", "ord/sub/a"):
        assert filled.json("show", name)["session"]["id"] == "order-4711/subagents/a"
    assert filled.run("show", "order-4/b", status=4).stderr.startswith("session_not_found: ")


def test_an_ambiguous_prefix_lists_the_candidates(filled: Program) -> None:
    result = filled.run("show", "ord", status=2)
    assert result.stderr.startswith("invalid_input: 'ord' begins several session ids\nhint: one of: order-4711, ")
    assert "ordinary" in result.stderr


def test_an_unknown_id_is_status_4(filled: Program) -> None:
    result = filled.run("show", "nobody", status=4)
    assert result.stdout == ""
    assert result.stderr.startswith("session_not_found: ")


@pytest.mark.parametrize("args", [["ls"], ["show", "ordinary"], ["events", "ordinary"], ["tree", "ordinary"], ["search", "evil"]])
def test_nothing_that_was_stored_acts_on_the_terminal(filled: Program, args: list[str]) -> None:
    extra = [["--json"]] + ([["--jsonl"]] if args[0] in {"ls", "show", "events", "search"} else [])
    for form in ([], *extra):
        text = filled.run(*args, *form).stdout
        assert not {"\x1b", "\x9b", "\x07", "\u202e"} & set(text)
        assert "[bold]x[/bold]" in text


def test_tree_draws_branches_checkpoints_and_children(filled: Program) -> None:
    lines = filled.text("tree", "order-4711").splitlines()
    assert lines[1] == "  main  (active)"
    assert lines[2].startswith("    ⚑ before-tool  #3")
    assert lines[3].startswith("    cheaper  from #3")
    assert "subagent: (untitled)  order-4711/subagents/a" in lines[4]
    drawn = filled.json("tree", "order-4711")
    assert [branch["name"] for branch in drawn["branches"]] == ["main", "cheaper"]
    assert drawn["checkpoints"] == [{"name": "before-tool", "branch": "main", "seq": 3}]
    assert [child["id"] for child in drawn["children"]] == ["order-4711/subagents/a"]


def test_diff_says_where_branches_part(filled: Program) -> None:
    found = filled.json("diff", "order-4711", "main", "cheaper")
    assert found["base_seq"] == 3
    assert [message["role"] for message in found["branches"]["main"]] == ["assistant", "tool"]
    assert [message["role"] for message in found["branches"]["cheaper"]] == ["assistant"]
    text = filled.text("diff", "order-4711", "main", "cheaper")
    assert text.startswith("the same up to #3\n")
    assert "only in cheaper: 1 message" in text
    assert filled.run("diff", "order-4711", "main", "nowhere", status=4).stderr.startswith("not_found: ")


def test_events_after_a_place_by_type_and_limit(filled: Program) -> None:
    every = filled.jsonl("events", "order-4711")
    assert [event["seq"] for event in every] == list(range(1, len(every) + 1))
    assert filled.jsonl("events", "order-4711", "--after", "3") == every[3:]
    assert filled.jsonl("events", "order-4711", "--limit", "2") == every[:2]
    assert {event["type"] for event in filled.jsonl("events", "order-4711", "--type", "checkpoint")} == {"checkpoint"}
    assert filled.json("events", "order-4711")["events"] == every
    assert "cheaper" not in {event["branch"] for event in filled.jsonl("events", "order-4711", "--branch", "main")}
    rows = filled.text("events", "order-4711").splitlines()
    assert len(rows) == len(every)
    assert rows[1].split("\t")[3:] == ["message", "user: Refund order 4711, please"]


def test_follow_gives_what_is_there_after_a_place_and_ends_when_nothing_comes(filled: Program) -> None:
    every = filled.jsonl("events", "order-4711")
    assert filled.jsonl("follow", "order-4711", "--after", "0", "--wait", "0") == every
    assert filled.jsonl("follow", "order-4711", "--wait", "0") == []
