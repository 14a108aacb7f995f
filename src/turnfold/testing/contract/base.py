"""What all themes share: a store and a fake clock per test, short ways to write and read, and the check behind every scenario."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest

from turnfold.core.search import index_rows
from turnfold.errors import SessionNotFound, StoreClosed
from turnfold.model.commit import Commit, Committed
from turnfold.model.event import Event, RangeTombstone
from turnfold.model.query import EventPage, EventQuery
from turnfold.model.session import Head, SessionKey
from turnfold.ports.store import Store
from turnfold.testing.clock import FakeClock
from turnfold.testing.contract import build
from turnfold.testing.looking import check_head, read_log

T = TypeVar("T")
SECOND_US = 1_000_000


class ContractBase:
    """One store per test. Subclasses say how it is made."""

    tmp_path: Path
    clock: FakeClock
    store: Store
    keys: dict[SessionKey, None]

    def make_store(self, clock: FakeClock) -> Store:
        """Return a new, empty store that takes the time from ``clock``."""
        raise NotImplementedError(f"{type(self).__name__}.make_store")

    @pytest.fixture(autouse=True)
    def _with_store(self, tmp_path: Path) -> Iterator[None]:
        self.tmp_path = tmp_path
        self.clock = FakeClock()
        self.store = self.make_store(self.clock)
        build.follow_clock(self.clock)
        self.keys = {}
        try:
            yield
            self.check_heads()
        finally:
            build.follow_clock(None)
            self.store.close()

    def need(self, capability: str) -> None:
        """Skip the test if the store does not claim the capability."""
        if capability not in self.store.capabilities:
            pytest.skip(f"{self.store.url} has no capability {capability}")

    # ---- writing ---------------------------------------------------------------------------------------------------------------------
    def key(self, session_id: str = "s1", tenant: str = "default") -> SessionKey:
        """A key whose session's head is compared with its log after the test."""
        key = SessionKey(tenant, session_id)
        self.keys[key] = None
        return key

    def create(self, session_id: str = "s1", tenant: str = "default", **fields: Any) -> SessionKey:
        """Create a session; ``fields`` are those of SessionCreated."""
        key = self.key(session_id, tenant)
        self.write(build.commit(key, genesis=build.genesis(**fields)))
        return key

    def write(self, commit: Commit) -> Committed:
        """Hand a commit to the store."""
        self.keys[commit.key] = None
        return self.store.commit(commit)

    def append(self, key: SessionKey, *items: build.Item, **fields: Any) -> Committed:
        """Commit some items; ``fields`` are those of Commit."""
        return self.write(build.commit(key, *items, **fields))

    def step(self, key: SessionKey, status: str, **fields: Any) -> Committed:
        """Commit a lifecycle step."""
        return self.append(key, build.status_event(status), lifecycle=True, **fields)

    def fill(self, key: SessionKey, count: int, prefix: str = "message") -> list[Event]:
        """Append messages in one commit; return the log."""
        self.append(key, *(f"{prefix} {index}" for index in range(count)))
        return self.log(key)

    def refused(self, error: type[Exception], commit: Commit) -> Any:
        """Hand over a commit that must be refused and must change nothing; return the error."""
        before = self.snapshot(commit.key)
        with pytest.raises(error) as caught:
            self.store.commit(commit)
        assert caught.type is error, f"expected {error.__name__}, not its subclass {caught.type.__name__}"
        assert self.snapshot(commit.key) == before, "a refused commit changed something"
        return caught.value

    # ---- reading ---------------------------------------------------------------------------------------------------------------------
    def page(self, key: SessionKey, **fields: Any) -> EventPage:
        """Read one page; ``fields`` are those of EventQuery."""
        return self.store.read_events(EventQuery(key=key, **fields))

    def seqs(self, key: SessionKey, **fields: Any) -> list[int]:
        """The seqs of one page."""
        return [event.seq for event in self.page(key, **fields).events]

    def log(self, key: SessionKey, **fields: Any) -> list[Event]:
        """Read a whole session page by page, with kept source lines."""
        return self.log_and_ranges(key, **fields)[0]

    def log_and_ranges(self, key: SessionKey, **fields: Any) -> tuple[list[Event], list[RangeTombstone]]:
        """Read a whole session page by page, and its range tombstones in order."""
        return read_log(self.store, key, **fields)

    def head(self, key: SessionKey) -> Head:
        """The head, for the whole tenant."""
        return self.store.get_session(key)

    def snapshot(self, key: SessionKey) -> Any:
        """All that a refused commit could have changed, None where there is no session."""
        try:
            head = self.head(key)
        except SessionNotFound:
            return None
        return head, self.log(key), self.store.list_runs(key), self.store.read_seals(key)

    def index_all(self) -> None:
        """Be the search follower until it has caught up."""
        while changed := self.store.changed_sessions("search", 100):
            for item in changed:
                query = EventQuery(key=item.key, after=item.follower_seq, limit=1_000, incarnation=item.incarnation)
                page = self.store.read_events(query)
                rows = index_rows(page.events)
                self.store.advance(
                    "search",
                    item.key,
                    incarnation=item.incarnation,
                    from_seq=item.follower_seq,
                    to_seq=page.through_seq,
                    rows=rows,
                )

    # ---- the check behind every scenario ---------------------------------------------------------------------------------------------
    def check_heads(self) -> None:
        """Check every session that the test touched, if it is still there."""
        for key in self.keys:
            try:
                self.check_head(key)
            except SessionNotFound:
                continue
            except StoreClosed:
                return

    def check_head(self, key: SessionKey) -> None:
        """Every seq is an event or in exactly one range; the head is the fold of the log."""
        check_head(self.store, key)

    def together(self, count: int, work: Callable[[int], T]) -> list[T | Exception]:
        """Run ``work(0 … count-1)`` in that many threads at once; return results and errors in order."""

        def attempt(index: int) -> T | Exception:
            try:
                return work(index)
            except Exception as error:  # noqa: BLE001 - the caller looks at them
                return error

        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(attempt, range(count)))


def only_errors(results: Sequence[Any]) -> list[Exception]:
    """The errors among results of ``together``."""
    return [item for item in results if isinstance(item, Exception)]
