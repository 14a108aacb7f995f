"""Cold events in blocks: which are taken, what is left on the disk, and what a damaged or a redacted one does."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.contract.compacted import make_everything_cold
from tests.migration import golden
from turnfold.codec.residual import part_ref
from turnfold.errors import SchemaOutdated, StoreCorrupt
from turnfold.limits import BLOCK_EVENTS_MAX, COMPACT_TAIL_EVENTS
from turnfold.model.event import Event, NewEvent, Seal
from turnfold.model.query import Compacted, EventQuery, SearchQuery
from turnfold.model.session import SessionKey
from turnfold.stores.registry import open_store
from turnfold.stores.sql.blocks import Block
from turnfold.stores.sqlite import SqliteStore
from turnfold.stores.sqlite.blocks import SEQ_MASK
from turnfold.testing.clock import FakeClock
from turnfold.testing.contract import build

KEY = SessionKey("default", "s")
DAY_US = 86_400_000_000
SECRET = "correct horse battery staple"
TEXT = "the same words come again and again, " * 20


def compact(store: SqliteStore) -> Compacted:
    """Compact to the end; return the sums."""
    totals: dict[str, Any] = {"session_count": 0, "segment_count": 0, "event_count": 0, "bytes_before": 0, "bytes_after": 0}
    for _ in range(1_000):
        step = store.compact()
        totals = {name: value + getattr(step, name) for name, value in totals.items()}
        if not step.more:
            return Compacted(**totals)
    raise AssertionError("compact never comes to an end")


def log(store: SqliteStore, key: SessionKey = KEY) -> list[Event]:
    return store.read_events(EventQuery(key=key, limit=10_000, with_source=True)).events


def fill(store: SqliteStore, count: int, key: SessionKey = KEY) -> list[Event]:
    store.commit(build.commit(key, *(f"{index} {TEXT}" for index in range(count)), genesis=build.genesis()))
    return log(store, key)


def block_texts(path: Path) -> bytes:
    """What all blocks hold, decompressed."""
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT last_pos, first_pos, body FROM block").fetchall()
    connection.close()
    return b"".join(Block("x", first & SEQ_MASK, body)._content for _, first, body in rows)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> Any:
    made = SqliteStore(tmp_path / "s.db", clock=clock)
    build.follow_clock(clock)
    yield made
    build.follow_clock(None)
    made.close()


def test_an_idle_session_goes_into_blocks_whole(store: SqliteStore, clock: FakeClock) -> None:
    before = fill(store, 600)
    assert compact(store).segment_count == 0, "it is warm"
    clock.advance(2 * DAY_US)
    done = compact(store)
    assert done.event_count == 601
    assert done.session_count == 1
    assert done.bytes_after < 0.1 * done.bytes_before
    assert log(store) == before
    assert store.check().facts["compacted_event_count"] == 601
    assert store.check().problems == ()


def test_a_busy_session_keeps_its_tail_and_what_no_seal_covers(store: SqliteStore, clock: FakeClock) -> None:
    before = fill(store, COMPACT_TAIL_EVENTS + 700)
    clock.advance(61_000_000)
    assert compact(store).event_count == 0, "nothing is sealed"
    incarnation = store.get_session(KEY).info.incarnation
    assert store.add_seal(KEY, Seal(400, b"", b"root"), incarnation=incarnation)
    done = compact(store)
    assert 400 - BLOCK_EVENTS_MAX < done.event_count <= 400
    assert store.add_seal(KEY, Seal(len(before), b"root", b"root2"), incarnation=incarnation)
    compact(store)
    held = store.check().facts["compacted_event_count"]
    assert isinstance(held, int)
    assert 700 - BLOCK_EVENTS_MAX < held <= 701
    assert log(store) == before
    store.commit(build.commit(KEY, "more"))
    assert compact(store).event_count == 0, "it was written just now"


def test_what_is_idle_again_goes_into_further_blocks(store: SqliteStore, clock: FakeClock) -> None:
    for turn in range(3):
        store.commit(build.commit(KEY, *(f"{turn} {index} {TEXT}" for index in range(30)), genesis=build.genesis()))
        before = log(store)
        clock.advance(2 * DAY_US)
        assert compact(store).event_count == (31 if turn == 0 else 30)
        assert log(store) == before


def test_what_does_not_shrink_stays(store: SqliteStore, clock: FakeClock) -> None:
    from random import Random

    noise = [Random(index).randbytes(3_000).hex() for index in range(20)]
    store.commit(build.commit(KEY, *(NewEvent(type="note", data=text) for text in noise), genesis=build.genesis()))
    # Hexadecimal digits shrink to a half; what is left of that is noise, as an encrypted payload is.
    store.commit(build.commit(KEY, NewEvent(type="note", data=list(map(ord, "x")))))
    clock.advance(2 * DAY_US)
    assert compact(store).event_count == 22
    other = SessionKey("default", "other")
    store.commit(build.commit(other, "short", genesis=build.genesis()))
    clock.advance(2 * DAY_US)
    assert compact(store) == Compacted()
    assert compact(store) == Compacted(), "it is not looked at again"


def test_parts_are_compressed_and_come_back(store: SqliteStore, clock: FakeClock) -> None:
    from random import Random

    text, noise = TEXT.encode() * 50, Random(1).randbytes(20_000)
    parts = tuple((part_ref(one), one) for one in (text, noise))
    store.commit(build.commit(KEY, "first", genesis=build.genesis(), parts=parts))
    clock.advance(2 * DAY_US)
    done = compact(store)
    assert done.bytes_before >= len(text)
    assert done.bytes_after < 0.1 * len(text)
    assert [store.read_part(KEY, ref) for ref, _ in parts] == [text, noise]


def test_a_redacted_event_leaves_no_bytes_anywhere(store: SqliteStore, clock: FakeClock, tmp_path: Path) -> None:
    secret = build.event(f"the word is {SECRET}", meta_raw=f'{{"hint":"{SECRET}"}}'.encode(), source=f"line {SECRET}".encode())
    store.commit(build.commit(KEY, *(f"{index} {TEXT}" for index in range(50)), build.with_digest(secret), genesis=build.genesis()))
    store.commit(build.commit(KEY, *(f"later {index} {TEXT}" for index in range(50))))
    clock.advance(2 * DAY_US)
    compact(store)
    target = log(store)[51]
    assert SECRET.encode() in target.data_raw
    store.commit(build.redaction(KEY, target))
    store.close()
    assert SECRET.encode() not in (tmp_path / "s.db").read_bytes(), "freed pages hold it still"
    assert SECRET.encode() not in block_texts(tmp_path / "s.db")


def test_search_rows_of_events_in_blocks_are_erased_with_them(store: SqliteStore, clock: FakeClock) -> None:
    from turnfold.core.search import index_rows

    fill(store, 40)
    store.commit(build.commit(KEY, f"the word is {SECRET}"))
    page = store.read_events(EventQuery(key=KEY, limit=1_000))
    assert store.advance("search", KEY, incarnation=page.incarnation, from_seq=0, to_seq=page.last_seq, rows=index_rows(page.events))
    clock.advance(2 * DAY_US)
    compact(store)
    query = SearchQuery(tenant="default", terms=("battery",))
    assert len(store.search(query)) == 1
    store.commit(build.redaction(KEY, log(store)[41]))
    assert store.search(query) == []
    assert store.check().problems == ()


def test_a_damaged_block_is_named(store: SqliteStore, clock: FakeClock, tmp_path: Path) -> None:
    fill(store, 40)
    clock.advance(2 * DAY_US)
    compact(store)
    raw = sqlite3.connect(tmp_path / "s.db")
    raw.execute("UPDATE block SET revision = 2, body = CAST(substr(body, 1, 40) || x'00' || substr(body, 42) AS BLOB)")
    raw.commit()
    raw.close()
    with pytest.raises(StoreCorrupt, match=r"block \d+ is damaged"):
        log(store)
    assert len(store.check().problems) == 1
    assert "is damaged" in store.check().problems[0]


def test_a_block_that_is_missing_is_noticed(store: SqliteStore, clock: FakeClock, tmp_path: Path) -> None:
    fill(store, 40)
    clock.advance(2 * DAY_US)
    compact(store)
    raw = sqlite3.connect(tmp_path / "s.db")
    raw.execute("DELETE FROM block")
    raw.commit()
    raw.close()
    assert store.check().problems == ("41 events are without their payload, and no block has them",)


def test_reclaim_gives_the_room_back(store: SqliteStore, clock: FakeClock, tmp_path: Path) -> None:
    before = fill(store, 3_000)
    clock.advance(2 * DAY_US)
    compact(store)
    free = store.check().facts["free_bytes"]
    assert isinstance(free, int)
    assert free > 1_000_000
    store.reclaim()
    facts = store.check().facts
    assert facts["free_bytes"] == 0
    assert (tmp_path / "s.db").stat().st_size < free / 2
    assert log(store) == before
    store.commit(build.commit(KEY, "and on"))
    assert store.check().problems == ()


def test_two_stores_compact_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    make_everything_cold(monkeypatch)
    one, two = (SqliteStore(tmp_path / "s.db", durability="normal") for _ in range(2))
    before = {key: fill(one, 300, key) for key in (SessionKey("default", f"s{index}") for index in range(6))}
    threads = [threading.Thread(target=compact, args=(each,)) for each in (one, two) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    compact(one)
    facts = one.check()
    assert facts.problems == ()
    assert facts.facts["compacted_event_count"] == facts.facts["event_count"] == 6 * 301
    assert {key: log(two, key) for key in before} == before
    one.close()
    two.close()


def test_a_file_that_older_code_may_still_use_is_not_compacted(tmp_path: Path) -> None:
    store = open_store(golden.old_store("sqlite", tmp_path))
    with pytest.raises(SchemaOutdated, match=r"lacks .*0005\.post\.compact") as caught:
        store.compact()
    assert "store migrate --post" in caught.value.hint
    store.migrate(post=True)
    store.compact()
    store.close()
