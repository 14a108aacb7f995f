"""Files that are compressed with zstd: Codex compresses its old rollouts, and people compress their backups."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.importing.documents import WRITERS, chat, formats_with_chats
from tests.importing.sessions import check_session, codex_file, codex_session, content_of, corpus, exported, head_of
from turnfold.codec import zstd
from turnfold.engine.exporter import Exporter
from turnfold.engine.importer import Importer
from turnfold.engine.importing import packed
from turnfold.errors import MissingExtra
from turnfold.model.session import SessionKey
from turnfold.ports.store import Store


@pytest.fixture
def library() -> Any:
    """Give the zstd module; without it the test is skipped, in CI failed."""
    try:
        return zstd._module()
    except MissingExtra:
        line = "there is no zstd: pip install 'turnfold[zstd]'"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(f"{line} (CI=true: a failure, not a skip)", pytrace=False)
        pytest.skip(line)


@pytest.mark.slow
def test_every_codex_file_comes_back_plain_out_of_its_compressed_form(library: Any, store: Store, shared_dir: Path, tmp_path: Path) -> None:
    originals = [path for path in corpus(shared_dir) if "codex" in path.parts]
    for path in originals:
        (tmp_path / f"{path.name}.zst").write_bytes(library.compress(path.read_bytes()))
    result = Importer(store).import_tree([tmp_path])
    assert result.outcomes() == {"imported": len(originals)}
    for path in originals:
        (file,) = [file for file in result.files if Path(file.path).name == f"{path.name}.zst"]
        assert file.session_id is not None
        assert exported(store, file.session_id) == path.read_bytes()
        check_session(store, file.session_id)
    assert Importer(store).import_tree([tmp_path]).outcomes() == {"unchanged": len(originals)}


def test_the_projection_is_that_of_the_plain_file(library: Any, store: Store, shared_dir: Path, tmp_path: Path) -> None:
    path = codex_file(shared_dir, "0.155.0")
    (session_id,) = Importer(store).import_file(path).session_ids
    folder = tmp_path / "copies"
    folder.mkdir()
    copy = folder / f"{path.name}.zst"
    copy.write_bytes(library.compress(path.read_bytes()))
    other = Importer(store, tenant="other")
    assert other.import_file(copy).outcomes() == {"imported": 1}
    info = store.get_session(SessionKey("other", session_id)).info
    assert (info.message_count, info.usage, info.title) == (
        head_of(store, session_id).info.message_count,
        head_of(store, session_id).info.usage,
        head_of(store, session_id).info.title,
    )


def test_a_compressed_file_is_known_by_its_content_and_not_by_its_name(library: Any, store: Store, tmp_path: Path) -> None:
    (tmp_path / "noname").write_bytes(library.compress(codex_session("s1", ["one"])))
    (tmp_path / "plain.jsonl.zst").write_bytes(codex_session("s2", ["one"]))
    (tmp_path / "other.zst").write_bytes(library.compress(b"something else"))
    assert sorted(Importer(store).import_tree([tmp_path]).session_ids) == ["s1", "s2"]
    assert Importer(store).import_file(tmp_path / "other.zst").files[0].reason == "no known format"


def test_a_file_that_is_compressed_later_brings_nothing_new(
    library: Any, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, small = tmp_path / "rollout-s1.jsonl", tmp_path / "rollout-s1.jsonl.zst"
    plain.write_bytes(codex_session("s1", ["one", "two"]))
    Importer(store).import_tree([tmp_path])
    before = [event for event in content_of(store, "s1") if event[2] != "import.cursor"]
    small.write_bytes(library.compress(plain.read_bytes()))
    for _ in range(2):  # while both are there
        result = Importer(store).import_tree([tmp_path])
        assert (result.outcomes(), result.event_count) == ({"unchanged": 2}, 0)
    plain.unlink()
    assert Importer(store).import_tree([tmp_path]).outcomes() == {"unchanged": 1}
    monkeypatch.setattr(packed, "unpack", None)  # from now on the file system alone tells
    assert Importer(store).import_tree([tmp_path]).session_ids == ["s1"]
    assert [event for event in content_of(store, "s1") if event[2] != "import.cursor"] == before
    (written,) = Exporter(store).native_tree("s1", tmp_path / "out")
    assert Path(written.path).suffix == ".jsonl"


def test_a_compressed_file_that_is_unpacked_and_goes_on_is_one_session(library: Any, store: Store, tmp_path: Path) -> None:
    plain, small = tmp_path / "rollout-s1.jsonl", tmp_path / "rollout-s1.jsonl.zst"
    small.write_bytes(library.compress(codex_session("s1", ["one"])))
    Importer(store).import_tree([tmp_path])
    small.unlink()
    plain.write_bytes(codex_session("s1", ["one", "two"]))
    result = Importer(store).import_tree([tmp_path])
    assert (result.outcomes(), result.line_count) == ({"updated": 1}, 2)
    assert exported(store, "s1") == plain.read_bytes()


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_a_stream_that_is_cut_off_is_kept_so_far_and_reported(
    share: float, library: Any, store: Store, shared_dir: Path, tmp_path: Path
) -> None:
    data = codex_file(shared_dir, "019f36b8").read_bytes()
    small = library.compress(data)
    path = tmp_path / "rollout.jsonl.zst"
    path.write_bytes(small[: int(len(small) * share)])
    (file,) = Importer(store).import_file(path).files
    assert file.session_id is not None
    assert any("cut off; the rest is read when the file is whole" in problem.text for problem in file.problems)
    kept = exported(store, file.session_id)
    assert len(kept) > 100_000
    assert data.startswith(kept)
    path.write_bytes(small)
    assert Importer(store).import_file(path).outcomes() == {"updated": 1}
    assert exported(store, file.session_id) == data


def test_damage_and_junk_behind_the_end_are_reported(library: Any, store: Store, tmp_path: Path) -> None:
    data = codex_session("s1", [f"text {number}" for number in range(20)])
    path = tmp_path / "rollout.jsonl.zst"
    path.write_bytes(library.compress(data) + b"junk behind the end")
    (file,) = Importer(store).import_file(path).files
    assert [problem.line for problem in file.problems] == [data.count(b"\n") + 1]
    assert exported(store, "s1") == data
    path.write_bytes(library.compress(data)[:9] + b"\xff" * 300)
    (file,) = Importer(store).import_file(path, format="codex").files
    assert file.outcome == "skipped"
    assert "format_error: the compressed content is" in str(file.reason)


def test_frames_one_after_the_other_are_one_file(library: Any, store: Store, tmp_path: Path) -> None:
    one, two = codex_session("s1", ["one"]), codex_session("x", ["two"]).split(b"\n", 1)[1]
    (tmp_path / "a.jsonl.zst").write_bytes(library.compress(one) + library.compress(b"") + library.compress(two))
    assert Importer(store).import_file(tmp_path / "a.jsonl.zst").problem_count == 0
    assert exported(store, "s1") == one + two


def test_compressed_claude_sessions_are_read_too(library: Any, store: Store, shared_dir: Path, tmp_path: Path) -> None:
    path = next(path for path in corpus(shared_dir) if "tool_heavy" in path.name)
    (tmp_path / "x.zst").write_bytes(library.compress(path.read_bytes()))
    (session_id,) = Importer(store).import_file(tmp_path / "x.zst").session_ids
    assert exported(store, session_id) == path.read_bytes()


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_compressed_documents_are_read_too(name: str, library: Any, store: Store, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name, [chat("c1", ["one"]), chat("c2", ["two"])])
    packed_file = tmp_path / f"{name}.zst"
    packed_file.write_bytes(library.compress((tmp_path / name).read_bytes()))
    (tmp_path / name).unlink()
    importer = Importer(store, known_formats=formats_with_chats())
    for outcome in ("imported", "unchanged"):
        result = importer.import_tree([packed_file])
        assert result.outcomes() == {outcome: 2}
        assert result.files[0].path == f"{packed_file}#c1"


@pytest.mark.slow
def test_content_beyond_the_limit_is_left_out_and_reported(
    library: Any, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packed, "UNPACKED_BYTES_MAX", 3 << 20)
    path = tmp_path / "bomb.zst"
    path.write_bytes(library.compress(codex_session("s1", ["one"]) + b" " * (300 << 20)))
    assert path.stat().st_size < 50_000
    (file,) = Importer(store).import_file(path).files
    assert any("UNPACKED_BYTES_MAX" in problem.text for problem in file.problems)
    assert exported(store, "s1").startswith(codex_session("s1", ["one"]))


def test_pieces_are_small_whatever_a_frame_stands_for(library: Any, tmp_path: Path) -> None:
    path = tmp_path / "zeros.zst"
    path.write_bytes(library.compress(bytes(200 << 20)))
    with path.open("rb") as file:
        sizes = [len(piece) for piece in zstd.unpack(file)]
    assert sum(sizes) == 200 << 20
    assert max(sizes) <= zstd.PIECE_BYTES
    chance = random.Random(1)
    mixed = b"".join(chance.choice([bytes(1 << 16), chance.randbytes(1 << 16)]) for _ in range(100))
    path.write_bytes(library.compress(mixed))
    with path.open("rb") as file:
        assert b"".join(zstd.unpack(file)) == mixed


def test_without_the_library_the_install_line_is_the_reason(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zstd._module.cache_clear()
    for name in ("compression.zstd", "backports.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    (tmp_path / "rollout.jsonl.zst").write_bytes(zstd.ZSTD_MAGIC + b"rest")
    (file,) = Importer(store).import_tree([tmp_path]).files
    assert file.outcome == "skipped"
    assert "pip install 'turnfold[zstd]'" in str(file.reason)
    zstd._module.cache_clear()
