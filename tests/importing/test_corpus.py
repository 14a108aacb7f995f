"""Every file of a line format in the corpus, through every embedded store."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.importing.sessions import LINE_FOLDERS, OpenStore, check_session, content_of, corpus, exported, head_of, key_of
from turnfold.engine.importer import Importer
from turnfold.ports.store import Store


@pytest.mark.slow
def test_every_file_comes_back_byte_for_byte_and_a_second_import_adds_nothing(store: Store, shared_dir: Path) -> None:
    files = corpus(shared_dir)
    assert len(files) >= 40
    folders = [shared_dir / "data" / "transcripts" / tool for tool in LINE_FOLDERS]
    result = Importer(store).import_tree(folders)
    assert sorted(file.path for file in result.files) == sorted(map(str, files))
    for file in result.files:
        assert file.outcome == "imported", file
        assert file.session_id is not None
        assert exported(store, file.session_id) == Path(file.path).read_bytes(), file.path
        check_session(store, file.session_id)
    seqs = store.last_seqs(key_of(session_id) for session_id in result.session_ids)

    again = Importer(store).import_tree(folders)
    assert again.outcomes() == {"unchanged": len(files)}
    assert (again.event_count, again.byte_count) == (0, 0)
    assert store.last_seqs(seqs) == seqs


def test_bad_lines_are_reported_with_file_and_line_and_unknown_types_counted(shared_dir: Path, new_store: OpenStore) -> None:
    (glued,) = [path for path in corpus(shared_dir) if "b00b80af" in path.name]
    store = new_store()
    result = Importer(store).import_file(glued)
    assert [(problem.path, problem.line) for problem in result.problems] == [(str(glued), 300)]
    assert result.problem_count == 1
    assert result.line_count == 409
    (session_id,) = result.session_ids
    assert exported(store, session_id) == glued.read_bytes()


def test_the_same_file_gives_the_same_log_in_every_store(shared_dir: Path, new_store: OpenStore) -> None:
    paths = [path for path in corpus(shared_dir) if path.stat().st_size < 60_000]
    assert len(paths) >= 15
    one, other = new_store(), new_store()
    for path in paths:
        (session_id,) = Importer(one).import_file(path).session_ids[:1]
        Importer(other).import_file(path)
        assert content_of(one, session_id) == content_of(other, session_id)


def test_subagent_files_become_child_sessions(shared_dir: Path, store: Store) -> None:
    main = shared_dir / "data" / "transcripts" / "claude-code" / "spotter" / "258c7280-ae70-4798-800f-63464d01a85d.jsonl"
    result = Importer(store).import_file(main)
    assert len(result.files) == 3
    parent, *children = result.session_ids
    for child in children:
        assert child.startswith(f"{parent}/subagents/agent-")
        link = head_of(store, child).info.parent
        assert link is not None
        assert (link["session_id"], link["relation"]) == (parent, "subagent")


def test_a_session_knows_where_it_comes_from(shared_dir: Path, store: Store) -> None:
    path = next(path for path in corpus(shared_dir) if "0.155.0" in str(path))
    (session_id,) = Importer(store, tags=["old"]).import_file(path).session_ids
    info = head_of(store, session_id).info
    assert info.native == {"format": "codex", "id": session_id, "path": str(path)}
    assert (info.agent, info.tags, info.title) == ("codex", ("old",), "Please change a.py")
    assert info.metadata["cwd"].endswith("/workbench/mock/wd")
    assert info.metadata["cli_version"] == "0.155.0"
    assert info.turn_count == 2
    assert info.usage.input_tokens == 95_600
    assert info.usage.output_tokens == 300
