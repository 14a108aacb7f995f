"""Following files: what is written to them is in the store soon after."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.importing.documents import chat, write_database, write_json
from tests.importing.following import PATIENCE_S, following, is_there, lags_s, writing
from tests.importing.sessions import check_session, codex_line, codex_session, exported, head_of
from turnfold.client import Client
from turnfold.client_async import AsyncClient
from turnfold.engine.importer import FileImport
from turnfold.engine.importing import folders, follower, turn
from turnfold.errors import NotSupported, SessionNotFound
from turnfold.inotify import OVERFLOW, Change, Inotify, WatchesUsedUp
from turnfold.ports.store import Store
from turnfold.stores.registry import open_store

pytestmark = pytest.mark.slow


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Give an empty folder that no store is in."""
    folder = tmp_path / "in"
    folder.mkdir()
    return folder


@pytest.mark.parametrize(("file_count", "line_count", "rate"), [(1, 40, 40), pytest.param(200, 1_200, 150, marks=pytest.mark.slow)])
@pytest.mark.timeout(120)
def test_a_line_is_in_the_store_within_a_second(
    file_count: int, line_count: int, rate: float, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'store'}")
    folder = tmp_path / "sessions"
    folder.mkdir()
    with following(store, folder) as followed:
        with writing(folder, file_count, line_count, rate) as process:
            assert process.wait(60) == 0
        names = sorted(path.stem[-36:] for path in folder.iterdir())
        followed.until(lambda: sum(head_of(store, name).info.message_count for name in names) == line_count)
    lags = lags_s(store, names)
    record_property("lag_s", {"p50": lags[len(lags) // 2], "max": lags[-1]})
    assert lags[int(len(lags) * 0.95)] < 1.0
    for path in folder.iterdir():
        assert exported(store, path.stem[-36:]) == path.read_bytes()
    store.close()


def test_new_files_and_new_folders_are_noticed(store: Store, place: Path) -> None:
    (place / "a.jsonl").write_bytes(codex_session("s1", ["one"]))
    with following(store, place) as followed:
        followed.until(lambda: head_of(store, "s1"))
        (place / "b.jsonl").write_bytes(codex_session("s2", ["two"]))
        deep = place / "2026" / "03" / "01"
        deep.mkdir(parents=True)
        (deep / "c.jsonl").write_bytes(codex_session("s3", ["three"]))
        moved = place.with_name("elsewhere")
        (moved / "in").mkdir(parents=True)
        (moved / "in" / "d.jsonl").write_bytes(codex_session("s4", ["four"]))
        moved.rename(place / "moved")
        followed.until(lambda: is_there(store, "s2", "s3", "s4"))
        (place / "moved" / "in" / "d.jsonl").write_bytes(codex_session("s4", ["four", "five"]))
        followed.until(lambda: head_of(store, "s4").info.message_count == 4)
        (place / "node_modules").mkdir()
        (place / "node_modules" / "e.jsonl").write_bytes(codex_session("s5", ["x"]))
        (place / "notes.txt").write_bytes(codex_session("s6", ["x"]))
        (place / "f.jsonl").write_bytes(codex_session("s7", ["x"]))
        followed.until(lambda: head_of(store, "s7"))
    assert {file.session_id for file in followed.files} == {"s1", "s2", "s3", "s4", "s7"}


def test_a_root_that_comes_into_being_later_is_noticed(store: Store, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "MISSING_LOOK_S", 0.1)
    with following(store, place / "later", place / "one.json") as followed:
        time.sleep(0.3)
        (place / "later").mkdir()
        (place / "later" / "a.jsonl").write_bytes(codex_session("s1", ["one"]))
        (place / "one.json").write_bytes(codex_session("s2", ["one"]))
        (place / "beside.json").write_bytes(codex_session("s3", ["one"]))
        followed.until(lambda: is_there(store, "s1", "s2"))
        (place / "one.json").write_bytes(codex_session("s2", ["one", "two"]))
        followed.until(lambda: head_of(store, "s2").info.message_count == 4)
    assert {file.session_id for file in followed.files} == {"s1", "s2"}


def test_a_torn_line_is_there_when_it_is_whole(store: Store, place: Path) -> None:
    path = place / "a.jsonl"
    path.write_bytes(codex_session("s1", ["one"]))
    line = codex_line("response_item", {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "in two pieces"}]})
    with following(store, place) as followed:
        followed.until(lambda: head_of(store, "s1").info.message_count == 2)
        for piece in (line[:40], line[40:-1], line[-1:]):
            with path.open("ab") as file:
                file.write(piece)
            followed.until(lambda: exported(store, "s1") == path.read_bytes())
        followed.until(lambda: head_of(store, "s1").info.message_count == 3)
    check_session(store, "s1")


@pytest.mark.parametrize("how", ["no inotify", "watches used up"])
def test_without_inotify_files_are_looked_at(how: str, store: Store, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise WatchesUsedUp

    monkeypatch.setattr(folders, "LOOK_S", 0.05)
    if how == "no inotify":
        monkeypatch.setattr(folders, "open_inotify", lambda: None)
    else:
        monkeypatch.setattr(Inotify, "add", refuse)
    notes: list[str] = []
    (place / "a.jsonl").write_bytes(codex_session("s1", ["one"]))
    with following(store, place, notes=notes) as followed:
        followed.until(lambda: head_of(store, "s1"))
        (place / "a.jsonl").write_bytes(codex_session("s1", ["one", "two"]))
        (place / "deep").mkdir()
        (place / "deep" / "b.jsonl").write_bytes(codex_session("s2", ["one"]))
        followed.until(lambda: is_there(store, "s2") and head_of(store, "s1").info.message_count == 4)
    assert "looking for changes from time to time" in notes[0]


def test_a_queue_that_overflows_is_made_up_for_by_a_look(store: Store, place: Path) -> None:
    (place / "before.jsonl").write_bytes(codex_session("s0", ["nought"]))
    with following(store, place) as followed:
        followed.until(lambda: head_of(store, "s0"))  # the first look is over
        watched = followed.follower._folders
        assert watched is not None
        watched._watches.clear()  # from now on the kernel's words mean nothing
        (place / "a.jsonl").write_bytes(codex_session("s1", ["one"]))
        time.sleep(0.3)
        with pytest.raises(SessionNotFound):
            head_of(store, "s1")
        list(watched._one(Change(-1, OVERFLOW, b"")))
        followed.until(lambda: head_of(store, "s1"))


def test_databases_are_read_again_when_their_log_grows(store: Store, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sqlite3
    from contextlib import closing

    monkeypatch.setattr(follower, "DOCUMENTS", follower.Pace(0.3, 0.3, 0.1))
    path = place / "chats.db"
    write_database(path, [chat("c1", ["one"]), chat("c2", ["other"])])
    with closing(sqlite3.connect(path)) as tool, following(store, place) as followed:
        tool.execute("SELECT count(*) FROM chat").fetchall()
        followed.until(lambda: head_of(store, "c2"))
        for number in range(5):
            tool.execute(
                "INSERT INTO entry VALUES ('c1', ?, ?)", (10 + number, json.dumps({"id": f"n{number}", "from": "me", "text": "new"}))
            )
            tool.commit()
            followed.until(partial(lambda wanted: head_of(store, "c1").info.message_count == wanted, 3 + number))
        time.sleep(0.5)  # reading makes files beside the database come and go; that must not make it be read again
        count = len(followed.files)
        assert count <= 2 + 5
        time.sleep(0.5)
        assert len(followed.files) == count
    assert {file.session_id for file in followed.files[2:]} == {"c1"}


def test_a_database_is_looked_at_again_because_its_log_is_written_before_it_can_be_seen(
    store: Store, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlite3
    from contextlib import closing

    monkeypatch.setattr(follower, "SECOND_LOOK_S", 0.5)
    monkeypatch.setattr(follower, "DOCUMENTS", follower.Pace(0.01, 0.01, 0.1))
    path = place / "chats.db"
    write_database(path, [chat("c1", ["one"])])
    looks: list[float] = []
    with closing(sqlite3.connect(path)) as tool, following(store, place) as followed:
        tool.execute("SELECT count(*) FROM chat").fetchall()
        followed.until(lambda: head_of(store, "c1"))
        time.sleep(1)
        real = followed.follower._import_file

        def import_file(at: Path, fmt: Any, progress: Any) -> Any:
            looks.append(time.monotonic())
            if looks[-1] < looks[0] + 0.3:  # nothing of the commit can be seen yet
                return followed.follower._documents[at].fmt, []
            return real(at, fmt, progress)

        followed.follower._import_file = import_file
        tool.execute("INSERT INTO entry VALUES ('c1', 10, ?)", (json.dumps({"id": "n", "from": "me", "text": "new"}),))
        tool.commit()
        followed.until(lambda: head_of(store, "c1").info.message_count == 3)
        count = len(looks)
        time.sleep(1)
        assert len(looks) == count


def test_a_file_that_a_document_reads_makes_the_document_be_read(store: Store, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "DOCUMENTS", follower.Pace(0.1, 0.1, 0.1))
    path = place / "chats.db"
    write_database(path, [chat("c1", ["one"])])
    read: list[Path] = []
    with following(store, place) as followed:
        followed.until(lambda: head_of(store, "c1"))
        real = followed.follower._import_file

        def note(at: Path, fmt: Any, progress: Any) -> Any:
            read.append(at)
            return real(at, fmt, progress)

        followed.follower._import_file = note
        write_json(place / "chats.db-notes.json", [chat("hidden", ["x"])])
        followed.until(lambda: read)
        assert set(read) == {path}


def test_a_store_has_one_follower_of_the_same_files_and_the_next_takes_over(
    store: Store, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "TURN_LOOK_S", 0.05)
    monkeypatch.setattr(os, "getpid", lambda: 1)  # another process that lives
    first_notes: list[str] = []
    second_notes: list[str] = []
    with following(store, place, notes=second_notes) as waiting:
        waiting.until(lambda: second_notes)
        assert second_notes == ["following 1 folder"]
    monkeypatch.undo()
    monkeypatch.setattr(follower, "TURN_LOOK_S", 0.05)
    second_notes.clear()
    with following(store, place, notes=first_notes) as first:
        first.until(lambda: first_notes)
        monkeypatch.setattr(os, "getpid", lambda: 1)
        with following(store, place, notes=second_notes) as second:
            second.until(lambda: second_notes)
            assert second_notes[0].startswith(f"process {first.follower._turn._holder} follows these files already")
            (place / "a.jsonl").write_bytes(codex_session("s1", ["one"]))
            first.until(lambda: head_of(store, "s1"))
            first.follower.close()
            second.until(lambda: second_notes[1:] == ["following 1 folder"])
            (place / "b.jsonl").write_bytes(codex_session("s2", ["one"]))
            second.until(lambda: head_of(store, "s2"))
    assert [file.session_id for file in first.files] == ["s1"]
    assert [file.session_id for file in second.files] == ["s2"]


def test_a_turn_that_was_lost_while_the_process_slept_is_taken_again(store: Store, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, "TURN_TTL_S", 0.2)
    monkeypatch.setattr(turn, "RENEW_S", 0.5)
    with following(store, place) as followed:
        time.sleep(0.8)
        (place / "a.jsonl").write_bytes(codex_session("s1", ["one"]))
        followed.until(lambda: head_of(store, "s1"))


def test_other_files_have_a_turn_of_their_own(store: Store, place: Path) -> None:
    one, two = place / "one", place / "two"
    for folder, name in ((one, "s1"), (two, "s2")):
        folder.mkdir()
        (folder / "a.jsonl").write_bytes(codex_session(name, ["x"]))
    with following(store, one) as first, following(store, two) as second:
        first.until(lambda: head_of(store, "s1"))
        second.until(lambda: head_of(store, "s2"))


def test_the_tools_folders_are_followed_where_none_are_named(store: Store, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(place))
    for name in ("CODEX_HOME", "CLAUDE_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(folders, "MISSING_LOOK_S", 0.1)
    sessions = place / ".codex" / "sessions" / "2026"
    with Client(store, close_store=False) as client:
        found: list[FileImport] = []

        def follow() -> None:
            found.extend(client.follow_files(wait_s=1.5))

        thread = threading.Thread(target=follow)
        thread.start()
        time.sleep(0.3)
        sessions.mkdir(parents=True)
        (sessions / "rollout-x.jsonl").write_bytes(codex_session("s1", ["one"]))
        (sessions / "messages.json").write_text(json.dumps({"chatter": 1, "chats": [chat("c1", ["not the tool's"])]}))
        thread.join(PATIENCE_S)
    assert [file.session_id for file in found] == ["s1"]


def test_what_is_skipped_is_told_once(store: Store, place: Path) -> None:
    path = place / "chats.json"
    path.write_text('{"chatter": 1, "chats": [')
    with following(store, path) as followed:
        followed.until(lambda: followed.files)
        for _ in range(3):
            path.write_text('{"chatter": 1, "chats": [')
            time.sleep(0.15)
        write_json(path, [chat("c1", ["one"])])
        followed.until(lambda: head_of(store, "c1"))
    assert [file.outcome for file in followed.files] == ["skipped", "imported"]


def test_there_must_be_such_a_format(store: Store, place: Path) -> None:
    with Client(store, close_store=False) as client, pytest.raises(NotSupported):
        next(client.follow_files([place], format="nonsense"))


def test_the_async_client_follows_and_stops_when_it_is_cancelled(store: Store, place: Path) -> None:
    async def main() -> list[str | None]:
        async with AsyncClient(store, close_store=False) as client:
            seen: list[str | None] = []
            more = asyncio.Semaphore(0)

            async def follow() -> None:
                async for file in client.follow_files([place]):
                    seen.append(file.session_id)  # told one by one
                    more.release()

            task = asyncio.create_task(follow())
            for number in range(3):
                (place / f"{number}.jsonl").write_bytes(codex_session(f"s{number}", ["one"]))
                await more.acquire()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return seen

    assert asyncio.run(asyncio.wait_for(main(), PATIENCE_S)) == ["s0", "s1", "s2"]
