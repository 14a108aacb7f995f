"""What a call costs in threads, counted exactly: one hop per awaited operation, none on the sync side."""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

import turnfold as tf
from turnfold.stores.memory import MemoryStore

APPENDS = 50


class CountingStore(MemoryStore):
    """A memory store that notes which thread each operation runs in."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: Counter[str] = Counter()
        self.calls = 0

    def _note(self) -> None:
        self.calls += 1
        self.threads[threading.current_thread().name.partition("_")[0]] += 1

    def commit(self, commit: Any) -> Any:
        self._note()
        return super().commit(commit)

    def read_events(self, query: Any) -> Any:
        self._note()
        return super().read_events(query)

    def get_session(self, key: Any, *, owner: str | None = None) -> Any:
        self._note()
        return super().get_session(key, owner=owner)


def wakeups(loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch) -> list[Callable[..., object]]:
    """Collect what other threads hand to the loop: every hop comes back through here, once."""
    seen: list[Callable[..., object]] = []
    original = loop.call_soon_threadsafe

    def counted(callback: Callable[..., object], *args: Any, **kwargs: Any) -> Any:
        seen.append(callback)
        return original(callback, *args, **kwargs)

    monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
    return seen


def test_an_awaited_append_is_exactly_one_thread_hop(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        store = CountingStore()
        async with tf.connect_async(store, upkeep=False) as client:
            session = await client.open("s")
            await session.append(tf.user("first"))
            bridge = client._context.bridge
            store.threads.clear()
            back = wakeups(asyncio.get_running_loop(), monkeypatch)
            before = bridge.hop_count
            for index in range(APPENDS):
                await session.append(tf.user(str(index)))
            assert bridge.hop_count - before == APPENDS
            assert store.threads == {"turnfold-commit": APPENDS}
            assert len(back) == APPENDS

    asyncio.run(main())


def test_appends_that_wait_together_come_back_in_one_wakeup_per_group(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        store = CountingStore()
        async with tf.connect_async(store, upkeep=False) as client:
            session = await client.open("s")
            await session.append(tf.user("first"))
            bridge = client._context.bridge
            back = wakeups(asyncio.get_running_loop(), monkeypatch)
            before = bridge.hop_count
            with store._lock:  # the commit thread waits with the first while the others gather
                tasks = [asyncio.create_task(session.append(tf.user(str(index)))) for index in range(APPENDS)]
                await asyncio.sleep(0.05)
            await asyncio.gather(*tasks)
            assert bridge.hop_count - before == APPENDS
            assert len(back) <= 3  # one turn of the loop is one group, give or take what was on its way

    asyncio.run(main())


@pytest.mark.parametrize(
    "read",
    [
        lambda session: session.messages(),
        lambda session: session.messages(last=5),
        lambda session: session.events(limit=5),
        lambda session: session.info(),
    ],
    ids=["messages", "tail", "events", "info"],
)
def test_an_awaited_read_is_exactly_one_thread_hop(read: Callable[[Any], Any]) -> None:
    async def main() -> None:
        store = CountingStore()
        async with tf.connect_async(store, upkeep=False) as client:
            session = await client.open("s")
            await session.append([tf.user(str(index)) for index in range(20)])
            bridge = client._context.bridge
            before, calls = bridge.hop_count, store.calls
            await read(session)
            assert bridge.hop_count - before == 1
            assert store.calls - calls == 1

    asyncio.run(main())


def test_the_sync_client_never_leaves_its_thread() -> None:
    store = CountingStore()
    with tf.connect(store, upkeep=False) as client:
        session = client.open("s")
        threads = threading.active_count()
        for index in range(APPENDS):
            session.append(tf.user(str(index)))
        session.messages()
        assert threading.active_count() == threads
    assert set(store.threads) == {threading.current_thread().name}
