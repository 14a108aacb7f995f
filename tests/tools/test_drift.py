"""The drift check finds kinds of lines and fields that are not known, and knows the corpus."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tools import drift
from tools.genuine.install import version_key
from tools.genuine.shapes import kind_of, merge, news, shapes_of


def test_kinds_are_types_with_the_type_inside() -> None:
    lines: list[dict[str, Any]] = [
        {"type": "user"},
        {"type": "system", "subtype": "compact_boundary"},
        {"type": "attachment", "attachment": {"type": "date"}},
        {"type": "progress", "data": {"type": "bash_progress"}},
        {"type": "response_item", "payload": {"type": "message"}},
        {"type": "event_msg", "payload": {"type": "item_completed", "item": {"type": "Plan"}}},
        {"id": "x"},
        {"type": ["odd"]},
        {"type": "system", "subtype": 5},
    ]
    assert [kind_of(line) for line in lines] == [
        "user",
        "system/compact_boundary",
        "attachment/date",
        "progress/bash_progress",
        "response_item/message",
        "event_msg/item_completed/Plan",
        "(bare)",
        "(odd)",
        "system",
    ]


def test_fields_are_named_by_their_paths_without_values_and_without_what_is_data() -> None:
    line = {
        "type": "user",
        "message": {"content": [{"type": "tool_use", "id": "secret", "input": {"password": 1}}]},
        "files": {"/home/user/a.py": {"size": 1}},
    }
    assert shapes_of([json.dumps(line).encode(), b"{broken", b"[]"]) == {
        "user": {
            "type",
            "message",
            "message.content",
            "message.content[tool_use].type",
            "message.content[tool_use].id",
            "message.content[tool_use].input",
            "files",
            "files.*",
            "files.*.size",
        }
    }


def test_news_are_new_kinds_and_new_fields_of_known_kinds() -> None:
    known = {"user": {"type", "uuid"}, "gone": {"type"}}
    found = {"user": {"type", "slug"}, "mode": {"type"}, "bare": set[str]()}
    assert news(known, found) == {"user": {"slug"}, "mode": {"type"}, "bare": set()}
    merge(known, found)
    assert news(known, found) == {}


def test_versions_are_compared_by_number() -> None:
    assert version_key("2.1.100") > version_key("2.1.99")
    assert version_key("0.169.0-alpha.3") == version_key("0.169.0")


@pytest.fixture
def session_file(tmp_path: Path) -> Path:
    lines = [
        {"type": "user", "uuid": "u1", "parentUuid": None, "sessionId": "s", "message": {"role": "user", "content": "hi"}},
        {"type": "brand-new", "sessionId": "s", "idea": 1},
    ]
    path = tmp_path / "s.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def test_a_new_kind_is_reported_with_what_becomes_of_it_and_learned_by_an_update(
    session_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(drift, "KNOWN", tmp_path / "known.json")
    assert drift.main([str(session_file)]) == 0
    said = capsys.readouterr().out
    assert "files of claude-code: 2 lines of 2 kinds; 2 kinds and 0 fields of known kinds are new" in said
    assert "new kind   brand-new → opaque  {idea, sessionId, type}" in said
    assert "without a meaning here: brand-new (1)" in said
    assert drift.main([str(session_file), "--strict"]) == 1
    assert drift.main([str(session_file), "--update"]) == 0
    assert drift.main([str(session_file), "--strict"]) == 0


def test_a_file_that_nobody_knows_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    path.write_text("hello\n", encoding="utf-8")
    found = drift.Found()
    assert found.add(path) is None
    assert len(found.problems) == 1


def test_what_is_known_is_written_as_it_was_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = drift.KNOWN.read_text(encoding="utf-8")
    known = drift.load_known()
    monkeypatch.setattr(drift, "KNOWN", tmp_path / "known.json")
    drift.save_known(known)
    assert drift.KNOWN.read_text(encoding="utf-8") == text
    assert {"claude-code", "codex"} <= known.keys()


@pytest.mark.slow
def test_nothing_in_the_corpus_is_new(shared_dir: Path) -> None:
    folders = [str(shared_dir / "data" / "transcripts" / tool) for tool in ("claude-code", "codex")]
    assert drift.main([*folders, "--strict"]) == 0
