"""Floors for many writers: one thread that commits whatever waits in one transaction, called from asyncio or from threads.

Each append returns after the commit that holds it is durable. One thread hop per append, as Turnfold's async side has.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from typing import Any

from benchmarks.contestant import contestant
from benchmarks.floors import Sqlite

_GROUP_MAX = 512


class _Grouped(Sqlite):
    """A writer thread with a queue of (session, bodies, what to tell)."""

    def start(self) -> None:
        Sqlite.open(self)
        self.waiting: queue.SimpleQueue[tuple[int, list[bytes], Any] | None] = queue.SimpleQueue()
        self.last: dict[int, int] = {}
        self.thread = threading.Thread(target=self._write, daemon=True)
        self.thread.start()

    def _write(self) -> None:
        db = self.connect()
        get, empty = self.waiting.get, self.waiting.empty
        while (job := get()) is not None:
            batch = [job]
            while len(batch) < _GROUP_MAX and not empty():
                job = get()
                if job is None:
                    break
                batch.append(job)
            db.execute("BEGIN IMMEDIATE")
            for talk, bodies, _ in batch:
                last = self.last.get(talk)
                if last is None:
                    last = db.execute("SELECT ifnull(max(seq), 0) FROM entry WHERE talk = ?", (talk,)).fetchone()[0]
                for body in bodies:
                    last += 1
                    db.execute("INSERT INTO entry VALUES(?, ?, ?)", (talk, last, body))
                self.last[talk] = last
            db.execute("COMMIT")
            self.tell([told for _, _, told in batch])
            if job is None:
                break
        db.close()

    def tell(self, waiters: list[Any]) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        self.waiting.put(None)
        self.thread.join()
        Sqlite.close(self)


@contestant
class GroupedThreads(_Grouped):
    """Callers are threads; each waits at a lock of its own."""

    NAME = "raw-sqlite-group"

    def open(self) -> None:
        self.start()

    def writer(self, name: str, user: str, agent: str) -> Any:
        return self.session(name, user, agent, new=False)

    def append(self, handle: Any, batch: Any) -> None:
        gate = threading.Lock()
        gate.acquire()
        self.waiting.put((handle.talk, batch, gate))
        gate.acquire()
        handle.next += len(batch)

    def shared(self, handle: Any, batch: Any) -> None:
        self.append(handle, batch)

    def tell(self, waiters: list[Any]) -> None:
        for gate in waiters:
            gate.release()

    def close(self) -> None:
        self.stop()


@contestant
class GroupedAsync(_Grouped):
    """Callers are asyncio tasks; the loop is woken once per transaction."""

    NAME = "raw-sqlite-async"
    ASYNC = True

    async def open(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.start()

    async def session(self, name: str, user: str, agent: str, *, new: bool) -> Any:
        return Sqlite.session(self, name, user, agent, new=new)

    async def writer(self, name: str, user: str, agent: str) -> Any:
        return Sqlite.session(self, name, user, agent, new=False)

    async def append(self, handle: Any, batch: Any) -> None:
        told = self.loop.create_future()
        self.waiting.put((handle.talk, batch, told))
        await told
        handle.next += len(batch)

    async def shared(self, handle: Any, batch: Any) -> None:
        await self.append(handle, batch)

    async def load(self, handle: Any) -> Any:
        return Sqlite.load(self, handle)

    def tell(self, waiters: list[Any]) -> None:
        self.loop.call_soon_threadsafe(_resolve, waiters)

    async def close(self) -> None:
        self.stop()


def _resolve(waiters: list[Any]) -> None:
    for told in waiters:
        if not told.done():
            told.set_result(None)
