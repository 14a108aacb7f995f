"""What a call costs on PostgreSQL, in counts that no machine's mood changes: round trips and statements, read off the wire by a proxy."""

from __future__ import annotations

import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import pytest

from tests.postgres import fresh_database
from turnfold.model.commit import LimitCheck
from turnfold.model.event import NewEvent
from turnfold.model.message import assistant
from turnfold.model.query import EventQuery, SessionQuery
from turnfold.model.run import Run
from turnfold.model.session import SessionKey
from turnfold.model.usage import Usage
from turnfold.stores.postgres import PostgresStore
from turnfold.testing.contract import build

KEY = SessionKey("default", "s")
EXECUTE, SYNC, QUERY, PARSE = b"E", b"S", b"Q", b"P"


class CountingProxy:
    """Passes everything on, and counts the messages that clients send by their type."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.sent: Counter[bytes] = Counter()
        self._sockets: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            self._sockets += [client, server]
            threading.Thread(target=self._pump, args=(server, client, None), daemon=True).start()
            threading.Thread(target=self._pump, args=(client, server, bytearray()), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, seen: bytearray | None) -> None:
        started = False
        while True:
            try:
                data = source.recv(65_536)
            except OSError:
                data = b""
            if not data:
                target.close()
                return
            if seen is not None:  # before it goes on: nobody has the answer before it is counted
                seen += data
                started = self._count(seen, started=started)
            try:
                target.sendall(data)
            except OSError:
                return

    def _count(self, seen: bytearray, *, started: bool) -> bool:
        if not started:  # the start-up packet has no type
            del seen[: struct.unpack(">i", seen[:4])[0]]
        while len(seen) >= 5 and len(seen) > (size := struct.unpack(">i", seen[1:5])[0]):
            self.sent[bytes(seen[:1])] += 1
            del seen[: size + 1]
        return True

    def close(self) -> None:
        for item in self._sockets:
            item.close()


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    yield from fresh_database("counts")


@pytest.fixture
def proxy(database: str) -> Iterator[CountingProxy]:
    parts = urlsplit(database)
    made = CountingProxy(parts.hostname or "127.0.0.1", parts.port or 5432)
    yield made
    made.close()


@pytest.fixture
def store(database: str, proxy: CountingProxy) -> Iterator[PostgresStore]:
    parts = urlsplit(database)
    netloc = f"{parts.username}@127.0.0.1:{proxy.port}"
    made = PostgresStore(urlunsplit((parts.scheme, netloc, parts.path, "sslmode=disable&gssencmode=disable", "")))
    try:
        made.commit(build.commit(KEY, genesis=build.genesis()))
        yield made
        made.delete_session(KEY)
    finally:
        made.close()


def counted(proxy: CountingProxy, *works: object) -> list[tuple[int, int]]:
    """(round trips, statements) of each piece of work, after it was done once: then its statements are prepared."""
    out: list[tuple[int, int]] = []
    for work in works:
        assert callable(work)
        work()
        proxy.sent.clear()
        work()
        assert proxy.sent[PARSE] == proxy.sent[QUERY] == 0, "a statement was not prepared"
        out.append((proxy.sent[SYNC], proxy.sent[EXECUTE]))
    return out


def test_every_regular_commit_is_one_statement_and_one_round_trip(store: PostgresStore, proxy: CountingProxy) -> None:
    message = assistant("x" * 1_100, usage=Usage(3, 2, model="m"))
    limits = (LimitCheck("SESSION_EVENTS_MAX", "last_seq", 10_000),)
    works = [
        lambda: store.commit(build.commit(KEY, "text")),
        lambda: store.commit(build.commit(KEY, message)),
        lambda: store.commit(build.commit(KEY, "a", "b", "c")),
        lambda: store.commit(build.commit(KEY, build.state_event(a=1))),
        lambda: store.commit(build.commit(KEY, NewEvent(type="tag", data={"added": ["t"]}))),
        lambda: store.commit(build.commit(KEY, build.event("kept", source=b"a line"))),
        lambda: store.commit(build.commit(KEY, "limited", limits=limits)),
        lambda: store.commit(build.commit(KEY, "run", runs=(Run(id="r", session_id="s"),))),
        lambda: store.commit(build.commit(KEY, "part", parts=(("sha256:0", b"bytes"),))),
    ]
    assert counted(proxy, *works) == [(1, 1)] * len(works)


def test_a_conditional_commit_too(store: PostgresStore, proxy: CountingProxy) -> None:
    last = store.commit(build.commit(KEY, "text")).last_seq
    lease = store.acquire_lease(KEY, "me", 60)
    store.commit(build.commit(KEY, "text", expected_seq=last, lease=lease.fence))
    proxy.sent.clear()
    store.commit(build.commit(KEY, "text", expected_seq=last + 1, lease=lease.fence))
    assert (proxy.sent[SYNC], proxy.sent[EXECUTE]) == (1, 1)
    store.release_lease(lease)


def test_a_lifecycle_step_too(store: PostgresStore, proxy: CountingProxy) -> None:
    def step(status: str) -> None:
        store.commit(build.commit(KEY, build.status_event(status), lifecycle=True))

    step("suspended")
    proxy.sent.clear()
    step("active")
    assert (proxy.sent[SYNC], proxy.sent[EXECUTE]) == (1, 1)


def test_creating_is_two_statements_and_one_round_trip(store: PostgresStore, proxy: CountingProxy) -> None:
    for name in ("first", "second"):
        proxy.sent.clear()
        store.commit(build.commit(SessionKey("default", name), "hello", genesis=build.genesis(title="t", tags=["a"])))
    assert (proxy.sent[SYNC], proxy.sent[EXECUTE]) == (1, 2)


def test_a_group_is_one_round_trip(store: PostgresStore, proxy: CountingProxy) -> None:
    def group() -> None:
        assert not [item for item in store.commit_many([build.commit(KEY, f"{at}") for at in range(20)]) if isinstance(item, Exception)]

    assert counted(proxy, group) == [(1, 20)]


def test_a_refused_member_leaves_the_group_one_round_trip(store: PostgresStore, proxy: CountingProxy) -> None:
    commits = [build.commit(KEY, "a"), build.commit(SessionKey("default", "missing"), "b"), build.commit(KEY, "c")]
    store.commit_many([build.commit(KEY, "x"), build.commit(KEY, "y")])
    results = store.commit_many(commits)
    assert [isinstance(item, Exception) for item in results] == [False, True, False]


def test_reads_are_one_round_trip(store: PostgresStore, proxy: CountingProxy) -> None:
    works = [
        lambda: store.read_events(EventQuery(key=KEY)),
        lambda: store.read_events(EventQuery(key=KEY, branch="")),
        lambda: store.get_session(KEY),
        lambda: store.last_seqs([KEY, SessionKey("other", "x")]),
        lambda: store.list_runs(KEY),
        lambda: store.follower_seq("f", KEY),
        lambda: store.read_seals(KEY),
        lambda: store.changed_sessions("f", 10),
    ]
    assert [trips for trips, _ in counted(proxy, *works)] == [1] * len(works)


def test_a_list_is_two_round_trips(store: PostgresStore, proxy: CountingProxy) -> None:
    assert counted(proxy, lambda: store.list_sessions(SessionQuery(tenant="default")))[0][0] == 2
