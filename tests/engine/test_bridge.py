from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

import turnfold as tf
from turnfold.model.answers import Appended
from turnfold.model.commit import Commit, Committed
from turnfold.stores.memory import MemoryStore
from turnfold.stores.sqlite import SqliteStore


class SlowStore(SqliteStore):
    """A real store whose commits wait until they are let go."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self.let_go = threading.Event()
        self.begun = threading.Event()
        self.groups: list[int] = []

    def commit(self, commit: Commit) -> Committed:
        self.groups.append(1)
        self._wait()
        return super().commit(commit)

    def commit_many(self, commits: Any) -> Any:
        self.groups.append(len(commits))
        self._wait()
        return super().commit_many(commits)

    def _wait(self) -> None:
        self.begun.set()
        assert self.let_go.wait(10)


def test_waiting_commits_go_as_one_group(tmp_path: Path) -> None:
    async def main() -> None:
        slow = SlowStore(tmp_path / "a.db")
        async with tf.connect_async(slow) as client:
            session = await client.open("s")
            tasks = [asyncio.create_task(session.append(tf.user(str(n)))) for n in range(20)]
            await asyncio.to_thread(slow.begun.wait, 10)
            slow.let_go.set()
            places = await asyncio.gather(*tasks)
            assert [place.first_seq for place in places] == list(range(2, 22))
            assert sum(slow.groups) == 20
            assert len(slow.groups) <= 3  # what waits together is committed together
            assert [message.text for message in await session.messages()] == [str(n) for n in range(20)]
        slow.close()

    asyncio.run(main())


def test_cancelled_before_it_began_writes_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        slow = SlowStore(tmp_path / "a.db")
        async with tf.connect_async(slow) as client:
            session = await client.open("s")
            first = asyncio.create_task(session.append(tf.user("kept")))
            await asyncio.to_thread(slow.begun.wait, 10)
            second = asyncio.create_task(session.append(tf.user("taken back")))
            await asyncio.sleep(0.01)
            second.cancel()
            with pytest.raises(asyncio.CancelledError):
                await second
            slow.let_go.set()
            await first
            assert [message.text for message in await session.messages()] == ["kept"]
        slow.close()

    asyncio.run(main())


def test_cancelled_after_it_began_runs_to_its_end_and_says_so(tmp_path: Path) -> None:
    async def main() -> None:
        slow = SlowStore(tmp_path / "a.db")
        async with tf.connect_async(slow) as client:
            session = await client.open("s")
            task = asyncio.create_task(session.append(tf.user("durable")))
            await asyncio.to_thread(slow.begun.wait, 10)
            task.cancel()
            await asyncio.sleep(0.01)
            assert not task.done()
            slow.let_go.set()
            with pytest.raises(asyncio.CancelledError):
                await task
            other = await client.open("s")
            assert [message.text for message in await other.messages()] == ["durable"]
        slow.close()

    asyncio.run(main())


def test_failures_of_a_group_reach_their_own_caller(store_url: str) -> None:
    async def main() -> None:
        async with tf.connect_async(store_url) as client:
            session = await client.open("s")
            await session.append(tf.user("0"))
            results = await asyncio.gather(
                session.append(tf.user("1")),
                session.append(tf.user("2"), expected_seq=1),
                session.append(tf.user("3")),
                return_exceptions=True,
            )
            assert [type(result) for result in results] == [Appended, tf.SequenceConflict, Appended]
            assert [m.text for m in await session.messages()] == ["0", "1", "3"]

    asyncio.run(main())


def test_a_new_loop_works_with_the_same_client(store_url: str) -> None:
    client = tf.connect_async(store_url)

    async def once(text: str) -> int:
        session = await client.open("s")
        await session.append(tf.user(text))
        return len(await session.messages())

    assert [asyncio.run(once(text)) for text in "abc"] == [1, 2, 3]
    asyncio.run(client.close())


def test_closed_async_client_says_so() -> None:
    async def main() -> None:
        client = tf.connect_async(MemoryStore())
        session = await client.open("s")
        await session.append(tf.user("x"))
        await client.close()
        with pytest.raises(tf.StoreClosed):
            await session.append(tf.user("y"))
        with pytest.raises(tf.StoreClosed):
            await client.sessions()

    asyncio.run(main())


def test_many_async_followers_share_one_thread(store_url: str) -> None:
    before = threading.active_count()  # servers and proxies of other tests may have some

    async def main() -> None:
        async with tf.connect_async(store_url) as client:
            session = await client.open("s")
            await session.append(tf.user("0"))

            async def follow() -> list[int]:
                mine = await client.open("s")
                return [event.seq async for event in mine.follow(wait_s=1)]

            tasks = [asyncio.create_task(follow()) for _ in range(200)]
            await asyncio.sleep(0.3)
            threads = threading.active_count() - before
            for number in range(10):
                await session.append(tf.user(str(number)))
            assert threads < 20
            assert all(seen == list(range(1, 13)) for seen in await asyncio.gather(*tasks))

    asyncio.run(main())
