"""Through a real PgBouncer in transaction mode: nothing of ours outlives a transaction on a connection."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

import turnfold as tf
from tests.postgres import fresh_database
from turnfold.model.event import NewEvent
from turnfold.model.query import EventQuery, SearchQuery, SessionQuery
from turnfold.model.session import SessionKey
from turnfold.stores.postgres import PostgresStore
from turnfold.testing.contract import build
from turnfold.testing.servers.base import Server

SESSIONS, TURNS = 6, 15


class PgBouncer(Server):
    """A pooler with two server connections, so that clients take turns on them."""

    def __init__(self, folder: Path, database: str) -> None:
        super().__init__(folder)
        self.database = urlsplit(database)

    def user(self) -> str | None:
        return "postgres" if os.geteuid() == 0 else None  # it refuses root

    @property
    def url(self) -> str:
        return f"postgresql://{self.database.username}@127.0.0.1:{self.port}{self.database.path}?pgbouncer=1"

    def prepare(self) -> None:
        host, port = self.database.hostname, self.database.port or 5432
        (self.folder / "users.txt").write_text(f'"{self.database.username}" ""\n')
        (self.folder / "pgbouncer.ini").write_text(
            f"[databases]\n* = host={host} port={port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {self.port}\n"
            "auth_type = trust\nauth_file = users.txt\npool_mode = transaction\ndefault_pool_size = 2\nmax_client_conn = 100\n"
            "unix_socket_dir =\nserver_reset_query =\n"
        )

    def command(self) -> Sequence[str]:
        return [shutil.which("pgbouncer") or "pgbouncer", "pgbouncer.ini"]


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    yield from fresh_database("bouncer")


@pytest.fixture(scope="module")
def bouncer(database: str) -> Iterator[PgBouncer]:
    if shutil.which("pgbouncer") is None:
        pytest.skip("pgbouncer is not installed")
    with tempfile.TemporaryDirectory(prefix="turnfold-bouncer-") as folder:  # pytest's own are closed to other system users
        Path(folder).chmod(0o755)
        with PgBouncer(Path(folder), database) as server:
            yield server


def work(store: PostgresStore, session_id: str) -> None:
    """One of everything, so that settings and statements of one client would show in another's."""
    key = SessionKey(session_id, session_id)  # a tenant of its own: one that is left over from another client finds nothing
    store.commit(build.commit(key, "first", genesis=build.genesis(tags=["a"])))
    for turn in range(TURNS):
        store.commit(build.commit(key, f"word {turn}"))
        store.commit(build.commit(key, build.state_event(turn=turn), "two"))
    store.commit(build.commit(key, build.branch_event("b", "main", 3)))
    store.commit(build.commit(key, NewEvent(type="note", data={}, branch="b")))
    lease = store.acquire_lease(key, "me", 30)
    store.commit(build.commit(key, "leased", lease=lease.fence))
    store.release_lease(lease)
    page = store.read_events(EventQuery(key=key, limit=1_000))
    assert [event.seq for event in page.events] == list(range(1, 3 * TURNS + 6))
    assert store.get_session(key).info.tags == ("a",)
    assert [info.id for info in store.list_sessions(SessionQuery(tenant=session_id))[0]] == [session_id]
    assert store.search(SearchQuery(tenant=session_id, terms=("word",))) == []


def test_many_clients_take_turns(bouncer: PgBouncer) -> None:
    first = PostgresStore(bouncer.url)
    stores = [first, *(PostgresStore(bouncer.url) for _ in range(SESSIONS - 1))]
    errors: list[BaseException] = []

    def run(at: int) -> None:
        try:
            work(stores[at], f"s{at}")
        except BaseException as error:  # noqa: BLE001 - shown below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(at,)) for at in range(SESSIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for store in stores:
        store.close()
    assert errors == []


@pytest.mark.parametrize("how", ["polling", "listening"])
def test_following(bouncer: PgBouncer, database: str, how: str) -> None:
    url = bouncer.url + (f"&listen={quote(database, safe='')}" if how == "listening" else "")
    with tf.connect(url) as writing, tf.connect(url) as reading:
        session = writing.open(f"followed-{how}")
        after = session.append(tf.user("start")).last_seq
        seen: list[int] = []

        def follow() -> None:
            for event in reading.open(f"followed-{how}").follow(after=after, wait_s=5):
                seen.append(event.seq)
                if len(seen) == 3:
                    return

        thread = threading.Thread(target=follow)
        thread.start()
        for text in "abc":
            session.append(tf.user(text))
        thread.join()
        assert seen == [after + 1, after + 2, after + 3]
