"""search, usage, stats: questions across sessions."""

from datetime import UTC, datetime

import pytest

import turnfold as tf
from tests.cli.conftest import Program
from turnfold.cli.query import moment_of
from turnfold.errors import InvalidInput

NOW_US = 1_772_452_800_000_000


@pytest.fixture
def used(program: Program) -> Program:
    """Three sessions of two agents and two models."""
    with tf.connect(program.store) as client:
        for number, (agent, model) in enumerate([("support", "m-1"), ("support", "m-2"), ("coder", "m-1")]):
            session = client.open(f"s{number}", agent=agent)
            session.append(tf.user(f"where is order {number}?"))
            session.append(
                tf.assistant("On its way.", usage=tf.Usage(input_tokens=100, output_tokens=10, cost_microusd=500_000), model=model)
            )
    return program


def test_search_finds_all_words_in_all_sessions(used: Program) -> None:
    hits = used.jsonl("search", "order", "where")
    assert sorted((hit["session_id"], hit["role"]) for hit in hits) == [("s0", "user"), ("s1", "user"), ("s2", "user")]
    assert used.json("search", "order 2")["hits"][0]["session_id"] == "s2"
    assert [hit["session_id"] for hit in used.jsonl("search", "way", "--session", "s1")] == ["s1"]
    assert [hit["session_id"] for hit in used.jsonl("search", "way", "--agent", "coder")] == ["s2"]
    assert len(used.jsonl("search", "way", "--limit", "1")) == 1
    assert used.text("search", "order", "2") == f"s2\t{used.jsonl('search', 'order 2')[0]['seq']}\tuser\twhere is order 2?\n"


def test_nothing_found_is_said_on_stderr(used: Program) -> None:
    result = used.run("search", "unicorn")
    assert (result.stdout, result.stderr) == ("", "nothing found\n")
    assert used.json("search", "unicorn")["hits"] == []


def test_usage_by_model_agent_and_day(used: Program) -> None:
    by_model = used.json("usage")
    assert {row["name"]: (row["session_count"], row["usage"]["total_tokens"]) for row in by_model["rows"]} == {
        "m-1": (2, 220),
        "m-2": (1, 110),
    }
    assert by_model["total"]["cost_microusd"] == 1_500_000
    assert {row["name"] for row in used.json("usage", "--by", "agent")["rows"]} == {"support", "coder"}
    assert [row["name"] for row in used.json("usage", "--by", "day")["rows"]] == [datetime.now(UTC).date().isoformat()]
    assert used.json("usage", "--agent", "coder")["total"]["total_tokens"] == 110
    assert used.json("usage", "--since", "1d")["total"]["total_tokens"] == 330
    assert used.json("usage", "--since", "2999-01-01")["rows"] == []
    assert min(used.text("usage", "--by", "agent").splitlines()) == "coder\t1\t100\t0\t10\t110\t0.5"
    assert used.run("usage", "--since", "yesterdayish", status=2).stderr.startswith("invalid_input: --since 'yesterdayish'")


def test_stats_count(used: Program) -> None:
    found = used.json("stats")
    assert (found["sessions"], found["by_agent"], found["messages"], found["events"]) == (3, {"support": 2, "coder": 1}, 6, 9)
    assert "support 2, coder 1" in used.text("stats")
    assert "$1.50" in used.text("stats")


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("7d", datetime(2026, 2, 23, 12, tzinfo=UTC)),
        ("90m", datetime(2026, 3, 2, 10, 30, tzinfo=UTC)),
        ("2w", datetime(2026, 2, 16, 12, tzinfo=UTC)),
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-01T12:00:00+02:00", datetime(2026, 3, 1, 10, tzinfo=UTC)),
    ],
)
def test_times_as_people_write_them(text: str, at: datetime) -> None:
    assert moment_of(text, NOW_US) == at


@pytest.mark.parametrize("text", ["", "d", "-1d", "7y", "soon", "99999999999d"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        moment_of(text, NOW_US)
