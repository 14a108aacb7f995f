"""A copy is equal, goes on where it was, and never harms what it finds."""

from __future__ import annotations

import itertools
import threading
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.copying import worlds
from tests.copying.worlds import CLOSED, EMBEDDED, PRUNED, RICH, append, create, everything, log_of, redact
from turnfold.engine.copying import session as copying_session
from turnfold.engine.copying.pieces import LogReader, Moved
from turnfold.engine.copying.report import CopyProgress
from turnfold.engine.copying.stores import copy_stores
from turnfold.engine.verify import verify_session
from turnfold.errors import InvalidInput, StoreUnavailable
from turnfold.model.commit import Commit, Committed
from turnfold.model.session import SessionKey
from turnfold.stores.memory import MemoryStore
from turnfold.testing.contract import build


@pytest.fixture
def source() -> Iterator[MemoryStore]:
    store = MemoryStore()
    worlds.fill(store)
    yield store
    store.close()


@pytest.fixture
def target() -> Iterator[MemoryStore]:
    store = MemoryStore()
    yield store
    store.close()


@pytest.fixture(params=[1, 3, 2_000], ids=lambda size: f"pieces of {size}")
def _pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turnfold.engine.copying.pieces.COPY_PIECE_EVENTS", request.param)


@pytest.mark.usefixtures("_pieces")
@pytest.mark.parametrize(("one", "other"), list(itertools.product(EMBEDDED, EMBEDDED)))
def test_copies_are_equal(one: str, other: str, tmp_path: Path) -> None:
    first, second = EMBEDDED[one](tmp_path / "1"), EMBEDDED[other](tmp_path / "2")
    try:
        worlds.fill(first)
        report = copy_stores(first, second)
        assert (report.problems, report.session_count, report.copied_count) == ([], 4, 4)
        assert everything(second) == everything(first)
        for key in (RICH, CLOSED, PRUNED):
            verify_session(second, key)
        again = copy_stores(first, second)
        assert (again.unchanged_count, again.event_count, again.problems) == (4, 0, [])
        compared = copy_stores(first, second, verify_only=True)
        assert (compared.unchanged_count, compared.problems) == (4, [])
        assert compared.event_count == report.event_count > 60
    finally:
        first.close()
        second.close()


def test_round_trip_through_every_store(tmp_path: Path) -> None:
    chain = [EMBEDDED[name](tmp_path / f"{place}") for place, name in enumerate(("memory", "sqlite", "files", "sqlite", "memory"))]
    worlds.fill(chain[0])
    for one, other in itertools.pairwise(chain):
        assert copy_stores(one, other).problems == []
    assert everything(chain[-1]) == everything(chain[0])
    for store in chain:
        store.close()


@pytest.mark.usefixtures("_pieces")
def test_what_has_grown_is_carried_on(source: MemoryStore, target: MemoryStore) -> None:
    copy_stores(source, target)
    incarnation = target.get_session(RICH).info.incarnation
    append(source, RICH, "more", "and more", build.state_event(s=3))
    worlds.seal(source, RICH)
    create(source, SessionKey("default", "new"))
    report = copy_stores(source, target)
    assert (report.extended_count, report.copied_count, report.unchanged_count, report.event_count) == (1, 1, 3, 4)
    assert everything(target) == everything(source)
    assert target.get_session(RICH).info.incarnation == incarnation


@pytest.mark.usefixtures("_pieces")
def test_going_on_between_an_event_and_its_redaction_writes_nothing_anew(source: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    redact(source, CLOSED, log_of(source, CLOSED)[2])
    monkeypatch.setattr("turnfold.engine.copying.pieces.COPY_PIECE_EVENTS", 3)
    target = Meddling()

    def away() -> None:
        raise StoreUnavailable("gone")

    target.before_commit[4] = away
    with pytest.raises(StoreUnavailable):
        copy_stores(source, target)
    assert 3 < target.get_session(CLOSED).info.last_seq < 50
    report = copy_stores(source, target)
    assert (report.replaced_count, report.problems) == (0, [])
    assert everything(target) == everything(source)


def test_pruned_since(source: MemoryStore, target: MemoryStore) -> None:
    append(source, CLOSED, *(build.delta(f"{number}") for number in range(5)), lifecycle=True)
    copy_stores(source, target)
    append(source, CLOSED, "whole", prune=(build.range_of(log_of(source, CLOSED)[-4:]),), lifecycle=True)
    report = copy_stores(source, target)
    assert (report.extended_count, report.replaced_count) == (1, 0)
    assert everything(target) == everything(source)


@pytest.mark.usefixtures("_pieces")
def test_redacted_since(source: MemoryStore, target: MemoryStore) -> None:
    copy_stores(source, target)
    redact(source, CLOSED, log_of(source, CLOSED)[3])
    report = copy_stores(source, target)
    assert (report.replaced_count, report.problems) == (1, [])
    assert everything(target) == everything(source)
    assert b'"message 2"' not in b"".join(event.data_raw for event in log_of(target, CLOSED))


@pytest.mark.parametrize("key", [CLOSED, PRUNED], ids=["with a time to live", "without"])
def test_pruned_across_the_end_of_the_copy(key: SessionKey, source: MemoryStore, target: MemoryStore) -> None:
    append(source, key, build.delta("1"), build.delta("2"), lifecycle=True)
    copy_stores(source, target)
    append(source, key, build.delta("3"), build.delta("4"), lifecycle=True)
    append(source, key, prune=(build.range_of(log_of(source, key)[-4:]),), lifecycle=True)
    report = copy_stores(source, target)
    assert (report.replaced_count, report.problems) == (1, [])
    assert worlds.log_and_ranges(target, key) == worlds.log_and_ranges(source, key)
    assert copy_stores(source, target).unchanged_count == 4


def test_sums_of_pruned_events_come_along(source: MemoryStore, target: MemoryStore) -> None:
    """A range may be pruned with or without taking its counts off the head; the copy shows what the source shows."""
    append(source, CLOSED, prune=(build.range_of(log_of(source, CLOSED)[10:20]),), lifecycle=True)
    assert source.get_session(CLOSED).info.message_count == 50
    assert copy_stores(source, target).problems == []
    assert target.get_session(CLOSED).info.message_count == 50


def test_runs_that_changed_without_an_event(source: MemoryStore, target: MemoryStore) -> None:
    copy_stores(source, target)
    (run,) = source.list_runs(RICH)
    source.commit(Commit(key=RICH, runs=(build.replace(run, status="completed"),)))
    assert copy_stores(source, target).extended_count == 1
    assert everything(target) == everything(source)


def test_a_target_with_events_of_its_own_is_left_alone(source: MemoryStore, target: MemoryStore) -> None:
    copy_stores(source, target)
    append(target, RICH, "written in the target")
    create(target, SessionKey("default", "same id"))
    create(source, SessionKey("default", "same id"))
    before = everything(target)
    report = copy_stores(source, target)
    assert {problem.session_id: problem.code for problem in report.problems} == {"rich": "already_exists", "same id": "already_exists"}
    assert report.problem_count == 2
    append(source, RICH, "written in the source", "and again")
    redact(source, RICH, log_of(source, RICH)[1])
    assert [problem.session_id for problem in copy_stores(source, target).problems] == ["rich", "same id"]
    assert everything(target) == before


def test_a_redacted_log_never_replaces_one_that_differs_earlier(source: MemoryStore, target: MemoryStore) -> None:
    """The last event is the same, one before it is not: only the whole walk shows it."""
    copy_stores(source, target)
    head = target.get_session(CLOSED)
    events = log_of(target, CLOSED)
    target.delete_session(CLOSED)
    events[5] = build.with_digest(build.replace(events[5], data_raw=b'{"role":"user","parts":[]}'))
    target.commit(build.verbatim(CLOSED, head, events, [], []))
    redact(source, CLOSED, log_of(source, CLOSED)[3])
    report = copy_stores(source, target)
    assert [problem.message for problem in report.problems] == [
        "session 'closed' of the target has events of its own: its event 6 is another"
    ]


def test_damage_in_the_source_is_not_copied(source: MemoryStore, target: MemoryStore) -> None:
    session = source._sessions[CLOSED]
    event = session.stored(7)
    session.events[6] = build.replace(event, data_raw=event.data_raw.replace(b"message", b"massage"))
    report = copy_stores(source, target)
    assert [(problem.session_id, problem.code) for problem in report.problems] == [("closed", "integrity_error")]
    assert "event 7 does not match its digest" in report.problems[0].message
    assert report.copied_count == 3


def test_damage_in_the_target_is_found_by_comparing(source: MemoryStore, target: MemoryStore) -> None:
    copy_stores(source, target)
    session = target._sessions[RICH]
    for place, problem in ((0, "event 1 "), (2, "event 3 ")):
        kept = session.stored(place + 1)
        session.events[place] = build.replace(kept, meta_raw=b'{"other":1}')
        found = copy_stores(source, target, verify_only=True).problems
        assert [item.session_id for item in found] == ["rich"]
        assert problem in found[0].message
        session.events[place] = kept
    ref = next(iter(session.parts))
    session.parts[ref] += b"!"
    assert "the part sha256:" in copy_stores(source, target, verify_only=True).problems[0].message
    del session.parts[ref]
    assert "the part sha256:" in copy_stores(source, target, verify_only=True).problems[0].message


def test_comparing_says_what_is_behind_or_missing(source: MemoryStore, target: MemoryStore) -> None:
    found = copy_stores(source, target, verify_only=True)
    assert (found.problem_count, everything(target)) == (4, {})
    copy_stores(source, target)
    append(source, RICH, "more")
    (problem,) = copy_stores(source, target, verify_only=True).problems
    assert "it ends at seq" in problem.message


def test_some_tenants_only(source: MemoryStore, target: MemoryStore) -> None:
    report = copy_stores(source, target, tenants={"other tenant"})
    assert (report.session_count, list(everything(target))) == (1, [PRUNED])


def test_the_same_store(source: MemoryStore) -> None:
    with pytest.raises(InvalidInput, match="same store"):
        copy_stores(source, source)


def test_the_same_place(tmp_path: Path) -> None:
    one, other = EMBEDDED["sqlite"](tmp_path), EMBEDDED["sqlite"](tmp_path)
    with pytest.raises(InvalidInput, match="same store"):
        copy_stores(one, other)
    one.close()
    other.close()


def test_a_key_that_is_not_the_digests(source: MemoryStore, target: MemoryStore) -> None:
    report = copy_stores(source, target, mac_key=b"k")
    assert report.problem_count == 4
    assert everything(target) == {}


class Meddling(MemoryStore):
    """A store in which something happens once before its n-th commit or read."""

    def __init__(self) -> None:
        super().__init__()
        self.before_commit: dict[int, object] = {}
        self.commit_count = 0

    def commit(self, commit: Commit) -> Committed:
        self.commit_count += 1
        act = self.before_commit.pop(self.commit_count, None)
        if callable(act):
            act()
        return super().commit(commit)


@pytest.mark.parametrize("place", range(1, 31))
def test_whatever_the_source_does_meanwhile(place: int, source: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Appends, a redaction, pruning, deletion and a new session in its place, between any two pieces: a run ends equal, or the next does."""
    monkeypatch.setattr("turnfold.engine.copying.pieces.COPY_PIECE_EVENTS", 3)
    target = Meddling()

    def meddle() -> None:
        redact(source, CLOSED, log_of(source, CLOSED)[2])
        append(source, RICH, "more", *(build.delta(f"{number}") for number in range(3)))
        append(source, RICH, "whole", prune=(build.range_of(log_of(source, RICH)[-2:]),))
        source.delete_session(PRUNED)
        create(source, PRUNED)
        append(source, PRUNED, "another")

    target.before_commit[place] = meddle
    report = copy_stores(source, target)
    for key in everything(target):
        verify_session(target, key)
    reports = [report, copy_stores(source, target)]
    if reports[1].problems:  # another session in the source under an id that was copied: whose it is, nobody but the user knows
        target.delete_session(PRUNED)
        reports.append(copy_stores(source, target))
    assert {problem.session_id for item in reports for problem in item.problems} <= {PRUNED.session_id}
    assert reports[-1].problems == []
    assert everything(target) == everything(source)


def test_a_store_that_goes_away_ends_the_copy_and_the_next_goes_on(source: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turnfold.engine.copying.pieces.COPY_PIECE_EVENTS", 3)
    target = Meddling()

    def away() -> None:
        raise StoreUnavailable("gone")

    runs = written = 0
    while everything(target) != everything(source):
        target.before_commit[target.commit_count + 4] = away
        try:
            written += copy_stores(source, target).event_count
        except StoreUnavailable:
            runs += 1
            for key in everything(target):
                verify_session(target, key)
        assert runs < 50
    assert runs > 5
    assert target.commit_count < 60, "nothing is written twice"


@pytest.mark.parametrize("name", ["sqlite", "files"])
def test_while_others_write(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every copy of a store in use is a beginning of each of its sessions; the one after the last write is all of it."""
    monkeypatch.setattr("turnfold.engine.copying.pieces.COPY_PIECE_EVENTS", 7)
    source, target = EMBEDDED[name](tmp_path / "1"), EMBEDDED["memory"](tmp_path)
    keys = [SessionKey("default", f"s{number}") for number in range(3)]
    for key in keys:
        create(source, key)
    stop = threading.Event()

    def write(key: SessionKey) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            append(source, key, f"message {number}", build.delta("1"), build.delta("2"))
            if number % 5 == 0:
                append(source, key, "whole", prune=(build.range_of(log_of(source, key)[-2:]),))
            if number % 17 == 0:
                redact(source, key, log_of(source, key)[-1])

    with ThreadPoolExecutor(3) as pool:
        writing = [pool.submit(write, key) for key in keys]
        try:
            while source.get_session(keys[0]).info.last_seq < 60:
                assert copy_stores(source, target).problems == []
                for key in keys:
                    verify_session(target, key)
        finally:
            stop.set()
        for item in writing:
            item.result()
    assert copy_stores(source, target).problems == []
    assert everything(target) == everything(source)
    source.close()


def test_two_copies_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turnfold.engine.copying.pieces.COPY_PIECE_EVENTS", 2)
    source, target = EMBEDDED["memory"](tmp_path), EMBEDDED["sqlite"](tmp_path)
    worlds.fill(source)
    for number in range(5):
        key = SessionKey("default", f"s{number}")
        create(source, key)
        append(source, key, *(f"{index}" for index in range(40)))
    with ThreadPoolExecutor(3) as pool:
        reports = list(pool.map(lambda _: copy_stores(source, target), range(3)))
    assert [report.problems for report in reports] == [[], [], []]
    assert everything(target) == everything(source)
    target.close()


def test_progress_and_order(source: MemoryStore, target: MemoryStore) -> None:
    seen: list[CopyProgress] = []
    copy_stores(source, target, progress=seen.append)
    assert [item.done for item in seen] == [0, 1, 2, 3, 4]
    assert {item.total for item in seen} == {4}
    assert seen[3].session_id.startswith("~state/"), "shared state comes last"
    assert seen[4].event_count > 60


@pytest.mark.slow
def test_a_session_larger_than_the_memory_that_a_copy_may_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turnfold.engine.copying.pieces.COPY_PIECE_BYTES", 500_000)
    monkeypatch.setattr("turnfold.engine.reading.READ_CHUNK_BYTES", 500_000)
    first, second = EMBEDDED["sqlite"](tmp_path / "1"), EMBEDDED["sqlite"](tmp_path / "2")
    key = SessionKey("default", "large")
    create(first, key)
    for number in range(40):
        append(first, key, *(f"{number} {text}" for text in ["x" * 200_000] * 8))
    tracemalloc.start()
    assert copy_stores(first, second).problems == []
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert second.get_session(key).info.last_seq == 321
    first.close()
    second.close()
    assert peak < 25_000_000, f"{peak} bytes for a session of 64,000,000"  # the first page is 100 events


def test_a_session_that_changes_all_the_time(source: MemoryStore, target: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def moved(*_: object, **__: object) -> None:
        raise Moved

    monkeypatch.setattr(copying_session.SessionCopier, "_copy", moved)
    monkeypatch.setattr(LogReader, "pieces", moved)
    report = copy_stores(source, target)
    assert report.problem_count == 4
    assert "changed 20 times" in report.problems[0].message
