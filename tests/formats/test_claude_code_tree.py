"""Branches from parent links: what starts one, what never does, and that the active one is what the tool would resume."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.formats.claude_driver import Imported, import_lines
from tests.formats.claude_lines import SESSION, call, line, prompt, reply, result, sdk_conversation, uid, write


def uuids(imported: Imported, branch: str | None = None) -> list[str]:
    return [event.meta["uuid"] for _, event, _ in imported.view(branch) if event.type == "message" and event.meta]


def load(*lines: dict[str, Any]) -> Imported:
    imported = import_lines(write(lines))
    assert imported.export() == b"".join(write(lines))
    return imported


def test_an_edited_prompt_starts_a_branch_behind_the_group_before_it() -> None:
    imported = load(
        prompt(1, None),
        reply(2, 1),
        line("system", 3, 2, subtype="turn_duration", durationMs=5),
        prompt(4, 3, "first wording"),
        reply(5, 4),
        prompt(6, 3, "second wording"),
        reply(7, 6),
    )
    assert list(imported.branches) == ["b-00000006"]
    assert imported.branches["b-00000006"].fork_seq == 3
    assert imported.active == "b-00000006"
    assert uuids(imported) == [uid(1), uid(2), uid(6), uid(7)]
    assert uuids(imported, "main") == [uid(1), uid(2), uid(4), uid(5)]


def test_going_on_with_the_older_branch_makes_it_active_again() -> None:
    imported = load(prompt(1, None), reply(2, 1), prompt(3, 2), prompt(4, 2), prompt(5, 3))
    assert len(imported.branches) == 1
    assert imported.active == "main"
    assert uuids(imported) == [uid(1), uid(2), uid(3), uid(5)]


@pytest.mark.parametrize("seed", range(20))
def test_parallel_calls_make_no_branches(seed: int) -> None:
    chance = random.Random(seed)
    lines, last, number = [prompt(1, None)], 1, 1
    for step in range(6):
        calls = chance.randint(1, 4)
        pending = []
        for index in range(calls):
            number += 1
            lines.append(reply(number, last, call(f"c{number}"), mid=f"m{step}", out=index + 1))
            last = number
            pending.append(number)
            if chance.random() < 0.4:
                number += 1
                lines.append(line("progress", number, last, data={"type": "hook_progress"}, toolUseID="x"))
        chance.shuffle(pending)
        ends = []
        for of in pending:
            number += 1
            lines.append(result(number, of, f"c{of}"))
            ends.append(number)
        last = chance.choice(ends)
    lines.append(reply(number + 1, last))
    imported = load(*lines)
    assert not imported.branches
    assert imported.events[-1].branch == "main"
    assert imported.usage().output_tokens == sum(len([x for x in lines if x.get("message", {}).get("id") == f"m{s}"]) for s in range(6)) + 5


def test_late_results_stay_with_their_call_and_start_nothing() -> None:
    imported = load(
        prompt(1, None),
        reply(2, 1, call("c2"), mid="m"),
        reply(3, 2, call("c3"), mid="m"),
        result(4, 2, "c2"),
        reply(5, 4),
        result(6, 3, "c3"),
        reply(7, 5),
    )
    assert not imported.branches
    assert len(uuids(imported)) == 7


def test_a_line_of_a_message_that_goes_on_later_belongs_to_it() -> None:
    imported = load(prompt(1, None), reply(2, 1, mid="m"), reply(3, 2, mid="m", out=9))
    first, second = (event for event in imported.events if event.message_id == "m")
    assert (first.message_count, second.message_count) == (1, 0)
    assert (first.block_index, second.block_index) == (0, 1)
    assert second.usage.output_tokens == 4
    assert second.usage.input_tokens == 0
    assert imported.usage().input_tokens == 123


def test_subagents_in_the_file_are_branches_of_their_own_and_never_active() -> None:
    side: dict[str, Any] = {"isSidechain": True}
    imported = load(
        prompt(1, None),
        reply(2, 1, call("t", "Task")),
        prompt(10, None, "look around", **side),
        prompt(20, None, "look elsewhere", **side),
        reply(11, 10, **side),
        reply(21, 20, **side),
        result(3, 2, "t"),
        reply(12, 11, **side),
    )
    assert sorted(imported.branches) == ["sidechain-0000000a", "sidechain-00000014"]
    assert imported.active == "main"
    assert uuids(imported) == [uid(1), uid(2), uid(3)]
    assert uuids(imported, "sidechain-0000000a") == [uid(10), uid(11), uid(12)]
    assert sum(event.turn_count or 0 for event in imported.events) == 1


def test_a_second_root_begins_anew() -> None:
    imported = load(prompt(1, None), reply(2, 1), prompt(3, None, "fresh start"), reply(4, 3))
    assert uuids(imported) == [uid(3), uid(4)]
    assert uuids(imported, "main") == [uid(1), uid(2)]


def test_a_compaction_goes_on_where_it_stands() -> None:
    boundary = line("system", 5, None, subtype="compact_boundary", logicalParentUuid=uid(4), content="Conversation compacted")
    boundary["compactMetadata"] = {
        "trigger": "auto",
        "preTokens": 9_000,
        "preservedMessages": {"anchorUuid": uid(6), "uuids": [uid(3), uid(4)]},
    }
    imported = load(
        prompt(1, None),
        reply(2, 1),
        prompt(3, 2),
        reply(4, 3),
        boundary,
        prompt(6, 5, "This session is being continued", isCompactSummary=True, isVisibleInTranscriptOnly=True),
        prompt(7, 4, "goes on below a kept message"),
        reply(8, 7),
    )
    assert not imported.branches
    seq, event, data = next(row for row in imported.view() if row[1].type == "compaction")
    assert (data["first_seq"], data["last_seq"], data["keeps"], data["trigger"]) == (1, seq - 1, [3, 4], "auto")
    assert event.visibility == "ui"
    summary = imported.events[seq]
    assert (summary.visibility, summary.turn_count) == ("model", 0)
    assert sum(event.turn_count or 0 for event in imported.events) == 3


def test_lines_with_unknown_parents_go_on_where_the_conversation_is() -> None:
    imported = load(prompt(1, None), reply(2, 1), prompt(9, 77), reply(10, 9), reply(77, 2))
    assert not imported.branches
    assert len(uuids(imported)) == 5


def test_cycles_and_self_parents_end() -> None:
    imported = load(prompt(1, 1), reply(2, 3), prompt(3, 2), reply(2, 3), prompt(1, 2))
    assert len(imported.branches) <= 1
    assert len(imported.events) >= 5


def test_a_line_written_twice_counts_once() -> None:
    lines = [prompt(1, None), reply(2, 1), reply(2, 1), prompt(3, 2), prompt(3, 2)]
    imported = load(*lines)
    assert [event.type for event in imported.events if event.source] == ["message", "message", "opaque", "message", "opaque"]
    assert len(imported.problems) == 2
    assert not imported.branches
    assert imported.usage().output_tokens == 5


def test_branch_names_are_unique() -> None:
    lines = [prompt(1, None), reply(2, 1)]
    for index in range(30):
        item = prompt(100 + index, 2, f"wording {index}")
        item["uuid"] = f"aaaaaaaa-{index:04}-4000-8000-000000000000"
        lines.append(item)
    imported = load(*lines)
    assert len(imported.branches) == 29  # the first wording goes on, the others fork
    assert uuids(imported)[-1] == lines[-1]["uuid"]


def test_old_branches_are_found_again_after_thousands_of_lines() -> None:
    lines = [prompt(1, None), *(reply(n, n - 1) if n % 2 == 0 else prompt(n, n - 1) for n in range(2, 1_500))]
    lines += [prompt(5_000, 10, "long ago"), reply(5_001, 5_000), prompt(5_002, 1_499), reply(5_003, 5_001)]
    imported = load(*lines)
    assert list(imported.branches) == ["b-00001388"]
    assert imported.branches["b-00001388"].fork_seq == 10
    assert uuids(imported) == [*(uid(n) for n in range(1, 11)), uid(5_000), uid(5_001), uid(5_003)]
    assert uuids(imported, "main")[-1] == uid(5_002)


@given(st.lists(st.tuples(st.integers(0, 100), st.booleans()), min_size=1, max_size=60))
def test_the_active_branch_of_any_tree_is_the_path_to_its_last_leaf(steps: list[tuple[int, bool]]) -> None:
    lines: list[dict[str, Any]] = []
    for number, (back, asks) in enumerate(steps, start=1):
        distance = 1 if back > 30 else back % 7  # mostly straight on; sometimes back, sometimes a new root
        parent = number - distance if 0 < distance < number else None
        lines.append(prompt(number, parent, f"prompt {number}") if asks else reply(number, parent))
    imported = load(*lines)
    assert uuids(imported) == sdk_conversation(lines)


@pytest.mark.slow
@given(st.data())
def test_any_mess_survives_and_reads_in_portions_as_at_once(data: st.DataObject) -> None:
    lines: list[dict[str, Any]] = []
    for _ in range(data.draw(st.integers(1, 40))):
        number, parent = data.draw(st.integers(1, 25)), data.draw(st.one_of(st.none(), st.integers(1, 30)))
        kind = data.draw(
            st.sampled_from(["prompt", "reply", "result", "progress", "system", "meta", "boundary", "title", "summary", "tag"])
        )
        side = {"isSidechain": True} if data.draw(st.integers(0, 5)) == 0 else {}
        lines.append(_messy(kind, number, parent, side))
    rows = write(lines)
    whole = import_lines(rows)
    assert whole.export() == b"".join(rows)
    portions = Imported(Path("s.jsonl"))
    at = data.draw(st.integers(0, len(rows)))
    portions.feed(rows[:at], finish=False, head=rows)
    portions.feed(rows[at:], head=rows)
    assert portions.events == whole.events
    grown = Imported(Path("s.jsonl"))
    grown.feed(rows[:at], head=rows)
    grown.feed(rows[at:], head=rows)
    assert grown.active == whole.active
    assert uuids(grown) == uuids(whole)
    assert grown.usage() == whole.usage()
    assert not whole.active.startswith("sidechain-")


def _messy(kind: str, number: int, parent: int | None, side: dict[str, Any]) -> dict[str, Any]:
    loose = {
        "title": {"type": "ai-title", "aiTitle": f"title {number}", "sessionId": SESSION},
        "summary": {"type": "summary", "summary": f"summary {number}", "leafUuid": uid(number)},
        "tag": {"type": "tag", "tag": f"tag{number}", "sessionId": SESSION},
    }
    if kind in loose:
        return loose[kind]
    if kind == "reply":
        return reply(number, parent, mid=f"m{number % 5}", out=number, **side)
    if kind == "result":
        return result(number, parent, f"c{number}", **side)
    if kind == "progress":
        return line("progress", number, parent, data={"type": "bash_progress"}, toolUseID="t", **side)
    if kind == "system":
        return line("system", number, parent, subtype="api_error", error={"status": 529}, **side)
    if kind == "boundary":
        kept = {"preservedMessages": {"allUuids": [uid(number), uid(number + 1)]}}
        return line("system", number + 50, None, subtype="compact_boundary", logicalParentUuid=uid(number), compactMetadata=kept, **side)
    return prompt(number, parent, "text", **({"isMeta": True} if kind == "meta" else {}), **side)
