"""Room in SQLite's log: made ahead of the writer, invisible to every reader; and groups that are written with one statement."""

import shutil
from pathlib import Path

import turnfold as tf
from turnfold.core.fold import change_of
from turnfold.engine.prepare import prepare_all
from turnfold.errors import IdempotencyConflict
from turnfold.model.commit import Commit, Committed
from turnfold.model.event import NewEvent
from turnfold.model.session import SessionKey
from turnfold.stores.sqlite import SqliteStore
from turnfold.stores.sqlite.database import LOG_BYTES_MAX
from turnfold.stores.sqlite.logroom import LOOK_EVERY_COMMITS, STEP_BYTES, LogRoom

KEY = SessionKey("default", "s")


def commit_of(text: str, event_id: str | None = None) -> Commit:
    events, _ = prepare_all(NewEvent(type="message", data=tf.user(text), id=event_id))
    return Commit(key=KEY, events=events, change=change_of(events))


def look(room: LogRoom) -> None:
    for _ in range(LOOK_EVERY_COMMITS):
        room.look()


def test_room_is_made_in_steps_up_to_the_size_of_the_log(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * 1_000)
    room = LogRoom(str(path), 2 * STEP_BYTES)
    look(room)
    assert path.stat().st_size == 1_000 + STEP_BYTES
    look(room)  # nobody has used it yet
    assert path.stat().st_size == 1_000 + STEP_BYTES
    with path.open("ab") as log:
        log.write(b"y" * 10)
    look(room)
    assert path.stat().st_size == 2 * STEP_BYTES
    room.close()
    assert path.read_bytes().rstrip(b"\0").endswith(b"y" * 10)


def test_a_missing_log_is_no_error(tmp_path: Path) -> None:
    room = LogRoom(str(tmp_path / "log"), STEP_BYTES)
    look(room)
    look(room)
    room.close()


def test_what_a_killed_writer_leaves_reads_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with tf.connect(f"sqlite:///{path}", upkeep=False) as client:
        session = client.open("s")
        for index in range(30):
            session.append(tf.user(str(index)))
        assert STEP_BYTES < Path(f"{path}-wal").stat().st_size <= LOG_BYTES_MAX
        for suffix in ("", "-wal"):  # as a killed process leaves them: the log is not copied back
            shutil.copy(f"{path}{suffix}", f"{tmp_path / 'b.db'}{suffix}")
    with tf.connect(f"sqlite:///{tmp_path / 'b.db'}", upkeep=False) as client:
        again = client.open("s", create=False)
        assert [message.text for message in again.messages()] == [str(index) for index in range(30)]
        again.append(tf.user("on"))
        client.verify("s")


def test_a_group_is_the_same_as_one_after_the_other(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "a.db")
    with tf.connect(store, upkeep=False) as client:
        client.open("s").append(tf.user("first"))
        done = store.commit_many([commit_of(str(index)) for index in range(37)])
        assert [one.first_seq for one in done if isinstance(one, Committed)] == list(range(3, 40))
        head = store.get_session(KEY)
        assert (head.info.last_seq, head.info.message_count, head.info.turn_count) == (39, 38, 38)
        assert [message.text for message in client.open("s").messages()] == ["first", *map(str, range(37))]
        client.verify("s")
    store.close()


def test_a_repeat_in_a_group_leaves_the_others_whole(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "a.db")
    with tf.connect(store, upkeep=False) as client:
        client.open("s").append(tf.user("first"))
        kept = commit_of("kept", "id-1")
        store.commit(kept)
        group = [commit_of("a"), kept, commit_of("other", "id-1"), commit_of("b", "id-2"), commit_of("c", "id-2")]
        a, repeat, conflict, b, c = store.commit_many(group)
        assert isinstance(a, Committed)
        assert a.first_seq == 4
        assert isinstance(repeat, Committed)
        assert (repeat.repeated, repeat.first_seq) == (True, 3)
        assert isinstance(conflict, IdempotencyConflict)
        assert isinstance(b, Committed)
        assert b.first_seq == 5
        assert isinstance(c, IdempotencyConflict)
        assert [message.text for message in client.open("s").messages()] == ["first", "kept", "a", "b"]
        client.verify("s")
    store.close()
