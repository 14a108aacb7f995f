"""Files that grow, are torn, shortened, replaced, moved and copied."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from tests.importing.sessions import (
    OpenStore,
    check_session,
    codex_file,
    codex_line,
    codex_session,
    corpus,
    events_of,
    exported,
    head_of,
    key_of,
)
from turnfold.client import Client
from turnfold.core.fold import change_of
from turnfold.core.transcript import messages_of
from turnfold.engine.importer import Importer, ImportResult
from turnfold.engine.importing import batch
from turnfold.engine.prepare import prepare
from turnfold.limits import LINE_PIECE_BYTES
from turnfold.model.commit import Commit
from turnfold.model.message import user
from turnfold.ports.store import Store


def texts_of(store: Store, session_id: str) -> list[str]:
    """The messages of the active branch."""
    branch = head_of(store, session_id).info.active_branch
    shown = [event for event in events_of(store, session_id) if event.branch == branch]
    return [message.text for message in messages_of(shown)]


def append(store: Store, text: str) -> None:
    """Add a message to ``s1`` as a client does."""
    events = (prepare(user(text), None, []),)
    store.commit(Commit(key=key_of("s1"), events=events, change=change_of(events)))


def without_cursors(store: Store, session_id: str) -> list[tuple[str, Any]]:
    """Events without the importer's own, payloads without the seqs that those move."""
    out = []
    for event in events_of(store, session_id):
        if event.type not in {"import.cursor", "title"}:
            data = event.data
            for name in ("first_seq", "last_seq", "keeps"):
                data.pop(name, None)
            out.append((event.type, data))
    return out


@pytest.mark.parametrize("part", ["0.155.0", "0.36.0", "0.8.0"])
def test_growth_imports_only_the_new_bytes_and_ends_as_at_once(part: str, new_store: OpenStore, shared_dir: Path, tmp_path: Path) -> None:
    data = codex_file(shared_dir, part).read_bytes()
    ends = [index + 1 for index, byte in enumerate(data) if byte == ord("\n")]
    path = tmp_path / "rollout.jsonl"
    grown, whole = new_store(), new_store()
    result, before = ImportResult(), 0
    for end in [*random.Random(part).sample(ends[1:-1], 4), len(data)]:
        if end <= before:
            continue
        path.write_bytes(data[:end])
        result = Importer(grown).import_file(path)
        assert result.byte_count == end - before
        before = end
    (session_id,) = result.session_ids
    assert exported(grown, session_id) == data
    Importer(whole).import_file(path)
    assert without_cursors(grown, session_id) == without_cursors(whole, session_id)
    one, other = head_of(grown, session_id).info, head_of(whole, session_id).info
    assert (one.message_count, one.turn_count, one.usage, one.title) == (other.message_count, other.turn_count, other.usage, other.title)
    check_session(grown, session_id)


def test_a_torn_line_is_exported_as_it_is_and_read_again_when_it_goes_on(store: Store, tmp_path: Path) -> None:
    data = codex_session("s1", ["one", "two"])
    path = tmp_path / "rollout.jsonl"
    result = ImportResult()
    for end in (len(data) - 150, len(data) - 60, len(data) - 1, len(data)):
        path.write_bytes(data[:end])
        result = Importer(store).import_file(path)
        assert exported(store, "s1") == data[:end]
        check_session(store, "s1")
        if data[:end].endswith(b"}"):  # complete but for its newline
            assert texts_of(store, "s1") == ["one (user)", "one (assistant)", "two (user)", "two (assistant)"]
    assert result.files[0].line_count == 0
    assert texts_of(store, "s1") == ["one (user)", "one (assistant)", "two (user)", "two (assistant)"]
    assert head_of(store, "s1").info.message_count == 4
    types = [event.type for event in events_of(store, "s1")]
    assert types.count("retract") == 2


def test_a_torn_line_is_a_problem_only_while_it_is_torn(store: Store, tmp_path: Path) -> None:
    data = codex_session("s1", ["one"])
    path = tmp_path / "rollout.jsonl"
    path.write_bytes(data[:-20])
    (problem,) = Importer(store).import_file(path).problems
    assert (problem.path, problem.line) == (str(path), 3)
    assert "cut off" in problem.text
    path.write_bytes(data)
    assert Importer(store).import_file(path).problem_count == 0


def test_a_complete_last_line_that_turns_out_glued_is_read_again(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "rollout.jsonl"
    data = codex_session("s1", ["one"])
    path.write_bytes(data[:-1])
    Importer(store).import_file(path)
    glued = data[:-1] + b'{"garbage"\n' + codex_session("x", ["two"]).split(b"\n", 1)[1]
    path.write_bytes(glued)
    result = Importer(store).import_file(path)
    assert exported(store, "s1") == glued
    assert [problem.line for problem in result.problems] == [3]
    assert texts_of(store, "s1") == ["one (user)", "one (assistant)", "two (user)", "two (assistant)"]
    assert head_of(store, "s1").info.message_count == 4
    check_session(store, "s1")


@pytest.mark.parametrize("change", ["shortened", "replaced", "rewritten in place"])
def test_other_content_is_noticed_reported_and_imported_anew(change: str, store: Store, tmp_path: Path) -> None:
    path = tmp_path / "rollout.jsonl"
    path.write_bytes(codex_session("s1", ["one", "two", "three"]))
    Importer(store).import_file(path)
    first = head_of(store, "s1").info
    new = codex_session("s1", ["one"] if change == "shortened" else ["uno", "due", "three"])
    if change == "replaced":
        other = tmp_path / "other"
        other.write_bytes(new)
        other.replace(path)
    else:
        path.write_bytes(new)
    result = Importer(store).import_file(path)
    (file,) = result.files
    assert file.outcome == "replaced"
    assert file.reason is not None
    assert "the file was" in file.reason
    assert exported(store, "s1") == new
    expected = ["one (user)", "one (assistant)"] if change == "shortened" else None
    shown = texts_of(store, "s1")
    assert shown == (expected or ["uno (user)", "uno (assistant)", "due (user)", "due (assistant)", "three (user)", "three (assistant)"])
    info = head_of(store, "s1").info
    assert info.message_count == len(shown)
    assert info.active_branch == "import-2"
    assert info.last_seq > first.last_seq  # nothing was lost: the first content is in the log
    check_session(store, "s1")
    assert Importer(store).import_file(path).outcomes() == {"unchanged": 1}

    path.write_bytes(
        new + codex_line("response_item", {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "more"}]})
    )
    assert Importer(store).import_file(path).outcomes() == {"updated": 1}
    assert texts_of(store, "s1")[-1] == "more"
    path.write_bytes(codex_session("s1", ["third time"]))
    assert Importer(store).import_file(path).outcomes() == {"replaced": 1}
    assert head_of(store, "s1").info.active_branch == "import-3"
    assert texts_of(store, "s1") == ["third time (user)", "third time (assistant)"]
    check_session(store, "s1")


def test_a_change_in_the_middle_of_a_touched_file_is_noticed(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "rollout.jsonl"
    data = codex_session("s1", [f"text {number:04d}" for number in range(200)])
    path.write_bytes(data)
    Importer(store).import_file(path)
    os.utime(path, (1, 1))
    assert Importer(store).import_file(path).outcomes() == {"unchanged": 1}
    path.write_bytes(data.replace(b"text 0100", b"TEXT 0100"))
    os.utime(path, (2, 2))
    assert Importer(store).import_file(path).outcomes() == {"replaced": 1}
    assert b"TEXT 0100" in exported(store, "s1")


def test_a_branching_session_can_be_replaced(store: Store, shared_dir: Path, tmp_path: Path) -> None:
    sources = [path for path in corpus(shared_dir) if "viewer-5c0375b4" in path.name]
    data = sources[0].read_bytes()
    path = tmp_path / sources[0].name
    path.write_bytes(data)
    (session_id,) = Importer(store).import_file(path).session_ids
    before = head_of(store, session_id).info
    assert before.branch_count > 1
    lines = data.splitlines(keepends=True)
    changed = b"".join([lines[0].replace(b'"userType":"external"', b'"userType":"internal"'), *lines[1:]])
    assert changed != data
    path.write_bytes(changed)
    assert Importer(store).import_file(path).outcomes() == {"replaced": 1}
    assert exported(store, session_id) == changed
    after = head_of(store, session_id).info
    assert (after.message_count, after.usage) == (before.message_count, before.usage)
    assert after.branch_count == 2 * before.branch_count
    check_session(store, session_id)


def test_what_was_redacted_does_not_come_back(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "rollout.jsonl"
    data = codex_session("s1", ["one", "secret", "three"])
    path.write_bytes(data)
    Importer(store).import_file(path)
    (seq,) = [event.seq for event in events_of(store, "s1") if b"secret (user)" in event.data_raw]
    with Client(store, close_store=False) as client:
        client.open("s1").redact(seq, reason="pii")
        assert b"secret (user)" not in exported(store, "s1")
        path.write_bytes(data + codex_line("event_msg", {"type": "context_compacted"}))
        assert Importer(store).import_file(path).outcomes() == {"updated": 1}
        assert b"secret (user)" not in exported(store, "s1")
        path.write_bytes(data.replace(b"one", b"eins"))
        assert Importer(store).import_file(path).outcomes() == {"replaced": 1}
        assert b"secret (user)" not in exported(store, "s1")
        assert b"eins (user)" in exported(store, "s1")


def test_events_added_by_others_stay_and_do_not_stop_the_growth(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "rollout.jsonl"
    data = codex_session("s1", ["one", "two"])
    cut = data.index(b"two")
    cut = data.rindex(b"\n", 0, cut) + 1
    path.write_bytes(data[:cut])
    Importer(store).import_file(path)
    append(store, "from us")
    path.write_bytes(data)
    Importer(store).import_file(path)
    assert exported(store, "s1") == data
    assert texts_of(store, "s1") == ["one (user)", "one (assistant)", "from us", "two (user)", "two (assistant)"]
    path.write_bytes(codex_session("s1", ["else"]))
    Importer(store).import_file(path)
    assert "from us" in [m.text for m in messages_of(e for e in events_of(store, "s1") if e.branch == "main")]


def test_a_writer_in_between_makes_the_import_begin_again_at_its_cursor(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "IMPORT_BATCH_EVENTS", 10)
    path = tmp_path / "rollout.jsonl"
    data = codex_session("s1", [f"text {number}" for number in range(40)])
    path.write_bytes(data)
    written = 0

    def interfere(_progress: object) -> None:
        nonlocal written
        written += 1
        append(store, f"other {written}")

    result = Importer(store).import_file(path, progress=interfere)
    assert exported(store, "s1") == data
    assert written >= 8
    assert (result.line_count, result.byte_count) == (81, len(data))
    assert head_of(store, "s1").info.message_count == 80 + written
    check_session(store, "s1")


def test_moved_files_go_on_and_copies_do_not_double(store: Store, tmp_path: Path) -> None:
    data = codex_session("s1", ["one", "two"])
    path, moved, copy, other = (tmp_path / name for name in ("a.jsonl", "b.jsonl", "c.jsonl", "d.jsonl"))
    path.write_bytes(data)
    Importer(store).import_file(path)
    path.rename(moved)
    assert Importer(store).import_file(moved).outcomes() == {"unchanged": 1}
    moved.write_bytes(data + codex_line("event_msg", {"type": "context_compacted"}))
    assert Importer(store).import_file(moved).outcomes() == {"updated": 1}
    copy.write_bytes(data)
    older = Importer(store).import_file(copy)
    assert older.outcomes() == {"unchanged": 1}
    assert older.session_ids == ["s1"]

    other.write_bytes(codex_session("s1", ["different"]))
    (second,) = Importer(store).import_file(other).session_ids
    assert second.startswith("s1~")
    assert exported(store, second) == other.read_bytes()
    assert exported(store, "s1") == moved.read_bytes()
    assert Importer(store).import_tree([tmp_path]).outcomes() == {"unchanged": 3}


def test_ids_of_two_formats_do_not_collide(store: Store, tmp_path: Path) -> None:
    codex, claude = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    codex.write_bytes(codex_session("4b2f3c1e-0000-4000-8000-000000000000", ["one"]))
    line = {
        "parentUuid": None,
        "isSidechain": False,
        "type": "user",
        "message": {"role": "user", "content": "hi"},
        "uuid": "u1",
        "timestamp": "2026-03-01T10:00:00.000Z",
        "sessionId": "4b2f3c1e-0000-4000-8000-000000000000",
        "version": "2.1.0",
    }
    claude.write_bytes(json.dumps(line, separators=(",", ":")).encode() + b"\n")
    result = Importer(store).import_tree([codex, claude])
    assert result.session_ids == ["4b2f3c1e-0000-4000-8000-000000000000", "claude-code-4b2f3c1e-0000-4000-8000-000000000000"]
    for file in result.files:
        assert exported(store, str(file.session_id)) == Path(file.path).read_bytes()
    assert Importer(store).import_tree([claude, codex]).outcomes() == {"unchanged": 2}


def test_over_long_lines_are_kept_in_pieces(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from turnfold.engine.importing import source

    monkeypatch.setattr(source.SourceFile.__init__, "__defaults__", (1000, 300))
    path = tmp_path / "rollout.jsonl"
    long = codex_line("response_item", {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x\x01" * 1200}]})
    data = codex_session("s1", ["one"]) + long + b"\x01\x02\xff" * 700 + b"\n" + codex_session("x", ["two"]).split(b"\n", 1)[1] + long[:-1]
    path.write_bytes(data)
    result = Importer(store).import_file(path)
    assert exported(store, "s1") == data
    assert [problem.line for problem in result.problems] == [4, 5, 8]
    assert "LINE_BYTES_MAX" in result.problems[0].text
    assert texts_of(store, "s1") == ["one (user)", "one (assistant)", "two (user)", "two (assistant)"]
    assert result.line_count == 8
    check_session(store, "s1")
    assert LINE_PIECE_BYTES > 0


def test_another_owners_session_is_neither_read_nor_written(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "rollout.jsonl"
    path.write_bytes(codex_session("s1", ["one"]))
    assert Importer(store, owner="alice").import_file(path).session_ids == ["s1"]
    (other,) = Importer(store, owner="bob").import_file(path).session_ids
    assert other != "s1"
    assert head_of(store, other).info.owner == "bob"
    assert head_of(store, "s1").info.owner == "alice"
    assert Importer(store, owner="bob").import_tree([path]).outcomes() == {"unchanged": 1}


def test_skipped_files_have_a_reason(store: Store, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "x.jsonl").write_text('{"a": 1}\n')
    named = [tmp_path / "empty.jsonl", tmp_path / "notes.txt", tmp_path / "x.jsonl", tmp_path / "missing.jsonl"]
    result = Importer(store).import_tree(named)
    reasons = [file.reason or "" for file in result.skipped]
    assert reasons[:3] == ["the file is empty", "no known format", "no known format"]
    assert reasons[3].startswith("cannot be read: No such file")
    assert Importer(store).import_tree([tmp_path]).files == []


def test_a_session_that_takes_no_events_is_skipped_with_its_reason(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "rollout.jsonl"
    path.write_bytes(codex_session("s1", ["one"]))
    Importer(store).import_file(path)
    with Client(store, close_store=False) as client:
        client.open("s1").archive()
    path.write_bytes(codex_session("s1", ["one", "two"]))
    (file,) = Importer(store).import_file(path).files
    assert file.outcome == "skipped"
    assert file.reason is not None
    assert "session_closed" in file.reason
