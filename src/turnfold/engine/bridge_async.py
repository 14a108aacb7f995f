"""How the async side of the engine reaches the blocking store: with one thread hop per operation.

Theory of operation. ``AsyncBridge`` has one commit thread and a few read threads per store.
Commits that are awaited in one turn of an event loop go to the commit thread together, at the end of that turn: one wake-up for all of them, and
at a moment when the loop is about to wait and lets the thread have the interpreter. The thread takes everything that has come into one
``commit_many`` (group commit) and tells each event loop once for the whole batch. A cancelled await takes a commit back that the thread has
not begun; one that it has begun is awaited to its end, because it may be durable already, and its outcome is attached to the CancelledError
as ``committed``.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from turnfold.errors import StoreClosed
from turnfold.limits import COMMIT_GROUP_MAX, COMMIT_QUEUE_MAX

if TYPE_CHECKING:
    from turnfold.model.commit import Commit, Committed
    from turnfold.ports.store import Store

P = ParamSpec("P")
T = TypeVar("T")

READ_THREADS = 4


class _Waiting:
    """A commit on its way through the queue."""

    __slots__ = ("cancelled", "commit", "future", "loop", "outcome", "started")

    def __init__(self, commit: Commit, loop: asyncio.AbstractEventLoop) -> None:
        self.commit = commit
        self.loop = loop
        self.future: asyncio.Future[Committed] = loop.create_future()
        self.started = False
        self.cancelled = False
        self.outcome: Committed | BaseException | None = None


class AsyncBridge:
    """Calls the store from asyncio: one hop per operation, commits in groups."""

    def __init__(self, store: Store) -> None:
        """Bind the store; threads start with the first call."""
        self.store = store
        self._queue: queue.SimpleQueue[list[_Waiting] | None] = queue.SimpleQueue()
        self._gathered: dict[asyncio.AbstractEventLoop, list[_Waiting]] = {}
        self._queued = 0
        self._thread: threading.Thread | None = None
        self._executor: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()
        self._closed = False
        self.hop_count = 0
        """Thread hops so far (an exact count that tests look at)."""

    async def call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking function in a thread of this store's pool."""
        if self._executor is None or self._closed:
            with self._lock:
                self._check_open()
                if self._executor is None:
                    self._executor = ThreadPoolExecutor(READ_THREADS, thread_name_prefix="turnfold-read")
        self.hop_count += 1
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, lambda: function(*args, **kwargs))

    async def commit(self, commit: Commit) -> Committed:
        """Commit in the next group."""
        while self._queued >= COMMIT_QUEUE_MAX:  # noqa: ASYNC110  # the queue has no "not full" to wait for
            await asyncio.sleep(0.001)
        loop = asyncio.get_running_loop()
        waiting = _Waiting(commit, loop)
        with self._lock:  # nothing may enter behind the closing None
            self._check_open()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="turnfold-commit", daemon=True)
                self._thread.start()
            self.hop_count += 1
            self._queued += 1
            gathered = self._gathered.get(loop)
            if gathered is None:
                self._gathered[loop] = [waiting]
                loop.call_soon(self._send, loop)
            else:
                gathered.append(waiting)
        try:
            return await waiting.future
        except asyncio.CancelledError as error:
            waiting.cancelled = True
            if waiting.started:
                error.committed = await self._outcome(waiting)  # type: ignore[attr-defined]
            raise

    def _send(self, loop: asyncio.AbstractEventLoop) -> None:
        """Hand over what was awaited in this turn of the loop."""
        with self._lock:
            gathered = self._gathered.pop(loop, None)
        if gathered is not None:  # else the bridge was closed, which has sent it
            self._queue.put(gathered)

    async def _outcome(self, waiting: _Waiting) -> Any:
        """Wait for a begun commit's end, whatever else is cancelled meanwhile."""
        while waiting.outcome is None:
            try:
                await asyncio.sleep(0.001)
            except asyncio.CancelledError:
                continue
        return waiting.outcome

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosed("the client is closed")

    def _run(self) -> None:
        """Take what waits, commit it as one group, tell the loops; until None arrives."""
        get = self._queue.get
        empty = self._queue.empty
        ending = False
        while not ending:
            items = get()
            batch: list[_Waiting] = []
            count = 0
            while items is not None:
                count += len(items)
                for item in items:
                    item.started = True  # before the look at ``cancelled``: the canceller sets and looks in the other order
                    if item.cancelled:
                        item.outcome = asyncio.CancelledError()
                    else:
                        batch.append(item)
                if len(batch) >= COMMIT_GROUP_MAX or empty():
                    break
                items = get()
            else:
                ending = True
            with self._lock:  # before the loops are told: after that the thread should wait again, and leave them the interpreter
                self._queued -= count
            for first in range(0, len(batch), COMMIT_GROUP_MAX):
                self._commit(batch[first : first + COMMIT_GROUP_MAX] if len(batch) > COMMIT_GROUP_MAX else batch)

    def _commit(self, batch: list[_Waiting]) -> None:
        try:
            if len(batch) == 1:
                batch[0].outcome = self.store.commit(batch[0].commit)
            else:
                for item, outcome in zip(batch, self.store.commit_many([item.commit for item in batch]), strict=True):
                    item.outcome = outcome
        except BaseException as error:  # noqa: BLE001  # the thread's last line: every waiter hears of it
            for item in batch:
                if item.outcome is None:
                    item.outcome = error
        loops: dict[asyncio.AbstractEventLoop, list[_Waiting]] = {}
        for item in batch:
            loops.setdefault(item.loop, []).append(item)
        for loop, items in loops.items():
            try:
                loop.call_soon_threadsafe(_resolve, items)
            except RuntimeError:  # the loop was closed while its commit ran; nobody waits any more
                continue

    def close(self) -> None:
        """Let queued commits finish, then stop the threads. Blocking."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            thread, executor = self._thread, self._executor
            for gathered in self._gathered.values():
                self._queue.put(gathered)
            self._gathered.clear()
        if thread is not None:
            self._queue.put(None)
            thread.join()
        if executor is not None:
            executor.shutdown(wait=True)


def _resolve(items: list[_Waiting]) -> None:
    for item in items:
        if item.future.done():
            continue
        if isinstance(item.outcome, BaseException):
            item.future.set_exception(item.outcome)
        elif item.outcome is not None:
            item.future.set_result(item.outcome)
