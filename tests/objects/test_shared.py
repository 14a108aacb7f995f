"""Several processes on one bucket, each a store of its own here: what one does, the others see, and what one leaves undone, others do."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Iterator

import pytest

from turnfold.core.search import index_rows
from turnfold.errors import LeaseLost, SequenceConflict, SessionNotFound
from turnfold.limits import OBJECT_POLL_S, TOMBSTONE_DAYS
from turnfold.model.commit import Commit
from turnfold.model.event import Event
from turnfold.model.query import EventQuery, SearchQuery, SessionQuery
from turnfold.model.session import SessionKey
from turnfold.objectstorage import Bucket, parse_location
from turnfold.stores.s3 import S3Store, session, upkeep
from turnfold.testing.clock import FakeClock
from turnfold.testing.contract import build

KEY = SessionKey("default", "s")
SCOPE = SessionKey("default", "scope:owner")
SECOND_US = 1_000_000


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def stores(url: str, clock: FakeClock) -> Iterator[tuple[S3Store, S3Store]]:
    one, two = S3Store(url, clock=clock), S3Store(url, clock=clock)
    one.commit(build.commit(KEY, "first", genesis=build.genesis()))
    assert two.get_session(KEY).info.last_seq == 2
    yield one, two
    one.close()
    two.close()


def log(store: S3Store, key: SessionKey = KEY) -> list[Event]:
    return store.read_events(EventQuery(key=key, limit=10_000, with_source=True)).events


def keys_of(url: str, folder: str = "") -> list[str]:
    return [item.key for item in Bucket(parse_location(url)).objects(folder)]


def index(store: S3Store) -> None:
    for item in store.changed_sessions("search", 100):
        rows = index_rows(log(store, item.key))
        rows = [row for row in rows if row.seq > item.follower_seq]
        moved = store.advance("search", item.key, incarnation=item.incarnation, from_seq=item.follower_seq, to_seq=item.last_seq, rows=rows)
        assert moved


def found(store: S3Store, word: str) -> list[int]:
    return [row.seq for row in store.search(SearchQuery(tenant="default", terms=(word,)))]


# ---- no refusal by an old manifest -----------------------------------------------------------------------------------------------------
def test_conditions_are_checked_against_what_is_there_now(stores: tuple[S3Store, S3Store]) -> None:
    one, two = stores
    one.commit(build.commit(KEY, "second"))
    assert two.commit(build.commit(KEY, "third", expected_seq=3)).first_seq == 4
    with pytest.raises(SequenceConflict) as caught:
        one.commit(build.commit(KEY, "late", expected_seq=3))
    assert caught.value.current_seq == 4


def test_what_another_reactivated_takes_events(stores: tuple[S3Store, S3Store]) -> None:
    one, two = stores
    one.commit(build.commit(KEY, build.status_event("suspended"), lifecycle=True))
    assert two.get_session(KEY).info.status == "suspended"
    one.commit(build.commit(KEY, build.status_event("active"), lifecycle=True))
    assert two.commit(build.commit(KEY, "again")).first_seq == 5


def test_repeat_of_what_another_wrote(stores: tuple[S3Store, S3Store]) -> None:
    one, two = stores
    commit = build.commit(KEY, "second")
    one.commit(commit)
    assert two.commit(commit).repeated


def test_deleted_and_created_by_another(stores: tuple[S3Store, S3Store], url: str) -> None:
    one, two = stores
    incarnation = two.get_session(KEY).info.incarnation
    one.delete_session(KEY)
    with pytest.raises(SessionNotFound):
        two.commit(build.commit(KEY, "late"))
    assert [name for name in keys_of(url, "d/") if name.startswith("d/default/s/")] == []
    one.commit(build.commit(KEY, "new", genesis=build.genesis()))
    with pytest.raises(SessionNotFound):
        two.commit(build.commit(KEY, "late", incarnation=incarnation))
    assert two.commit(build.commit(KEY, "more")).first_seq == 3


def test_reading_goes_on_while_segments_are_replaced(stores: tuple[S3Store, S3Store], monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = stores
    monkeypatch.setattr("turnfold.stores.s3.segments.OBJECT_TAIL_BYTES_MAX", 300)
    for index_ in range(30):
        one.commit(build.commit(KEY, f"{index_} " + "x" * 200))
    before = log(one)
    assert log(two) == before
    stored = before[5]
    one.commit(build.redaction(KEY, stored))  # its old segment is removed at once
    assert [event.redacted for event in log(two)].index(True) == 5
    one.compact()
    assert log(two) == log(one)


# ---- leases ----------------------------------------------------------------------------------------------------------------------------
def test_a_lease_runs_out_for_who_has_watched_it_so_long(stores: tuple[S3Store, S3Store], clock: FakeClock) -> None:
    one, two = stores
    lease = one.acquire_lease(KEY, "one", 10)
    clock.advance(9 * SECOND_US)
    with pytest.raises(LeaseLost):
        two.acquire_lease(KEY, "two", 10)  # sees it for the first time
    clock.advance(9 * SECOND_US)
    with pytest.raises(LeaseLost):
        two.acquire_lease(KEY, "two", 10)
    clock.advance(1 * SECOND_US)
    taken = two.acquire_lease(KEY, "two", 10)
    assert taken.fence > lease.fence
    with pytest.raises(LeaseLost):
        one.commit(build.commit(KEY, "from the dead", lease=lease.fence))
    with pytest.raises(LeaseLost):
        one.renew_lease(lease, 10)
    assert two.commit(build.commit(KEY, "heir", lease=taken.fence)).first_seq == 3


def test_renewing_is_seen_by_others(stores: tuple[S3Store, S3Store], clock: FakeClock) -> None:
    one, two = stores
    lease = one.acquire_lease(KEY, "one", 10)
    for _ in range(5):
        with pytest.raises(LeaseLost):
            two.acquire_lease(KEY, "two", 10)
        clock.advance(6 * SECOND_US)
        lease = one.renew_lease(lease, 10)
    one.release_lease(lease)
    assert two.acquire_lease(KEY, "two", 10).fence > lease.fence


# ---- what is followed ------------------------------------------------------------------------------------------------------------------
def test_commits_of_others_are_noticed(stores: tuple[S3Store, S3Store]) -> None:
    one, two = stores
    woken = threading.Event()
    watch = two.watch(woken.set)
    assert two.last_seqs([KEY])[KEY][1] == 2
    one.commit(build.commit(KEY, "second"))
    assert woken.wait(OBJECT_POLL_S * 10)
    assert two.last_seqs([KEY])[KEY][1] == 3
    watch.close()


def test_many_followed_sessions_of_others(url: str, stores: tuple[S3Store, S3Store]) -> None:
    one, two = stores
    keys = [SessionKey(tenant, f"s{index_}") for tenant in ("a", "b") for index_ in range(10)]
    one.commit_many([build.commit(key, genesis=build.genesis()) for key in keys])
    assert {seq for _, seq in two.last_seqs(keys).values()} == {1}
    one.commit_many([build.commit(key, "x") for key in keys])
    assert {seq for _, seq in two.last_seqs(keys).values()} == {2}


# ---- search ----------------------------------------------------------------------------------------------------------------------------
def test_a_redacted_word_is_found_by_nobody(stores: tuple[S3Store, S3Store]) -> None:
    one, two = stores
    one.commit(build.commit(KEY, "the secret hunter", "another hunter"))
    index(one)
    assert found(two, "hunter") == [3, 4]
    one.commit(build.redaction(KEY, log(one)[2]))
    assert found(two, "hunter") == found(one, "hunter") == [4]
    assert b"secret" not in _index_bytes(two), "the word is gone, not only not shown"


def test_a_follower_that_read_before_a_redaction_writes_nothing_of_it(stores: tuple[S3Store, S3Store]) -> None:
    one, two = stores
    one.commit(build.commit(KEY, "the secret hunter"))
    (item,) = two.changed_sessions("search", 10)
    rows = index_rows(log(two))
    one.commit(build.redaction(KEY, log(one)[2]))
    assert two.advance("search", KEY, incarnation=item.incarnation, from_seq=0, to_seq=3, rows=rows)
    assert found(one, "hunter") == []
    assert found(one, "first") == [2]


def test_pruned_words_leave_the_index_when_it_is_compacted(stores: tuple[S3Store, S3Store], monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = stores
    one.commit(build.commit(KEY, "the secret hunter", "another hunter"))
    index(one)
    gone = log(one)[2:3]
    one.commit(build.commit(KEY, prune=(build.range_of(gone),), lifecycle=True, change=build.without_counts(gone)))
    assert found(two, "hunter") == [4]
    assert b"secret" in _index_bytes(two)
    two.compact()
    assert b"secret" not in _index_bytes(two)
    assert found(two, "hunter") == found(one, "hunter") == [4]


def _index_bytes(store: S3Store) -> bytes:
    bucket = store._house.bucket
    chunks = [bucket.get(item.key) for item in bucket.objects("d/") if "/i-" in item.key]
    return b" ".join(zlib.decompress(chunk.body) for chunk in chunks if chunk is not None)


def test_the_index_grows_in_few_chunks(stores: tuple[S3Store, S3Store], url: str) -> None:
    one, two = stores
    for index_ in range(12):
        one.commit(build.commit(KEY, f"word{index_} " * 20))
        index(two)
    assert found(one, "word7") == [10]
    assert len([name for name in keys_of(url, "d/") if "/i-" in name]) <= 3


# ---- what a death in between leaves ----------------------------------------------------------------------------------------------------
class Died(Exception):
    """Stands for the end of a process."""


def wide() -> Commit:
    also = build.commit(SCOPE, build.state_event(theme="dark"), genesis=build.genesis(kind="scope"))
    return build.commit(KEY, build.state_event(step=1), also=(also,))


def test_a_shared_scope_is_written_by_whoever_comes_next(stores: tuple[S3Store, S3Store], monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = stores
    with monkeypatch.context() as patch:
        patch.setattr(session.Session, "deliver", lambda _self: (_ for _ in ()).throw(Died))
        with pytest.raises(Died):
            one.commit(wide())
    assert two.get_session(KEY).info.last_seq == 3
    with pytest.raises(SessionNotFound):
        two.get_session(SCOPE)
    two.changed_sessions("search", 10)  # what the upkeep of every client asks
    assert two.get_session(SCOPE).entry("state", "theme", "main") is not None
    assert two.get_session(SCOPE).info.last_seq == 2
    two.changed_sessions("search", 10)
    assert two.get_session(SCOPE).info.last_seq == 2


def test_a_shared_scope_is_written_once_however_late(stores: tuple[S3Store, S3Store], monkeypatch: pytest.MonkeyPatch) -> None:
    """The process dies after the scope was written and before it said so; meanwhile the scope's log forgets the id."""
    one, two = stores
    monkeypatch.setattr("turnfold.stores.s3.state.IDEMPOTENCY_EVENTS", 4)
    with monkeypatch.context() as patch:
        patch.setattr(session.Session, "change", _dying_second_change(session.Session.change))
        with pytest.raises(Died):
            one.commit(wide())
    assert two.get_session(SCOPE).info.last_seq == 2
    for index_ in range(30):
        two.commit(build.commit(SCOPE, build.state_event(count=index_)))
    assert two.commit(build.commit(KEY, "next")).first_seq == 4
    assert two.get_session(SCOPE).info.last_seq == 32
    assert two.list_sessions(SessionQuery(tenant="default"))[0][0].last_seq == 4


def test_two_sessions_that_write_to_each_other(stores: tuple[S3Store, S3Store]) -> None:
    one, _two = stores
    other = SessionKey("default", "other")
    one.commit(build.commit(other, genesis=build.genesis()))

    def work(mine: SessionKey, theirs: SessionKey) -> None:
        for index_ in range(5):
            one.commit(build.commit(mine, f"mine {index_}", also=(build.commit(theirs, f"theirs {index_}"),)))

    threads = [threading.Thread(target=work, args=pair) for pair in ((KEY, other), (other, KEY))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    one.changed_sessions("search", 10)
    assert (one.get_session(KEY).info.last_seq, one.get_session(other).info.last_seq) == (12, 11)


def test_a_leased_scope_gets_its_commit_later(stores: tuple[S3Store, S3Store]) -> None:
    one, two = stores
    one.commit(build.commit(SCOPE, genesis=build.genesis(kind="scope")))
    handed = wide()
    known = one._house.session(SCOPE)
    lease = None

    def leased_meanwhile() -> None:
        nonlocal lease
        lease = two.acquire_lease(SCOPE, "two", 30)
        known.fresh()

    check = one._check_also

    def check_then_leased(commit: Commit) -> None:
        check(commit)
        leased_meanwhile()

    one._check_also = check_then_leased  # type: ignore[method-assign]
    assert one.commit(handed).first_seq == 3
    assert two.get_session(SCOPE).info.last_seq == 1
    assert lease is not None
    two.release_lease(lease)
    two.changed_sessions("search", 10)
    assert two.get_session(SCOPE).info.last_seq == 2


def _dying_second_change(change: object) -> object:
    calls: list[SessionKey] = []

    def dying(self: session.Session, decide: object) -> object:
        calls.append(self.key)
        if calls.count(KEY) == 2:
            raise Died
        return change(self, decide)  # type: ignore[operator]

    return dying


def test_a_segment_without_its_manifest_is_no_harm(
    stores: tuple[S3Store, S3Store], url: str, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    one, two = stores
    monkeypatch.setattr("turnfold.stores.s3.segments.OBJECT_TAIL_BYTES_MAX", 100)
    commit = build.commit(KEY, "x" * 300)
    with monkeypatch.context() as patch:
        patch.setattr(session.Session, "_replace", lambda *_: (_ for _ in ()).throw(Died))
        with pytest.raises(Died):
            one.commit(commit)
    assert len(keys_of(url, "d/default/s/")) == 1
    assert two.get_session(KEY).info.last_seq == 2
    assert two.commit(commit).first_seq == 3
    assert two.commit(commit).repeated
    assert two.check().problems == ()
    monkeypatch.setattr(upkeep, "OBJECT_GRACE_S", -1.0)
    clock.advance(3_600 * SECOND_US)
    two.compact()
    assert len(keys_of(url, "d/default/s/")) == 1, "the orphan is gone, the segment is there"
    assert [event.seq for event in log(one)] == [1, 2, 3]


def test_what_a_killed_deletion_left_is_removed(stores: tuple[S3Store, S3Store], url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = stores
    monkeypatch.setattr("turnfold.stores.s3.segments.OBJECT_TAIL_BYTES_MAX", 100)
    one.commit(build.commit(KEY, "x" * 300))
    with monkeypatch.context() as patch:
        patch.setattr("turnfold.stores.s3.store.purge", lambda *_: (_ for _ in ()).throw(Died))
        with pytest.raises(Died):
            one.delete_session(KEY)
    with pytest.raises(SessionNotFound):
        two.get_session(KEY)
    assert keys_of(url, "d/default/s/") != []
    monkeypatch.setattr(upkeep, "OBJECT_GRACE_S", -1.0)
    two.compact()
    assert keys_of(url, "d/default/s/") == []


def test_garbage_goes_after_its_time(stores: tuple[S3Store, S3Store], url: str, monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> None:
    one, two = stores
    monkeypatch.setattr("turnfold.stores.s3.segments.OBJECT_TAIL_BYTES_MAX", 300)
    for index_ in range(20):
        one.commit(build.commit(KEY, f"{index_} " + "x" * 200))
    before = log(two)
    many = len(keys_of(url, "d/"))
    two.compact()
    assert len(keys_of(url, "d/")) >= many, "readers of the old manifest go on"
    clock.advance(TOMBSTONE_DAYS * 86_400 * SECOND_US)
    two.compact()
    two.compact()
    assert len(keys_of(url, "d/")) <= 2
    assert log(one) == log(S3Store(url)) == before
