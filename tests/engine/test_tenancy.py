"""A client reaches nothing of another tenant's or owner's session, whatever it calls. Below it, the contract's ``isolation`` does the same to stores.

Every public name of ``Client`` and ``Session`` stands in a table here, as a probe or with the reason why it is none; a new one fails until it does.
"""

from __future__ import annotations

import base64
import inspect
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import turnfold as tf
from tests.places import NAMES, PLACES
from tests.support import skip_or_fail
from turnfold.engine.bundle import write_bundle
from turnfold.errors import TurnfoldError
from turnfold.limits import INLINE_PART_BYTES_MAX
from turnfold.model.parts import BlobPart
from turnfold.model.query import EventPage, EventQuery
from turnfold.model.session import SessionKey
from turnfold.testing.faults import CannotBreak, Place

SECRETS = ("swordfish", "Plans of", "private-tag", "theme-of-alice", "worker-of-alice")
BLOB = b"swordfish" * INLINE_PART_BYTES_MAX
KEY = SessionKey("default", "s1")


class Victim(NamedTuple):
    client: tf.Client
    session: tf.Session
    lease: tf.Lease
    part: str
    bundle: Path

    def snapshot(self) -> Any:
        store = self.client.store
        page = store.read_events(EventQuery(key=KEY, limit=1_000, with_source=True))
        shared = store.read_events(EventQuery(key=SessionKey("default", "~state/owner/alice"), limit=1_000))
        return store.get_session(KEY), page, shared, store.read_seals(KEY), store.list_runs(KEY), store.read_part(KEY, self.part)


Call = Callable[[tf.Client, Victim], object]


def opened(call: Callable[[tf.Session], object]) -> Call:
    return lambda client, _: call(client.open("s1"))


def listed(values: Iterable[object]) -> list[object]:
    return list(values)


def exports(client: tf.Client, victim: Victim) -> None:
    for number, name in enumerate(("bundle", "jsonl", "markdown", "openai")):
        target = victim.bundle.parent / f"{client.tenant}-{client.owner}-{number}"
        with pytest.raises(tf.SessionNotFound):
            client.export("s1", target, format=name)
        assert not target.exists()


def imports(client: tf.Client, victim: Victim) -> str:
    """Somebody has a bundle of another session with the same id, or of this very one."""
    with tf.Client(tf.connect("memory://").store, owner=client.owner) as elsewhere:
        elsewhere.open("s1").append(tf.user("mine"))
        write_bundle(elsewhere.store, [KEY], victim.bundle.with_name("mine.tfbundle"))
    return repr(client.import_files([victim.bundle.with_name("mine.tfbundle")]))


def transcripts(client: tf.Client, _: Victim) -> list[object]:
    kept = client.transcripts()
    found: list[object] = [kept.load("p", "s1"), kept.sessions("p"), kept.subpaths("p", "s1")]
    kept.append("p", "s1", [{"type": "user", "uuid": "u1", "message": {"role": "user", "content": "hello"}}])
    kept.delete("p", "s1")
    return found


def ends(session: tf.Session) -> None:
    for reason in ("delete", "completed", "reset"):
        session.close(reason)


def states(session: tf.Session) -> list[object]:
    found: list[object] = [dict(session.state)]
    session.state.set({"mine": 1})
    session.state.set({}, owner={"theme": "x"})
    return found


def leases(client: tf.Client, victim: Victim) -> None:
    """A fence is a small number and a holder's name can be known; neither opens the session."""
    forged = tf.Lease("default", "s1", "worker-of-alice", victim.lease.fence, 0)
    with pytest.raises(tf.LeaseLost):
        client.renew_lease(forged)
    client.release_lease(forged)
    with pytest.raises(TurnfoldError):
        client.open("s1", lease=forged)


CLIENT: dict[str, Call | str] = {
    "catch_up": "brings the store's index up to date; answers with a number of sessions",
    "close": "ends the client",
    "delete": lambda client, _: client.delete("s1"),
    "discover_files": "reads this machine's files",
    "export": exports,
    "find": lambda client, _: [client.find(name) for name in ("s", "s1")],
    "follow_files": "the same importer as import_files",
    "forget_key": lambda client, _: client.forget_key("s1"),
    "import_files": imports,
    "lease": lambda client, _: client.lease("s1", "theirs"),
    "open": lambda client, _: client.open("s1", create=False),
    "owner": "says whose the client is",
    "release_lease": leases,
    "renew_lease": leases,
    "resume_with": lambda client, victim: client.resume_with("s1", "claude", home=victim.bundle.parent / "home"),
    "seal": lambda client, _: client.seal("s1"),
    "search": lambda client, _: [client.search("swordfish").items, client.search("swordfish", session_id="s1").items],
    "sessions": lambda client, _: [client.sessions().items, client.sessions(tags=["private-tag"]).items, client.sessions(prefix="s").items],
    "store": "the port, which is for the engine and for operators",
    "tenant": "says whose the client is",
    "transcripts": transcripts,
    "usage": lambda client, _: [list(client.usage(by=by)) for by in ("session", "owner", "agent", "model", "day")],
    "verify": lambda client, _: client.verify("s1"),
}

SESSION: dict[str, Call | str] = {
    "abandon": opened(lambda session: session.abandon("side")),
    "activate": opened(lambda session: session.activate()),
    "append": opened(lambda session: session.append(tf.user("intruding"))),
    "archive": opened(lambda session: session.archive()),
    "branch": "says what the handle was opened with",
    "branches": opened(lambda session: session.branches()),
    "checkpoint": opened(lambda session: session.checkpoint("theirs")),
    "checkpoints": opened(lambda session: session.checkpoints()),
    "close": opened(ends),
    "common_ancestor": opened(lambda session: session.common_ancestor("main", "side")),
    "delete_checkpoint": opened(lambda session: session.delete_checkpoint("mark")),
    "diff": opened(lambda session: session.diff("main", "side")),
    "event": opened(lambda session: session.event(2)),
    "events": opened(lambda session: [session.events().items, session.events(after=1, order="desc").items]),
    "follow": opened(lambda session: listed(session.follow(wait_s=0))),
    "fork": opened(lambda session: session.fork("theirs", at=2)),
    "head": opened(lambda session: session.head()),
    "id": "says what the handle was opened with",
    "info": opened(lambda session: session.info()),
    "lineage": opened(lambda session: session.lineage("side")),
    "merge": opened(lambda session: session.merge("side")),
    "messages": opened(lambda session: [session.messages(), session.messages(last=1)]),
    "part": lambda client, victim: client.open("s1").part(victim.part),
    "persist": opened(lambda session: session.persist()),
    "pin": opened(lambda session: session.pin(2)),
    "pins": opened(lambda session: session.pins()),
    "redact": opened(lambda session: session.redact(2)),
    "rename": opened(lambda session: session.rename("side", "theirs")),
    "reset": opened(lambda session: session.reset()),
    "restore": opened(lambda session: session.restore(2)),
    "resume": opened(lambda session: session.resume()),
    "retract": opened(lambda session: session.retract(2)),
    "state": opened(states),
    "suspend": opened(lambda session: session.suspend()),
    "switch": opened(lambda session: session.switch("side")),
    "tag": opened(lambda session: session.tag("theirs", remove=["private-tag"])),
    "tenant": "says what the handle was opened with",
    "unpin": opened(lambda session: session.unpin(2)),
    "update": opened(lambda session: session.update(title="theirs", metadata={"a": 1})),
    "window": opened(lambda session: session.window(10_000)),
}

STRANGERS = (("other", None), ("other", "alice"), ("default", "bob"), ("default", "alic_"))


@pytest.fixture(scope="module", params=NAMES)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    place = PLACES[request.param](tmp_path_factory.mktemp("place"))
    try:
        place.start()
    except CannotBreak as error:
        skip_or_fail(str(error))
    yield place
    place.stop()


@pytest.fixture
def store_url(place: Place) -> str:
    return place.empty_url()


@pytest.fixture
def victim(store_url: str, tmp_path: Path) -> Iterator[Victim]:
    with tf.connect(store_url, owner="alice") as client:
        session = client.open("s1", title="Plans of", tags=["private-tag"], agent="support")
        blob = BlobPart(modality="image", mime_type="image/png", content=base64.b64encode(BLOB).decode())
        session.append(
            [tf.user("the word is swordfish"), tf.user([blob]), tf.assistant("swordfish, I see", usage=tf.Usage(3, 2, model="m"))]
        )
        session.state.set({"word": "swordfish"}, owner={"theme": "theme-of-alice"})
        session.checkpoint("mark")
        session.fork("side").append(tf.user("swordfish aside"))
        client.seal("s1")
        client.catch_up()
        (part,) = session_parts(session)
        bundle = tmp_path / "alice.tfbundle"
        client.export("s1", bundle)
        yield Victim(client, session, client.lease("s1", "worker-of-alice", ttl_s=600), part, bundle)


def session_parts(session: tf.Session) -> set[str]:
    found = {word for event in session.events().items for word in event.data_raw.decode().split('"') if word.startswith("sha256:")}
    assert found, "the blob was to be kept out of line"
    return found


def public(kind: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(kind) if not name.startswith("_")}


def test_every_public_name_is_in_a_table() -> None:
    assert public(tf.Client) == CLIENT.keys()
    assert public(tf.Session) == SESSION.keys()


@pytest.mark.parametrize(("tenant", "owner"), STRANGERS)
def test_strangers_learn_and_change_nothing(victim: Victim, tenant: str, owner: str | None) -> None:
    before = victim.snapshot()
    secrets = (*SECRETS, before[0].info.incarnation)
    for name, call in (*CLIENT.items(), *SESSION.items()):
        if isinstance(call, str):
            continue
        with tf.Client(victim.client.store, tenant=tenant, owner=owner, close_store=False) as stranger:
            try:
                told = repr(call(stranger, victim))
            except TurnfoldError as error:
                told = f"{error} {error.hint} {error.details}"
        assert not [word for word in secrets if word in told], f"{name} tells {told}"
        assert victim.snapshot() == before, f"{name} changed the session"
    assert victim.client.renew_lease(victim.lease).fence == victim.lease.fence


@pytest.mark.parametrize("name", ["append", "close", "fork", "pin", "redact", "state", "tag", "update", "persist", "checkpoint"])
def test_another_owners_write_is_refused(victim: Victim, name: str) -> None:
    call = SESSION[name]
    assert not isinstance(call, str)
    with (
        tf.Client(victim.client.store, owner="bob", close_store=False) as bob,
        pytest.raises((tf.SessionNotFound, tf.NotFound, tf.InvalidInput)),
    ):
        call(bob, victim)


@pytest.mark.parametrize(("tenant", "owner"), STRANGERS)
def test_a_stranger_who_follows_hears_nothing(victim: Victim, tenant: str, owner: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tf.Event] = []
    read_events, queries = victim.client.store.read_events, []

    def counted(query: EventQuery) -> EventPage:
        queries.append(query)
        return read_events(query)

    monkeypatch.setattr(victim.client.store, "read_events", counted)
    with tf.Client(victim.client.store, tenant=tenant, owner=owner, close_store=False) as stranger:
        session = stranger.open("s1")
        thread = threading.Thread(target=lambda: heard.extend(session.follow(wait_s=0.3)))
        thread.start()
        writer = victim.client.open("s1", lease=victim.lease)
        for _ in range(5):
            writer.append(tf.user("swordfish"))
        thread.join(10)
        assert not thread.is_alive(), "what a stranger does not see begins its wait anew"
    assert heard == []
    assert len(queries) < 15, "a follower of what is not there must wait, not ask again and again"


def test_a_handle_of_the_owner_goes_on_under_the_lease(victim: Victim) -> None:
    """The positive of it all: what strangers cannot, alice can."""
    with tf.Client(victim.client.store, owner="alice", close_store=False) as alice:
        assert alice.find("s1").title == "Plans of"
        assert [hit.session_id for hit in alice.search("swordfish").items][:1] == ["s1"]
        assert alice.open("s1").part(victim.part)
        assert alice.open("s1", lease=alice.renew_lease(victim.lease)).append(tf.user("mine")).first_seq
        alice.release_lease(victim.lease)
        assert alice.open("s1").append(tf.user("unleased")).first_seq
