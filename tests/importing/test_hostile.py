"""Files that are damaged or made to do harm: every byte comes back, and nothing else happens."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from tests.importing.sessions import check_session, codex_line, codex_session, corpus, exported, opener
from turnfold.engine.exporter import Exporter
from turnfold.engine.importer import Importer
from turnfold.errors import InvalidInput
from turnfold.formats.registry import detect

JUNK = (b"\n", b"\n\n \n", b"\r\n", b"\\ud800", b"\x00", b"\xff\xfe", b"9" * 400, b"[" * 3000, b"\x01@" + b"0" * 64 + b"\x02", b'"', b"}{")


def damage(data: bytes, chance: random.Random) -> bytes:
    """Change, lose, double and add bytes at random places after the first line."""
    out = bytearray(data)
    for _ in range(40):
        place = chance.randrange(data.index(b"\n"), len(out))
        how = chance.randrange(4)
        if how == 0:
            out[place] = chance.randrange(256)
        elif how == 1:
            del out[place : place + chance.randrange(60)]
        elif how == 2:
            out[place:place] = out[place : place + chance.randrange(500)]
        else:
            out[place:place] = chance.choice(JUNK)
    return bytes(out)


@pytest.mark.parametrize("seed", range(6))
def test_damaged_files_come_back_byte_for_byte(seed: int, shared_dir: Path, tmp_path: Path) -> None:
    chance = random.Random(seed)
    paths = [path for path in corpus(shared_dir) if path.stat().st_size < 130_000]
    store = opener("memory", tmp_path)()
    for path in chance.sample(paths, 6):
        target = tmp_path / path.name
        target.write_bytes(damage(path.read_bytes(), chance))
        for data in (target.read_bytes(), target.read_bytes() + b"\n" + damage(path.read_bytes(), chance)):
            target.write_bytes(data)
            (file, *_) = Importer(store).import_file(target).files
            if file.outcome == "skipped":
                assert detect(target) is None
                continue
            assert file.session_id is not None
            assert exported(store, file.session_id) == data, path
            check_session(store, file.session_id)


@pytest.mark.parametrize("native_id", ["../../../evil", "/etc/passwd", "a" * 250, "ünï/漢字", "x\n\x1b[31m", "..", "~", "a:b%2F"])
def test_ids_of_any_kind_are_survived(native_id: str, tmp_path: Path) -> None:
    store = opener("memory", tmp_path)()
    path = tmp_path / "rollout.jsonl"
    path.write_bytes(codex_session(native_id, ["one"]))
    (session_id,) = Importer(store).import_file(path).session_ids
    assert session_id == native_id
    out = tmp_path / "out"
    (written,) = Exporter(store).native_tree(session_id, out)
    assert Path(written.path).resolve().parent == out.resolve()
    assert Path(written.path).read_bytes() == path.read_bytes()
    assert Importer(store).import_tree([path]).outcomes() == {"unchanged": 1}


def test_ids_that_cannot_be_ids_fall_back_to_the_file_name(tmp_path: Path) -> None:
    store = opener("memory", tmp_path)()
    for number, native_id in enumerate(["", 7, None, "x" * 5000, {"a": 1}]):
        path = tmp_path / f"rollout-{number}.jsonl"
        path.write_bytes(codex_line("session_meta", {"id": native_id}) + codex_line("event_msg", {"type": "context_compacted"}))
        assert Importer(store).import_file(path).session_ids == [path.stem]


def test_companion_names_cannot_leave_the_folder(tmp_path: Path, shared_dir: Path) -> None:
    from turnfold.client import Client
    from turnfold.model.event import NewEvent

    store = opener("memory", tmp_path)()
    path = tmp_path / "rollout.jsonl"
    path.write_bytes(codex_session("s1", ["one"]))
    Importer(store).import_file(path)
    with Client(store, close_store=False) as client:
        files = {"../evil.json": "x"}
        client.open("s1").append(NewEvent(type="snapshot", data={"kind": "companions", "files": files}, meta={"import": True}))
    with pytest.raises(InvalidInput, match="no name for an exported file"):
        Exporter(store).native_tree("s1", tmp_path / "out")
    assert not (tmp_path / "evil.json").exists()


def test_kept_lines_that_look_like_references_stay_text(tmp_path: Path) -> None:
    store = opener("memory", tmp_path)()
    path = tmp_path / "rollout.jsonl"
    text = json.dumps("\x01@" + "0" * 64 + "\x02 and a long enough text")
    line = b'{"timestamp":"2026-03-01T10:00:00.000Z","type":"event_msg","payload":{"type":"agent_message","message":%s}}\n' % text.encode()
    raw = b'{"timestamp":"2026-03-01T10:00:00.000Z","type":"event_msg","payload":{"type":"agent_message","message":"\x010\x02"}}\n'
    path.write_bytes(codex_session("s1", ["one"]) + line + raw)
    Importer(store).import_file(path)
    assert exported(store, "s1") == path.read_bytes()


def test_crlf_files_come_back(tmp_path: Path) -> None:
    store = opener("memory", tmp_path)()
    path = tmp_path / "rollout.jsonl"
    path.write_bytes(codex_session("s1", ["one", "two"]).replace(b"\n", b"\r\n"))
    result = Importer(store).import_file(path)
    assert result.problem_count == 0
    assert exported(store, "s1") == path.read_bytes()


def test_a_hash_in_a_text_is_not_taken_for_a_part(tmp_path: Path) -> None:
    store = opener("memory", tmp_path)()
    path = tmp_path / "rollout.jsonl"
    image = "data:image/png;base64," + "A" * 40_000
    content = [{"type": "input_text", "text": f"docker pull x@sha256:{'0' * 64}"}, {"type": "input_image", "image_url": image}]
    path.write_bytes(codex_session("s1", ["one"]) + codex_line("response_item", {"type": "message", "role": "user", "content": content}))
    Importer(store).import_file(path)
    check_session(store, "s1")
    assert exported(store, "s1") == path.read_bytes()
