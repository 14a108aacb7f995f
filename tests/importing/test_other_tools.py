"""Files of further tools through the importer: grown in portions, and redacted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.importing.sessions import LINE_FOLDERS, check_session, events_of, exported, head_of
from turnfold.client import Client
from turnfold.core.transcript import as_dicts, messages_of
from turnfold.engine.importer import Importer
from turnfold.ports.store import Store
from turnfold.stores.registry import open_store

SECRET = "the secret answer of the tool"


def other_files(shared_dir: Path) -> list[Path]:
    folders = [shared_dir / "data" / "transcripts" / folder for folder in LINE_FOLDERS if folder.startswith("other/")]
    return sorted(path for folder in folders for path in folder.rglob("*.jsonl"))


def shown(store: Store, session_id: str) -> list[dict[str, Any]]:
    return [{**message, "seq": 0} for message in as_dicts(messages_of(events_of(store, session_id)))]


def gemini_lines() -> bytes:
    """A session whose messages are written again with calls, answers and tokens, and that is rewound."""
    result = [{"functionResponse": {"id": "c1", "name": "ls", "response": {"output": SECRET}}}]
    call = {"id": "c1", "name": "ls", "args": {"path": "."}, "status": "success"}
    first = {"id": "m2", "timestamp": "2026-03-01T10:00:02.000Z", "type": "gemini", "content": "Looking into it.", "model": "gemini-3"}
    tokens = {"input": 100, "output": 10, "cached": 40, "thoughts": 7, "tool": 0, "total": 117}
    rows: list[dict[str, Any]] = [
        {"sessionId": "gemini-1", "projectHash": "abc", "startTime": "2026-03-01T10:00:00.000Z", "kind": "main"},
        {"id": "m1", "timestamp": "2026-03-01T10:00:01.000Z", "type": "user", "content": [{"text": "list the files"}]},
        first,
        {**first, "tokens": tokens},
        {**first, "tokens": tokens, "toolCalls": [{**call, "result": None}]},
        {**first, "tokens": tokens, "toolCalls": [{**call, "result": result}]},
        {"id": "m3", "timestamp": "2026-03-01T10:00:03.000Z", "type": "user", "content": "wrong turn"},
        {"$rewindTo": "m3"},
        {"id": "m4", "timestamp": "2026-03-01T10:00:04.000Z", "type": "user", "content": "right turn"},
    ]
    return b"".join(json.dumps(row, separators=(",", ":")).encode() + b"\n" for row in rows)


def test_a_file_that_grew_line_by_line_is_the_session_of_one_that_came_whole(shared_dir: Path, tmp_path: Path) -> None:
    gemini = tmp_path / "session-1.jsonl"
    gemini.write_bytes(gemini_lines())
    for path in [*other_files(shared_dir), gemini]:
        lines = path.read_bytes().splitlines(keepends=True)
        whole, grown = open_store("memory://"), open_store("memory://")
        (one,) = Importer(whole).import_file(path).session_ids
        copy = tmp_path / path.stem / path.name
        copy.parent.mkdir(exist_ok=True)
        step, other = max(1, len(lines) // 9), ""
        for upto in [*range(step, len(lines), step), len(lines)]:
            copy.write_bytes(b"".join(lines[:upto]))
            (other,) = Importer(grown).import_file(copy).session_ids
        assert shown(grown, other) == shown(whole, one), path
        assert exported(grown, other) == path.read_bytes()
        assert head_of(grown, other).info.usage == head_of(whole, one).info.usage
        assert head_of(grown, other).info.turn_count == head_of(whole, one).info.turn_count
        check_session(grown, other)


@pytest.mark.parametrize("role", ["assistant", "tool"])
def test_a_redaction_takes_a_call_its_answer_and_the_lines_that_hold_them(store: Store, tmp_path: Path, role: str) -> None:
    path = tmp_path / "session-1.jsonl"
    path.write_bytes(gemini_lines())
    (session_id,) = Importer(store).import_file(path).session_ids
    with Client(store, close_store=False) as client:
        session = client.open(session_id)
        session.redact(next(message for message in session.messages() if message.role == role).seq)
    left = b"".join(event.data_raw + (event.source or b"") for event in events_of(store, session_id))
    assert SECRET.encode() not in left
    assert b"Looking into it." not in left
    assert b"right turn" in left
    out = exported(store, session_id)
    assert SECRET.encode() not in out
    assert out.count(b"\n") == gemini_lines().count(b"\n") - 4


def test_the_system_prompt_is_the_sessions(shared_dir: Path, store: Store) -> None:
    for path in other_files(shared_dir):
        if path.parent.name in {"grok", "kimi"}:
            (session_id,) = Importer(store).import_file(path).session_ids
            entry = head_of(store, session_id).entry("system_prompt", "")
            assert entry is not None
            assert entry.value is not None
            assert json.loads(entry.value).startswith("You are ")
