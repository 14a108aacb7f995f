"""The composite store: what becomes of artifacts when somebody dies, redacts, deletes or writes at the same moment."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest

import turnfold as tf
from turnfold.artifacts.folder import FolderArtifacts
from turnfold.artifacts.memory import MemoryArtifacts
from turnfold.codec.residual import part_ref
from turnfold.core.redaction import redact_of
from turnfold.errors import InvalidInput, NotFound, SequenceConflict, StoreCorrupt, StoreUnavailable
from turnfold.model.artifact import ArtifactName
from turnfold.model.commit import Commit, Committed
from turnfold.model.event import Event, NewEvent
from turnfold.model.query import EventQuery
from turnfold.model.session import SessionKey
from turnfold.ports.store import DURABLE, MULTI_PROCESS
from turnfold.stores.composite import CompositeStore
from turnfold.stores.memory import MemoryStore
from turnfold.stores.registry import open_store
from turnfold.stores.sqlite import SqliteStore
from turnfold.testing.clock import FakeClock
from turnfold.testing.contract import build

KEY = SessionKey("default", "s1")
BYTES = b"a large image"
REF = part_ref(BYTES)
NAME = ArtifactName(*KEY, REF)
PART = (REF, BYTES)
HOUR_US = 3_600_000_000


class Dying(Exception):
    """The process is gone."""


class Both:
    """A composite in memory, with its halves at hand."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.sessions = MemoryStore(clock=self.clock)
        self.artifacts = MemoryArtifacts(clock=self.clock)
        self.store = CompositeStore(self.sessions, self.artifacts, clock=self.clock)
        self.store.commit(build.commit(KEY, genesis=build.genesis()))

    def names(self) -> list[ArtifactName]:
        return [found.name for found in self.artifacts.list()]

    def log(self) -> list[Event]:
        return self.store.read_events(EventQuery(key=KEY, with_source=True)).events

    def redaction(self) -> Commit:
        event = self.log()[-1]
        notice = NewEvent(type="redaction", data={"targets": [{"seq": event.seq, "digest": event.digest.hex()}]})
        return build.commit(KEY, notice, redacts=(redact_of(event, (REF,)),), lifecycle=True)


def around(target: object, name: str, monkeypatch: pytest.MonkeyPatch, before: Callable[[], object]) -> None:
    """Let something happen before the next call of a method, once."""
    method = getattr(target, name)

    def call(*args: object, **kwargs: object) -> object:
        monkeypatch.setattr(target, name, method)
        before()
        return method(*args, **kwargs)

    monkeypatch.setattr(target, name, call)


def away() -> None:
    raise StoreUnavailable("the bucket is away")


def die() -> None:
    raise Dying


def test_bytes_are_put_before_the_commit_that_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    both = Both()
    seen: list[ArtifactName] = []
    around(both.sessions, "commit", monkeypatch, lambda: seen.extend(both.names()))
    both.store.commit(build.commit(KEY, "look", parts=(PART,)))
    assert seen == [NAME]


def test_a_crash_between_leaves_an_orphan_that_is_named_and_swept(monkeypatch: pytest.MonkeyPatch) -> None:
    both = Both()
    around(both.sessions, "commit", monkeypatch, die)
    with pytest.raises(Dying):
        both.store.commit(build.commit(KEY, "look", parts=(PART,)))
    assert [event.seq for event in both.log()] == [1]
    with pytest.raises(NotFound):
        both.store.read_part(KEY, REF)
    report = both.store.check()
    assert report.problems == ()
    assert (report.facts["artifact_count"], report.facts["orphan_count"]) == (1, 1)
    assert REF in str(report.facts["orphan_first"])
    both.store.compact()
    assert both.names() == [NAME], "it may be on its way"
    both.clock.advance(HOUR_US + 1)
    both.store.compact()
    assert both.names() == []
    assert both.store.check().facts["orphan_count"] == 0


def test_the_background_sweeps_once_a_day() -> None:
    both = Both()
    with pytest.raises(SequenceConflict):
        both.store.commit(build.commit(KEY, "look", parts=(PART,), expected_seq=9))
    both.clock.advance(2 * HOUR_US)
    both.store.compact(sessions_max=1)
    assert both.names() == [NAME]
    both.clock.advance(23 * HOUR_US)
    both.store.compact(sessions_max=1)
    assert both.names() == []


def test_a_refused_commit_leaves_at_most_an_orphan() -> None:
    both = Both()
    with pytest.raises(SequenceConflict):
        both.store.commit(build.commit(KEY, "look", parts=(PART,), expected_seq=9))
    assert both.store.check().facts["orphan_count"] == 1
    both.store.commit(build.commit(KEY, "look", parts=(PART,)))
    assert both.store.check().facts["orphan_count"] == 0
    both.clock.advance(2 * HOUR_US)
    both.store.compact()
    assert both.store.read_part(KEY, REF) == BYTES


def test_an_artifact_store_that_is_away_refuses_the_commit_and_a_retry_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    both = Both()
    commit, other = build.commit(KEY, "look", parts=(PART,)), build.commit(KEY, "and go")
    around(both.artifacts, "put", monkeypatch, away)
    with pytest.raises(StoreUnavailable):
        both.store.commit(commit)
    assert [event.seq for event in both.log()] == [1]
    around(both.artifacts, "put", monkeypatch, away)
    first, second = both.store.commit_many([commit, other])
    assert isinstance(first, StoreUnavailable)
    assert isinstance(second, Committed)
    done = both.store.commit_many([commit, other])
    assert [isinstance(item, Committed) and item.repeated for item in done] == [False, True]
    assert both.store.read_part(KEY, REF) == BYTES


def test_an_artifact_store_that_is_away_after_the_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller hears of it, and the same commit again is a repeat that finds everything there."""
    both = Both()
    commit = build.commit(KEY, "look", parts=(PART,))
    around(both.artifacts, "has", monkeypatch, away)
    with pytest.raises(StoreUnavailable):
        both.store.commit(commit)
    assert both.store.commit(commit).repeated
    assert both.store.read_part(KEY, REF) == BYTES
    assert [event.seq for event in both.log()] == [1, 2]


def test_redaction_reaches_the_bytes_also_when_the_first_attempt_died(monkeypatch: pytest.MonkeyPatch) -> None:
    both = Both()
    both.store.commit(build.commit(KEY, "look", parts=(PART,)))
    redaction = both.redaction()
    around(both.artifacts, "delete", monkeypatch, die)
    with pytest.raises(Dying):
        both.store.commit(redaction)
    with pytest.raises(NotFound):
        both.store.read_part(KEY, REF)
    assert both.names() == [NAME]
    assert both.store.commit(redaction).repeated
    assert both.names() == []


def test_an_import_again_does_not_bring_redacted_bytes_back() -> None:
    both = Both()
    first = build.commit(KEY, "look", parts=(PART,))
    both.store.commit(first)
    both.store.commit(both.redaction())
    assert both.store.commit(first).repeated
    assert both.names() == []


def test_named_again_while_it_is_erased(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever moment of the erasing the other commit falls into, what is named is there."""
    for moment in ("get", "delete", "has", "put"):
        both = Both()
        both.store.commit(build.commit(KEY, "look", parts=(PART,)))
        redaction = both.redaction()
        again = build.commit(KEY, "again", parts=(PART,))
        if moment == "has":  # the other way round: erased while it is named again, after the commit
            around(both.artifacts, "has", monkeypatch, partial(both.store.commit, redaction))
            both.store.commit(again)
            with pytest.raises(NotFound):
                both.store.read_part(KEY, REF)
            continue
        if moment == "put":
            around(both.sessions, "commit", monkeypatch, partial(both.store.commit, redaction))
            both.store.commit(again)
        else:
            around(both.artifacts, moment, monkeypatch, partial(both.store.commit, again))
            both.store.commit(redaction)
        assert both.store.read_part(KEY, REF) == BYTES, moment


def test_deleting_a_session_erases_its_bytes_and_nobody_elses() -> None:
    both = Both()
    other = SessionKey("default", "s2")
    both.store.commit(build.commit(KEY, "look", parts=(PART,)))
    both.store.commit(build.commit(other, "look", genesis=build.genesis(), parts=(PART,)))
    both.store.delete_session(KEY)
    assert both.names() == [ArtifactName(*other, REF)]
    assert both.store.read_part(other, REF) == BYTES


def test_bytes_that_cannot_be_erased_now_are_swept_later(monkeypatch: pytest.MonkeyPatch) -> None:
    both = Both()
    both.store.commit(build.commit(KEY, "look", parts=(PART,)))

    around(both.artifacts, "delete", monkeypatch, away)
    both.store.delete_session(KEY)
    assert both.names() == [NAME]
    both.clock.advance(2 * HOUR_US)
    both.store.compact()
    assert both.names() == []


def test_bytes_that_are_missing_or_damaged_are_an_error_that_says_so(tmp_path: Path) -> None:
    artifacts = FolderArtifacts(tmp_path)
    store = CompositeStore(MemoryStore(), artifacts)
    store.commit(build.commit(KEY, "look", genesis=build.genesis(), parts=(PART,)))
    (path,) = tmp_path.glob("??/*/*")
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(StoreCorrupt, match="damaged"):
        store.read_part(KEY, REF)
    path.unlink()
    with pytest.raises(StoreCorrupt, match="missing"):
        store.read_part(KEY, REF)
    store.close()


def test_parts_from_before_the_two_were_put_together_are_read_and_redacted() -> None:
    sessions = MemoryStore()
    sessions.commit(build.commit(KEY, "look", genesis=build.genesis(), parts=(PART,)))
    store = CompositeStore(sessions, MemoryArtifacts())
    assert store.read_part(KEY, REF) == BYTES
    event = store.read_events(EventQuery(key=KEY)).events[-1]
    store.commit(build.commit(KEY, redacts=(redact_of(event, (REF,)),), lifecycle=True))
    with pytest.raises(NotFound):
        sessions.read_part(KEY, REF)


def test_it_claims_what_both_halves_can(tmp_path: Path) -> None:
    store = CompositeStore(SqliteStore(tmp_path / "s.db"), MemoryArtifacts())
    assert not {DURABLE, MULTI_PROCESS} & store.capabilities
    store.close()
    store = CompositeStore(SqliteStore(tmp_path / "s.db"), FolderArtifacts(tmp_path / "a"))
    assert {DURABLE, MULTI_PROCESS} <= store.capabilities
    store.close()


def test_by_url_through_a_client(tmp_path: Path) -> None:
    sessions, artifacts = f"sqlite:///{tmp_path}/s.db", f"files:///{tmp_path}/a"
    image = tf.BlobPart(mime_type="image/png", modality="image", content="iVBO" * 20_000)
    with tf.connect(f"composite:?sessions={quote(sessions, safe='')}&artifacts={quote(artifacts, safe='')}") as client:
        session = client.open("s")
        session.append(tf.Message(role="user", parts=[image]))
        assert [len(path.read_bytes()) > 80_000 for path in (tmp_path / "a").glob("??/*/*")] == [True]
        (part,) = session.messages()[0].parts
        assert isinstance(part, tf.BlobPart)
        assert session.part(part.blob_ref or "").decode() == "iVBO" * 20_000
        session.redact(2)
        client.verify("s")
        assert list((tmp_path / "a").glob("??/*/*")) == []
    assert b"iVBOiVBO" not in (tmp_path / "s.db").read_bytes()


@pytest.mark.parametrize(
    "url", ["composite:", "composite:?sessions=memory%3A%2F%2F", "composite:?sessions=memory://&artifacts=memory://&x=1"]
)
def test_urls_that_mean_nothing(url: str) -> None:
    with pytest.raises(InvalidInput, match="composite"):
        open_store(url)


def test_a_long_poll_sees_an_append_at_once(tmp_path: Path) -> None:
    """Scenario B22: nothing of the wait holds up the append, and the append ends the wait."""
    store = CompositeStore(SqliteStore(tmp_path / "s.db", durability="normal"), FolderArtifacts(tmp_path / "a"))
    with tf.connect(store) as client:
        session = client.open("s", persist=True)
        took_s: list[float] = []
        for number in range(3):
            after = client.open("s").append(tf.user(f"before {number}")).last_seq
            seen: list[int] = []

            def poll(after: int = after, seen: list[int] = seen) -> None:
                seen.extend(event.seq for event in client.open("s").follow(after=after, wait_s=0.5))

            waiting = threading.Thread(target=poll)
            waiting.start()
            time.sleep(0.05)
            began = time.perf_counter()
            seq = session.append(tf.user("now")).last_seq
            took_s.append(time.perf_counter() - began)
            waiting.join()
            assert seen == [seq]
        assert min(took_s) < 0.05
    store.close()
