"""Compressed segments: which are made, what stands on the disk, and what a damaged, a left-over or a redacted one does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.migration import golden
from turnfold.errors import SchemaOutdated, StoreCorrupt
from turnfold.limits import BLOCK_BYTES, COMPACT_TAIL_EVENTS
from turnfold.model.event import Event, Seal
from turnfold.model.query import Compacted, EventQuery
from turnfold.model.session import SessionKey
from turnfold.stores.files import FilesStore, layout
from turnfold.stores.files import log as log_module
from turnfold.stores.files.sealed import SealedFile, pack
from turnfold.stores.registry import open_store
from turnfold.testing.clock import FakeClock
from turnfold.testing.contract import build

KEY = SessionKey("default", "s")
DAY_US = 86_400_000_000
SECRET = b"correct horse battery staple"
TEXT = "the same words come again and again, " * 20


@pytest.fixture
def clock() -> Iterator[FakeClock]:
    made = FakeClock()
    build.follow_clock(made)
    yield made
    build.follow_clock(None)


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> Iterator[FilesStore]:
    made = FilesStore(tmp_path / "store", clock=clock)
    yield made
    made.close()


def compact(store: FilesStore) -> Compacted:
    steps = [store.compact()]
    while steps[-1].more:
        steps.append(store.compact())
    return max(steps, key=lambda step: step.event_count)


def log(store: FilesStore) -> list[Event]:
    return store.read_events(EventQuery(key=KEY, limit=10_000, with_source=True)).events


def fill(store: FilesStore, count: int) -> list[Event]:
    store.commit(build.commit(KEY, *(f"{index} {TEXT}" for index in range(count)), genesis=build.genesis()))
    return log(store)


def names(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "store" / layout.relative_path(KEY)).iterdir() if path.is_file())


def segment(tmp_path: Path, name: str) -> Path:
    return tmp_path / "store" / layout.relative_path(KEY) / name


# ---- the file ------------------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 5 * BLOCK_BYTES + 17])
def test_any_range_is_read_as_it_was(tmp_path: Path, size: int) -> None:
    random = Random(size)
    content = bytes(random.choices(b"abc", k=size))
    path = tmp_path / "x.z"
    path.write_bytes(pack(content))
    file = SealedFile(path)
    assert file.size() == size
    assert file.read(0, size + 10) == content
    for _ in range(50):
        offset, length = random.randrange(size + 2), random.randrange(3 * BLOCK_BYTES)
        assert file.read(offset, length) == content[offset : offset + length]


def test_damage_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.z"
    whole = pack(b"abc" * 50_000)
    for content in (b"", b"short", whole[:-1], whole[:-20] + b"x" * 20, b"{}" * 40):
        path.write_bytes(content)
        with pytest.raises(StoreCorrupt, match=r"x\.z is damaged"):
            SealedFile(path)
    path.write_bytes(whole[:30] + b"xxxx" + whole[34:])
    with pytest.raises(StoreCorrupt, match=r"x\.z is damaged: piece 0"):
        SealedFile(path).read(0, 10)


# ---- the store -----------------------------------------------------------------------------------------------------------------------------
def test_an_idle_log_is_compressed_whole_and_goes_on_in_a_new_segment(store: FilesStore, clock: FakeClock, tmp_path: Path) -> None:
    before = fill(store, 300)
    assert compact(store).segment_count == 0, "it is warm"
    clock.advance(2 * DAY_US)
    done = compact(store)
    assert (done.session_count, done.segment_count, done.event_count) == (1, 1, 301)
    assert done.bytes_after < 0.2 * done.bytes_before
    assert names(tmp_path) == ["00000001.jsonl.z", "00000002.jsonl"]
    assert log(store) == before
    store.commit(build.commit(KEY, "and on"))
    assert len(log(store)) == 302
    other = FilesStore(tmp_path / "store", clock=clock)
    assert log(other) == log(store)
    assert other.check().problems == ()
    other.close()


def test_of_a_long_log_in_use_only_cold_segments_are_compressed(
    store: FilesStore, clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_module, "SEGMENT_BYTES_MAX", 200_000)
    for _ in range(12):
        fill(store, 200)
    clock.advance(61_000_000)
    assert compact(store).segment_count == 0, "nothing is sealed"
    before = log(store)
    assert store.add_seal(KEY, Seal(len(before), b"", b"root"), incarnation=store.get_session(KEY).info.incarnation)
    compact(store)
    compressed = [name for name in names(tmp_path) if name.endswith(".z")]
    plain = [name for name in names(tmp_path) if name.endswith(".jsonl")]
    assert compressed
    assert len(plain) * 200_000 >= COMPACT_TAIL_EVENTS * len(TEXT) / 2
    assert max(compressed) < min(plain)
    assert log(store) == before


def test_a_small_log_stays_as_it_is(store: FilesStore, clock: FakeClock, tmp_path: Path) -> None:
    fill(store, 2)
    clock.advance(2 * DAY_US)
    assert compact(store) == Compacted()
    assert names(tmp_path) == ["00000001.jsonl"]


def test_a_redacted_event_leaves_the_compressed_segment(store: FilesStore, clock: FakeClock, tmp_path: Path) -> None:
    fill(store, 100)
    store.commit(build.commit(KEY, f"the word is {SECRET.decode()}"))
    fill(store, 100)
    clock.advance(2 * DAY_US)
    compact(store)
    path = segment(tmp_path, "00000001.jsonl.z")
    file = SealedFile(path)
    assert SECRET in file.read(0, file.size())
    store.commit(build.redaction(KEY, log(store)[101]))
    file = SealedFile(path)
    assert SECRET not in file.read(0, file.size())
    assert log(store)[101].redacted
    assert store.check().problems == ()


def test_a_segment_that_was_left_beside_its_compressed_one_counts(store: FilesStore, clock: FakeClock, tmp_path: Path) -> None:
    before = fill(store, 100)
    clock.advance(2 * DAY_US)
    plain = segment(tmp_path, "00000001.jsonl")
    compact(store)
    file = SealedFile(plain.with_name("00000001.jsonl.z"))
    plain.write_bytes(file.read(0, file.size()))
    plain.with_name("00000001.jsonl.z").write_bytes(b"half of it")  # as a killed writer leaves neither; but even then
    again = FilesStore(tmp_path / "store", clock=clock)
    assert log(again) == before
    again.commit(build.redaction(KEY, before[5]))
    assert not plain.with_name("00000001.jsonl.z").exists(), "it may hold what was erased"
    assert again.check().problems == ()
    again.close()


def test_a_reader_in_another_process_notices(store: FilesStore, clock: FakeClock, tmp_path: Path) -> None:
    before = fill(store, 100)
    reader = FilesStore(tmp_path / "store", clock=clock)
    assert log(reader) == before
    clock.advance(2 * DAY_US)
    compact(store)
    assert log(reader) == before
    reader.commit(build.commit(KEY, "from the other side"))
    assert len(log(store)) == len(before) + 1
    reader.close()


def test_a_deleted_session_takes_its_compressed_segments_along(store: FilesStore, clock: FakeClock, tmp_path: Path) -> None:
    fill(store, 100)
    clock.advance(2 * DAY_US)
    compact(store)
    store.delete_session(KEY)
    assert names(tmp_path) == [layout.GRAVE_FILE]
    fill(store, 3)
    assert [event.seq for event in log(store)] == [1, 2, 3, 4]


def test_a_missing_segment_is_named(store: FilesStore, clock: FakeClock, tmp_path: Path) -> None:
    fill(store, 100)
    clock.advance(2 * DAY_US)
    compact(store)
    segment(tmp_path, "00000001.jsonl.z").unlink()
    again = FilesStore(tmp_path / "store", clock=clock)
    with pytest.raises(StoreCorrupt):
        log(again)
    again.close()


def test_a_folder_that_older_code_may_still_use_is_not_compacted(tmp_path: Path) -> None:
    store = open_store(golden.old_store("files", tmp_path))
    with pytest.raises(SchemaOutdated, match=r"lacks 0002\.post\.compact"):
        store.compact()
    dry = store.migrate(post=True, dry_run=True)
    assert (dry.before, dry.after, dry.applied) == (1, 1, ("0002.post.compact",))
    assert store.migrate().pending == ("0002.post.compact",)
    assert store.migrate(post=True).after == 2
    store.compact()
    store.close()
