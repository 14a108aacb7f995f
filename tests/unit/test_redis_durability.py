"""The Redis store claims what its server is set to keep, and no more; and it says in its own words what is wrong with a URL."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from turnfold import connect, user
from turnfold.errors import DurabilityWarning, InvalidInput, SessionNotFound, StoreUnavailable, TurnfoldError
from turnfold.model.session import SessionKey
from turnfold.ports.store import DURABLE, DURABLE_ON_ACK
from turnfold.stores.redis import RedisStore
from turnfold.stores.redis.address import parse_address
from turnfold.stores.redis.settings import ASKED, UNKNOWN, judge
from turnfold.testing.contract import build
from turnfold.testing.servers.redis import RedisServer, executable

KEEPS = {"appendonly": "yes", "appendfsync": "always", "save": "", "maxmemory": "0", "maxmemory-policy": "noeviction"}
NODE = ("127.0.0.1", 6379)


@pytest.mark.parametrize(
    ("changes", "durability", "claims", "words"),
    [
        ({}, "full", {DURABLE, DURABLE_ON_ACK}, ()),
        ({"appendfsync": "everysec"}, "full", {DURABLE}, ("appendfsync",)),
        ({"appendfsync": "everysec"}, "normal", {DURABLE}, ()),
        ({"appendonly": "no"}, "full", set(), ("appendonly", "everything")),
        ({"appendonly": "no"}, "normal", set(), ("appendonly",)),
        ({"appendonly": "no"}, "none", set(), ()),
        ({"appendonly": "no", "save": "900 1"}, "full", set(), ("appendonly", "since the last snapshot")),
        ({"maxmemory-policy": "allkeys-lru"}, "full", {DURABLE, DURABLE_ON_ACK}, ("maxmemory-policy is allkeys-lru",)),
        (dict.fromkeys(ASKED, UNKNOWN), "full", set(), ("unknown", "not claimed")),
    ],
)
def test_what_is_claimed(changes: dict[str, str], durability: str, claims: set[str], words: tuple[str, ...]) -> None:
    kept = judge({NODE: {**KEEPS, **changes}}, durability)
    assert kept.capabilities == claims
    assert bool(kept.worries) == bool(words)
    assert all(word in "; ".join(kept.worries) for word in words)


def test_the_weakest_node_decides() -> None:
    kept = judge({NODE: KEEPS, ("127.0.0.1", 6380): {**KEEPS, "appendonly": "no"}}, "full")
    assert kept.capabilities == frozenset()
    assert "no / yes" in kept.worries[0]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    if executable() is None:
        pytest.skip("no redis-server is installed")
    with RedisServer(tmp_path_factory.mktemp("redis"), {"requirepass": "s3cr:et", "databases": "8"}) as started:
        yield started


def url_of(server: RedisServer, db: int = 0, password: str = "s3cr%3Aet") -> str:
    return f"redis://:{password}@127.0.0.1:{server.port}/{db}"


def test_a_server_that_keeps_everything(server: RedisServer) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        store = RedisStore(url_of(server))
    assert {DURABLE, DURABLE_ON_ACK} <= store.capabilities
    facts = store.check().facts
    assert (facts["appendonly"], facts["appendfsync"], "durability" in facts) == ("yes", "always", False)
    store.close()


def test_a_server_that_forgets_is_warned_of_once_per_store(tmp_path: Path) -> None:
    if executable() is None:
        pytest.skip("no redis-server is installed")
    with RedisServer(tmp_path, {"appendonly": "no", "maxmemory": "100mb", "maxmemory-policy": "allkeys-lru"}) as forgetful:
        with pytest.warns(DurabilityWarning, match="appendonly is no.*maxmemory-policy is allkeys-lru") as caught:
            store = RedisStore(forgetful.url)
        store.commit(build.commit(SessionKey("default", "s"), "x", genesis=build.genesis()))
        assert len(caught) == 1
        assert caught[0].filename == __file__
        assert not {DURABLE, DURABLE_ON_ACK} & store.capabilities
        assert "appendonly is no" in str(store.check().facts["durability"])
        store.close()


def test_a_user_who_may_not_ask(server: RedisServer) -> None:
    """A managed service forbids CONFIG: then nothing is claimed, and everything else works."""
    server.ask("ACL SETUSER app on >pw ~* &* +@all -config")
    with pytest.warns(DurabilityWarning, match="unknown"):
        store = RedisStore(f"redis://app:pw@127.0.0.1:{server.port}/1")
    assert not {DURABLE, DURABLE_ON_ACK} & store.capabilities
    store.commit(build.commit(SessionKey("default", "s"), "x", genesis=build.genesis()))
    assert store.check().problems == ()
    store.close()


def test_by_url_with_password_and_database(server: RedisServer) -> None:
    """Scenario 30 of the comparison: a missing session is not found, an open one is made, databases are apart."""
    with connect(url_of(server, 5)) as client:
        with pytest.raises(SessionNotFound):
            client.open("missing", create=False)
        session = client.open("n:407274e0…'")
        session.append(user("kept as text"))
        assert [one.id for one in client.sessions()] == ["n:407274e0…'"]
    with connect(url_of(server, 5)) as client:
        assert [message.text for message in client.open("n:407274e0…'", create=False).messages()] == ["kept as text"]
    with connect(url_of(server, 6)) as other:
        assert list(other.sessions()) == []


@pytest.mark.parametrize(
    ("url", "error", "words"),
    [
        ("redis://:wrong-one@127.0.0.1:{port}/0", InvalidInput, "refuses the user or password"),
        ("redis://nobody:wrong-one@127.0.0.1:{port}/0", InvalidInput, "refuses the user or password"),
        ("redis://127.0.0.1:{port}/0", InvalidInput, "password"),
        ("redis://:s3cr%3Aet@127.0.0.1:{port}/9", InvalidInput, "no such database"),
        ("redis://:wrong-one@127.0.0.1:1/0?wait_s=0", StoreUnavailable, "does not answer"),
        ("redis://:wrong-one@127.0.0.1:{port}/x", InvalidInput, "no database"),
        ("redis://:wrong-one@127.0.0.1:{port}/0?colour=red", InvalidInput, "unknown option: colour"),
        ("redis://:wrong-one@127.0.0.1:0/0", InvalidInput, "names no port"),
        ("redis://:wrong-one@/0", InvalidInput, "does not name one server"),
        ("redis://:wrong-one@127.0.0.1:{port}/0?prefix=a{{b", InvalidInput, "no prefix"),
        ("redis://:wrong-one@127.0.0.1:{port}/0?wait_s=soon", InvalidInput, "no number of seconds"),
        ("redis://:wrong-one@127.0.0.1:{port}/0?durability=some", InvalidInput, "durability"),
    ],
)
def test_what_is_wrong_with_a_url(server: RedisServer, url: str, error: type[TurnfoldError], words: str) -> None:
    with pytest.raises(error) as caught:
        RedisStore(url.format(port=server.port))
    said = f"{caught.value} {caught.value.hint} {caught.value.details}"
    assert words in said
    assert "wrong-one" not in said
    assert "s3cr" not in said


def test_addresses() -> None:
    address = parse_address("rediss+cluster://me:p%40ss@h1:7000,[::1]:7001,h3?prefix=p&wait_s=2.5&ssl_ca_certs=/ca.pem")
    assert address.nodes == (("h1", 7000), ("::1", 7001), ("h3", 6379))
    assert (address.username, address.password, address.prefix, address.wait_s) == ("me", "p@ss", "p", 2.5)
    assert (address.is_cluster, address.is_tls, address.tls) == (True, True, {"ssl_ca_certs": "/ca.pem"})
    assert address.name == "rediss+cluster://h1:7000,[::1]:7001,h3:6379"
