"""Export: native trees, JSON lines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.importing.sessions import OpenStore, codex_session, events_of, key_of
from turnfold.client import Client
from turnfold.engine.exporter import Exporter, Loss, read_jsonl, write_file
from turnfold.engine.importer import Importer
from turnfold.errors import AlreadyExists, FormatError, NotSupported, SessionNotFound
from turnfold.model.event import from_us
from turnfold.model.message import user
from turnfold.ports.store import Store


def test_a_session_with_its_subagents_is_written_as_the_tool_names_it(store: Store, shared_dir: Path, tmp_path: Path) -> None:
    folder = shared_dir / "data" / "transcripts" / "claude-code" / "generated" / "2.1.200"
    source = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    assert len(source) == 3  # the session, its subagent, and that one's meta.json
    main = next(path for path in source if len(path.parts) == 1)
    result = Importer(store).import_file(folder / main)
    written = Exporter(store).native_tree(result.session_ids[0], tmp_path / "out")
    assert sorted(Path(file.path).relative_to(tmp_path / "out") for file in written) == source
    for path in source:
        assert (tmp_path / "out" / path).read_bytes() == (folder / path).read_bytes(), path

    with pytest.raises(AlreadyExists, match="exists already"):
        Exporter(store).native_tree(result.session_ids[0], tmp_path / "out")
    Exporter(store).native_tree(result.session_ids[0], tmp_path / "out", overwrite=True)


def test_codex_files_keep_their_names(store: Store, tmp_path: Path) -> None:
    session_id = "01a1f832-b38b-7ca1-b4eb-c458423327bf"
    path = tmp_path / f"rollout-2026-11-20T09-03-54-{session_id}.jsonl"
    path.write_bytes(codex_session(session_id, ["one"]))
    Importer(store).import_file(path)
    (written,) = Exporter(store).native_tree(session_id, tmp_path / "out", "codex")
    assert Path(written.path).name == path.name
    assert written.byte_count == path.stat().st_size


def test_only_the_format_of_origin_is_written(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "rollout.jsonl"
    path.write_bytes(codex_session("s1", ["one"]))
    Importer(store).import_file(path)
    with pytest.raises(NotSupported, match="imported from codex"):
        Exporter(store).native("s1", "claude-code")
    with pytest.raises(NotSupported, match="no format 'nonsense' to write"):
        Exporter(store).native("s1", "nonsense")
    with pytest.raises(SessionNotFound):
        Exporter(store, owner="bob").native("s1")
    with Client(store, close_store=False) as client:
        client.open("own").append(user("hello"))
    with pytest.raises(NotSupported, match="not imported from a tool's file"):
        Exporter(store).native("own", "codex")


def test_what_the_native_export_leaves_out_is_said(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "rollout.jsonl"
    path.write_bytes(codex_session("s1", ["one", "two"]))
    Importer(store).import_file(path)
    assert not Exporter(store).loss("s1")
    with Client(store, close_store=False) as client:
        session = client.open("s1")
        session.append(user("from us"))
        session.redact(4)
    assert Exporter(store).loss("s1") == Loss(redacted_count=1, added_count=1)


def test_json_lines_are_readable_and_read_back(new_store: OpenStore, tmp_path: Path) -> None:
    path = tmp_path / "rollout.jsonl"
    path.write_bytes(codex_session("s1", ["one", "two"]))
    one, other = new_store(), new_store()
    Importer(one).import_file(path)
    lines = list(Exporter(one).jsonl("s1"))
    events = events_of(one, "s1")
    assert [json.loads(line)["seq"] for line in lines] == [event.seq for event in events]
    assert json.loads(lines[2])["data"]["parts"][0]["content"] == "one (user)"

    read = list(read_jsonl(lines))
    assert [new.id for new in read] == [event.id for event in events]
    assert [from_us(int(str(new.at))) for new in read] == [event.at for event in events]
    with Client(other, close_store=False) as client:
        session = client.open("copy")
        session.append([new for new in read if new.type == "message"])
        assert [message.text for message in session.messages()] == ["one (user)", "one (assistant)", "two (user)", "two (assistant)"]
    head = other.get_session(key_of("copy"))
    assert (head.info.message_count, head.info.turn_count) == (4, 2)


def test_bad_json_lines_are_named() -> None:
    with pytest.raises(FormatError, match=r"events\.jsonl, line 2"):
        list(read_jsonl([b'{"type": "x", "data": 1}', b'{"type": 3}'], "events.jsonl"))


def test_an_export_that_fails_leaves_no_half_file(tmp_path: Path) -> None:
    def chunks() -> list[bytes]:
        raise OSError("disk full")

    path = tmp_path / "out.jsonl"
    with pytest.raises(OSError, match="disk full"):
        write_file(path, (chunk for _ in [0] for chunk in chunks()))
    assert list(tmp_path.iterdir()) == []
