"""What the files store keeps for the next process: indexes of long logs and rows of lists, used only while they fit the files."""

import shutil
from pathlib import Path

import pytest

from turnfold.core.fold import fold_head
from turnfold.core.redaction import redact_of
from turnfold.errors import StoreCorrupt
from turnfold.model.event import Event, NewEvent
from turnfold.model.query import EventQuery, SessionQuery
from turnfold.model.session import SessionKey
from turnfold.stores.files import FilesStore, catalog, layout, log, replay
from turnfold.stores.files.lines import BadLine, Line, decode_line
from turnfold.testing.contract import build

KEY = SessionKey("default", "s1")


def segment(folder: Path, session_id: str = "s1", number: int = 1) -> Path:
    return folder / layout.relative_path(SessionKey("default", session_id)) / layout.segment_name(number)


def events(folder: Path) -> list[Event]:
    store = FilesStore(folder)
    try:
        return store.read_events(EventQuery(key=KEY, limit=1_000)).events
    finally:
        store.close()


def append(folder: Path, *items: str) -> None:
    store = FilesStore(folder)
    store.commit(build.commit(KEY, *items))
    store.close()


# ---- the cache beside a long log ---------------------------------------------------------------------------------------------------------
@pytest.fixture
def long_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store whose session was long enough to leave a cache, and has a few lines behind it."""
    monkeypatch.setattr(replay, "INDEX_LINES_MIN", 10)
    monkeypatch.setattr(log, "SEGMENT_BYTES_MAX", 4_000)
    folder = tmp_path / "store"
    store = FilesStore(folder)
    store.commit(build.commit(KEY, "first", genesis=build.genesis()))
    store.commit(build.commit(KEY, "second", "third"))
    for number in range(20):
        store.commit(build.commit(KEY, f"filling {number}", build.state_event(**{f"n{number}": number or "hunter2"})))
    store.close()
    assert len(events(folder)) == 44
    append(folder, "behind it")
    return folder


def index_file(folder: Path) -> Path:
    return segment(folder).parent / "index.cache"


def replayed_lines(folder: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many lines a new process decodes to know the session, whose head must be the fold of its log."""
    lines: list[bytes] = []

    def counted(line: bytes) -> Line | BadLine:
        lines.append(line)
        return decode_line(line)

    with monkeypatch.context() as patch:
        patch.setattr(replay, "decode_line", counted)
        store = FilesStore(folder)
        page = store.read_events(EventQuery(key=KEY, limit=1_000))
        head = store.get_session(KEY)
        store.close()
    folded = fold_head("s1", page.events, incarnation=page.incarnation)
    assert (head.info, head.entries) == (folded.info, folded.entries)
    return len(lines)


def test_a_cache_spares_the_replay(long_log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert replayed_lines(long_log, monkeypatch) == 1
    repeated = build.event("once", id="once")
    store = FilesStore(long_log)
    store.commit(build.commit(KEY, repeated))
    assert store.commit(build.commit(KEY, repeated)).repeated
    store.close()
    assert len(events(long_log)) == 46


@pytest.mark.parametrize("content", [b"", b"nonsense", bytes(2_000)])
def test_a_damaged_cache_is_not_used(long_log: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    index_file(long_log).write_bytes(content)
    assert replayed_lines(long_log, monkeypatch) > 20
    assert replayed_lines(long_log, monkeypatch) == 0


def test_a_cache_is_not_used_for_copied_or_other_files(long_log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(long_log, long_log.with_name("copy"))
    assert replayed_lines(long_log.with_name("copy"), monkeypatch) > 20
    last = max(segment(long_log).parent.glob("*.jsonl"))
    lines = last.read_bytes().split(b"\n")
    last.write_bytes(b"\n".join(lines[:-3]) + b"\n")  # shorter than the cache knows it
    assert replayed_lines(long_log, monkeypatch) > 10


def test_redaction_reaches_the_cache(long_log: Path) -> None:
    assert b"hunter2" in index_file(long_log).read_bytes()
    store = FilesStore(long_log)
    target = store.read_events(EventQuery(key=KEY, limit=1_000)).events[5]
    assert target.type == "state.set"
    notice = NewEvent(type="redaction", data={"targets": [{"seq": target.seq, "digest": target.digest.hex()}]})
    store.commit(build.commit(KEY, notice, redacts=(redact_of(target),), lifecycle=True))
    store.close()
    assert events(long_log)[5].redacted
    assert not [path for path in long_log.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()]


# ---- the rows of lists -------------------------------------------------------------------------------------------------------------------
@pytest.fixture
def many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of many sessions whose rows somebody has left for the next process."""
    monkeypatch.setattr(catalog, "ROWS_READ_MIN", 3)
    store = FilesStore(tmp_path / "many")
    for number in range(6):
        genesis = build.genesis(title=f"Title {number}", owner="ann")
        store.commit(build.commit(SessionKey("default", f"s{number}"), "x", genesis=genesis))
    assert len(list_ids(store)) == 6
    store.close()
    assert list((tmp_path / "many" / layout.CATALOGS).iterdir())
    return tmp_path / "many"


def list_ids(store: FilesStore) -> list[str]:
    return sorted(info.id for info in store.list_sessions(SessionQuery(tenant="default"))[0])


def logs_read(store: FilesStore, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which logs a list reads."""
    read: list[str] = []
    original = catalog.Catalog._read

    def noted_read(self: catalog.Catalog, relative: str, *, keep_open: bool) -> catalog.Row:
        read.append(relative)
        return original(self, relative, keep_open=keep_open)

    with monkeypatch.context() as patch:
        patch.setattr(catalog.Catalog, "_read", noted_read)
        list_ids(store)
    return read


def test_the_next_process_reads_only_what_changed(many: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = FilesStore(many)
    other.commit(build.commit(SessionKey("default", "s2"), NewEvent(type="title", data={"title": "Changed"})))
    other.delete_session(SessionKey("default", "s5"))
    other.commit(build.commit(SessionKey("default", "s9"), "new", genesis=build.genesis()))
    other.close()
    (many / layout.CATALOGS).joinpath("unrelated").write_bytes(b"x")
    store = FilesStore(many)
    assert list_ids(store) == ["s0", "s1", "s2", "s3", "s4", "s9"]
    assert store.list_sessions(SessionQuery(tenant="default", id_prefix="s2"))[0][0].title == "Changed"
    assert logs_read(store, monkeypatch) == []
    store.close()
    store = FilesStore(many)
    store.commit(build.commit(SessionKey("default", "s0"), "x"))
    assert logs_read(store, monkeypatch) == [layout.relative_path(SessionKey("default", "s0"))]
    store.close()


def test_damaged_rows_are_not_used(many: Path) -> None:
    for path in (many / layout.CATALOGS).iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    store = FilesStore(many)
    assert len(list_ids(store)) == 6
    store.close()


def test_a_damaged_log_does_not_take_the_list_with_it(many: Path) -> None:
    path = segment(many, "s3")
    path.write_bytes(b"{}\n" + path.read_bytes())
    store = FilesStore(many)
    assert list_ids(store) == ["s0", "s1", "s2", "s4", "s5"]
    assert str(path) in store.check().problems[0]
    with pytest.raises(StoreCorrupt, match="line 1"):
        store.get_session(SessionKey("default", "s3"))
    store.close()


def test_redacted_and_deleted_titles_leave_the_rows(many: Path) -> None:
    store = FilesStore(many)
    key = SessionKey("default", "s1")
    target = store.read_events(EventQuery(key=key)).events[0]
    notice = NewEvent(type="redaction", data={"targets": [{"seq": 1, "digest": target.digest.hex()}]})
    store.commit(build.commit(key, notice, redacts=(redact_of(target),), lifecycle=True))
    store.delete_session(SessionKey("default", "s2"))
    store.close()
    found = [path for path in many.rglob("*") if path.is_file() and (b"Title 1" in (content := path.read_bytes()) or b"Title 2" in content)]
    assert found == []
