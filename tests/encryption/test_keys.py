"""Keyrings: made, shared, renewed, forgotten; and what that does to sessions."""

import asyncio
import json
import multiprocessing
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import turnfold as tf
from tests.encryption.conftest import QUIET, Place, wrapper
from turnfold.errors import KeyUnavailable, StoreUnavailable
from turnfold.model.commit import Commit, Committed
from turnfold.model.query import EventQuery
from turnfold.model.session import SessionKey
from turnfold.stores.encrypted import EncryptedStore
from turnfold.stores.encrypted.filering import FileKeyring
from turnfold.stores.memory import MemoryStore

S = SessionKey("default", "s")


def texts(client: tf.Client, session_id: str = "s") -> list[str]:
    return [message.text for message in client.open(session_id, create=False).messages()]


# ---- shredding ------------------------------------------------------------------------------------------------------------------------


def test_a_forgotten_key_takes_every_copy_with_it(place: Place) -> None:
    with place.client() as client:
        client.open("s", title="secret", tags=["t"]).append(tf.user("gone soon"))
        client.open("other").append(tf.user("stays"))
    copy = place.folder / "backup"
    shutil.copytree(place.folder / "data", copy)
    with place.client() as client:
        assert client.forget_key("s") == 1
        for call in (lambda: texts(client), lambda: client.open("s", create=False), lambda: client.verify("s")):
            with pytest.raises(KeyUnavailable, match="was forgotten") as caught:
                call()
            assert caught.value.details["session_id"] == "s"
        listed = {info.id: info for info in client.sessions()}
        assert (listed["s"].title, listed["s"].tags, listed["s"].metadata) == (None, (), {"turnfold:key": "unavailable"})
        assert listed["s"].message_count == 1
        assert texts(client, "other") == ["stays"]
    shutil.rmtree(place.folder / "data")
    copy.rename(place.folder / "data")  # the backup comes back
    with place.client() as client:
        with pytest.raises(KeyUnavailable, match="was forgotten"):
            texts(client)
        assert texts(client, "other") == ["stays"]
        client.delete("s")
        assert [info.id for info in client.sessions()] == ["other"]
        client.open("s").append(tf.user("a new one"))
        assert texts(client) == ["a new one"]


def test_a_forgotten_session_takes_no_writes_and_stops_no_follower(place: Place) -> None:
    with place.client(search="tokens") as client:
        session = client.open("s")
        session.append(tf.user("words of the forgotten"))
        client.open("other").append(tf.user("words of the other"))
        assert len(client.search("words")) == 2
        client.open("late").append(tf.user("words not indexed yet"))
        client.forget_key("s")
        client.forget_key("late")
        with pytest.raises(KeyUnavailable):
            session.append(tf.user("more"))
        hits = client.search("words")
        assert ([hit.session_id for hit in hits], hits.indexed_through) == (["other"], 0)


def test_who_may_not_see_a_session_is_told_nothing_of_its_key(place: Place) -> None:
    with place.client() as client:
        client.open("s", owner="alice").append(tf.user("x"))
        with tf.Client(client.store, owner="bob", settings=QUIET, close_store=False) as bob:
            with pytest.raises(tf.SessionNotFound):
                bob.forget_key("s")
            assert client.forget_key("s") == 1
            for call in (lambda: bob.forget_key("s"), lambda: bob.open("s", create=False), lambda: bob.open("s").append(tf.user("y"))):
                with pytest.raises(tf.SessionNotFound):
                    call()


def test_deleting_a_session_destroys_its_key(place: Place) -> None:
    with place.client() as client:
        client.open("s").append(tf.user("x"))
        copy = place.folder / "copy"
        shutil.copytree(place.folder / "data", copy)
        client.delete("s")
    assert [info.kind for info in place.keyring().list_keys()] == ["master"]
    shutil.rmtree(place.folder / "data")
    copy.rename(place.folder / "data")
    with place.client() as client, pytest.raises(KeyUnavailable):
        texts(client)


def test_a_refused_creation_leaves_no_key(place: Place) -> None:
    with place.client() as client, tf.override(owner_sessions_max=1):
        client.open("one", owner="alice").append(tf.user("x"))
        with pytest.raises(tf.LimitExceeded):
            client.open("two", owner="alice").append(tf.user("x"))
        assert {info.session_id for info in place.keyring().list_keys()} == {None, "one"}


# ---- several clients and processes -----------------------------------------------------------------------------------------------------


def test_two_who_create_one_session_at_once(place: Place) -> None:
    """Both make a key before either has written; the later one seals anew under the key of the first."""
    first, second = place.client(), place.client()
    one, two = first.open("s"), second.open("s")
    one.append(tf.user("first"))
    two.append(tf.user("second"))
    assert texts(first) == texts(second) == ["first", "second"]
    keys = [info for info in place.keyring().list_keys() if info.kind == "session"]
    assert len(keys) == 1
    first.close()
    second.close()


def test_a_session_that_was_created_again_elsewhere_is_sealed_anew(place: Place) -> None:
    first, second = place.client(), place.client()
    first.open("s").append(tf.user("old"))
    first.open("s").append(tf.user("known here"))
    second.delete("s")
    second.open("s").append(tf.user("new"))
    first.open("s").append(tf.user("and more"))
    assert texts(first) == texts(second) == ["new", "and more"]
    first.close()
    second.close()


def test_a_key_forgotten_by_another_process_is_let_go(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turnfold.stores.encrypted.filering.KEYRING_CHECK_S", -1.0)
    first, second = place.client(), place.client()
    first.open("s").append(tf.user("x"))
    assert texts(second) == ["x"]
    first.forget_key("s")
    with pytest.raises(KeyUnavailable):
        second.store.read_events(EventQuery(key=S))
    first.close()
    second.close()


def _append_many(folder: str, name: str) -> None:
    from turnfold.stores.sqlite import SqliteStore

    store = EncryptedStore(SqliteStore(Path(folder) / "a.db", durability="normal"), FileKeyring(Path(folder) / "keys.jsonl"))
    with tf.Client(store, settings=QUIET) as client:
        for index in range(20):
            client.open("shared").append(tf.user(f"{name} {index}"))
            client.open(f"{name}-{index}").append(tf.user("own"))


def test_processes_share_a_keyring(tmp_path: Path) -> None:
    from turnfold.stores.sqlite import SqliteStore

    FileKeyring.create_file(tmp_path / "keys.jsonl")
    SqliteStore(tmp_path / "a.db").close()
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_append_many, args=(str(tmp_path), name)) for name in ("a", "b", "c")]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    store = EncryptedStore(SqliteStore(tmp_path / "a.db"), FileKeyring(tmp_path / "keys.jsonl"))
    with tf.Client(store, settings=QUIET) as client:
        assert sorted(texts(client, "shared")) == sorted(f"{name} {index}" for name in "abc" for index in range(20))
        assert len(client.sessions(limit=100)) == 61
        client.verify("shared")


# ---- rotation -------------------------------------------------------------------------------------------------------------------------


def test_after_a_rotation_new_content_has_a_new_key(place: Place) -> None:
    with place.client() as client:
        session = client.open("s", title="t", tags=["x"])
        session.append(tf.user("before"))
        session.state["k"] = 1
        old = place.keyring().list_keys()[0].kid
        wrapper(client)._keyring.rotate()
        session.append(tf.user("after"))
        repeated = session.append(tf.NewEvent(type="note", data={}, id="n", at=1))
        assert not repeated.repeated
        assert texts(client) == ["before", "after"]
        assert session.state["k"] == 1
        kids = {event.data_raw[6:22] for event in wrapper(client)._store.read_events(EventQuery(key=S)).events}
        assert len(kids) == 2
    keys = place.keyring().list_keys()
    assert [(info.kind, info.state) for info in keys] == [
        ("master", "current"),
        ("master", "kept"),
        ("session", "kept"),
        ("session", "current"),
    ]
    assert (keys[2].master, keys[3].master) == (old, keys[0].kid)
    with place.client() as client:
        assert texts(client) == ["before", "after"]
        assert [info.tags for info in client.sessions(tags=["x"])] == [("x",)]


def test_a_retry_across_a_rotation_is_recognised(place: Place) -> None:
    with place.client() as client:
        session = client.open("s")
        event = tf.NewEvent(type="note", data={"a": 1}, id="n", at=1)
        session.append(event)
        wrapper(client)._keyring.rotate()
        session.append(tf.user("under the new key"))
        assert session.append(event).repeated


def test_an_eager_rotation_destroys_the_old_master(place: Place) -> None:
    with place.client() as client:
        for index in range(5):
            client.open(f"s{index}").append(tf.user(f"text {index}"))
    stolen = place.keys.read_bytes()
    old = place.keyring().list_keys()[0].kid
    seen: list[tuple[int, int]] = []
    master = place.keyring().rotate(eager=True, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(0, 5), (5, 5)]
    keys = place.keyring().list_keys()
    assert {info.master for info in keys if info.kind == "session"} == {master.kid}
    assert [info.kid for info in keys if info.kind == "master"] == [master.kid] != [old]
    old_key = next(json.loads(line)["key"] for line in stolen.splitlines() if b'"key"' in line)
    assert old_key not in place.keys.read_text()
    with place.client() as client:
        assert texts(client, "s3") == ["text 3"]


def test_an_interrupted_eager_rotation_goes_on(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turnfold.stores.encrypted.filering._BATCH", 2)
    with place.client() as client:
        for index in range(7):
            client.open(f"s{index}").append(tf.user(f"text {index}"))

    def stop(done: int, _total: int) -> None:
        if done >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        place.keyring().rotate(eager=True, progress=stop)
    keys = place.keyring().list_keys()
    assert [info.kind for info in keys].count("master") == 2
    begun = keys[0].kid
    with place.client() as client:
        assert texts(client, "s6") == ["text 6"]
        client.open("s6").append(tf.user("meanwhile"))
    assert place.keyring().rotate(eager=True).kid == begun, "it went on instead of beginning anew"
    assert [info.kind for info in place.keyring().list_keys()].count("master") == 1
    with place.client() as client:
        assert [texts(client, f"s{index}")[0] for index in range(7)] == [f"text {index}" for index in range(7)]
        assert texts(client, "s6")[1] == "meanwhile"


def test_many_threads_create_one_session_through_one_handle(place: Place) -> None:
    """All carry the same genesis: one creates, the others join, and the key that they share stays."""
    with place.client() as client:
        session = client.open("s")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda index: session.append(tf.user(f"{index}")), range(32)))
        assert sorted(texts(client), key=int) == [str(index) for index in range(32)]
        assert not wrapper(client)._keys._creating
    assert [info.kind for info in place.keyring().list_keys()] == ["master", "session"]


class Breaking(MemoryStore):
    """Fails after the commit has landed, as a connection that breaks before the answer does."""

    broken = False

    def commit(self, commit: Commit) -> Committed:
        done = super().commit(commit)
        if self.broken:
            raise StoreUnavailable("the connection broke")
        return done


def test_the_key_of_a_creation_that_may_have_landed_stays(tmp_path: Path) -> None:
    inner = Breaking()
    with tf.Client(EncryptedStore(inner, FileKeyring.create_file(tmp_path / "keys")), settings=QUIET) as client:
        session = client.open("s")
        inner.broken = True
        with pytest.raises(StoreUnavailable):
            session.append(tf.user("it landed"))
        inner.broken = False
        assert texts(client) == ["it landed"]


def test_the_async_client(place: Place) -> None:
    async def talk() -> list[str]:
        async with tf.AsyncClient(place.store(), settings=QUIET) as client:
            session = await client.open("s", title="t")
            await asyncio.gather(*(session.append(tf.user(f"{index}")) for index in range(20)))
            found = [message.text for message in await session.messages()]
            assert await client.forget_key("s") == 1
            with pytest.raises(KeyUnavailable):
                await session.append(tf.user("more"))
            return found

    assert sorted(asyncio.run(talk()), key=int) == [str(index) for index in range(20)]


def test_a_plain_store_has_no_key_to_forget() -> None:
    with tf.connect("memory://") as client:
        client.open("s").append(tf.user("x"))
        with pytest.raises(tf.NotSupported, match="not encrypted"):
            client.forget_key("s")
