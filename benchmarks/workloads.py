"""What one process measures. Each workload writes or reads through the contestant's own API and checks what it got."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.contestant import Contestant
from benchmarks.conversation import Item, conversation, equal, note, repeated
from benchmarks.timing import Result, done, folder_bytes, median, now_ns, percentile, written_bytes

BULK = 2_000
"""Items of one commit while seeding."""


def _slice_us(times_ns: list[int], first: int, last: int) -> float | None:
    part = times_ns[first:last]
    return median(part) / 1_000 if len(part) == last - first else None


async def append(who: Contestant, *, count: int, per: int = 1, cap_s: float = 20.0) -> Result:
    """Write ``count`` items, ``per`` of them in each commit, one commit after the other."""
    items = list(conversation(count)) if count <= 2_000 else repeated(count)
    await done(who.open())
    handle = await done(who.session("one", "u1", "a1", new=True))
    unique = who.native(items[:2_000])
    natives = unique if len(items) <= 2_000 else [unique[index % 2_000] for index in range(count)]
    batches = [who.batch(natives[at : at + per]) for at in range(0, count, per)]
    io, cpu = written_bytes(), time.process_time()
    times = await _timed(who, handle, batches, cap_s) if who.ASYNC else _timed_sync(who, handle, batches, cap_s)
    cpu, io = time.process_time() - cpu, written_bytes() - io
    commits = len(times)
    got = who.neutral(list(await done(who.load(handle))))
    verified = equal(got, items[: commits * per])
    await done(who.close())
    return {
        "commits": commits,
        "us": median(times) / 1_000,
        "best_us": min(times) / 1_000,
        "p99_us": percentile(times, 0.99) / 1_000,
        "mean_us": sum(times) / commits / 1_000,
        "cpu_us": cpu * 1e6 / commits,
        "at_10_us": _slice_us(times, 5, 25),
        "at_2000_us": _slice_us(times, 1_960, 2_000),
        "at_100000_us": _slice_us(times, 99_800, 100_000),
        "written_bytes": io / commits / per,
        "disk_bytes": folder_bytes(who.folder) / commits / per,
        "verified": verified,
    }


def _timed_sync(who: Contestant, handle: Any, batches: list[Any], cap_s: float) -> list[int]:
    put, times, end = who.append, [], now_ns() + int(cap_s * 1e9)
    for batch in batches:
        begin = now_ns()
        put(handle, batch)
        stop = now_ns()
        times.append(stop - begin)
        if stop > end:
            break
    return times


async def _timed(who: Contestant, handle: Any, batches: list[Any], cap_s: float) -> list[int]:
    put, times, end = who.append, [], now_ns() + int(cap_s * 1e9)
    for batch in batches:
        begin = now_ns()
        await put(handle, batch)
        stop = now_ns()
        times.append(stop - begin)
        if stop > end:
            break
    return times


async def seed(who: Contestant, *, sizes: list[int]) -> Result:
    """Write one session of each size, in large commits, for the reading workloads."""
    who.durable = who.background = False
    await done(who.open())
    for size in sizes:
        handle = await done(who.session(f"s{size}", "u1", "a1", new=True))
        items = conversation(min(size, 10_000))
        natives = who.native(items)
        for at in range(0, size, BULK):
            first = at % len(natives)
            await done(who.append(handle, natives[first : first + min(BULK, size - at)]))
    await done(who.close())
    return {"disk_bytes": folder_bytes(who.folder), "verified": True}


async def cold(who: Contestant, *, size: int) -> Result:
    """Open the store and load a whole session in a process that has done nothing before."""
    begin = now_ns()
    await done(who.open())
    opened = now_ns()
    handle = await done(who.session(f"s{size}", "u1", "a1", new=False))
    got = await done(who.load(handle))
    loaded = now_ns()
    verified = equal(who.neutral(list(got)), conversation(size))
    again = now_ns()
    await done(who.load(handle))
    warm = now_ns() - again
    await done(who.close())
    return {"ms": (loaded - begin) / 1e6, "open_ms": (opened - begin) / 1e6, "warm_ms": warm / 1e6, "verified": verified}


async def tail(who: Contestant, *, size: int, count: int = 50, rounds: int = 40) -> Result:
    """Read the last items of a long session."""
    await done(who.open())
    handle = await done(who.session(f"s{size}", "u1", "a1", new=False))
    times: list[int] = []
    got: list[Any] = []
    for _ in range(rounds):
        begin = now_ns()
        got = await done(who.tail(handle, count))
        times.append(now_ns() - begin)
        if sum(times) > 5e9:
            break
    want = conversation(min(size, 10_000))[-count:]
    verified = equal(who.neutral(list(got)), want)
    await done(who.close())
    return {"ms": median(times) / 1e6, "best_ms": min(times) / 1e6, "verified": verified}


async def fork(who: Contestant, *, size: int, rounds: int = 12) -> Result:
    """Branch off in the middle of a session, load the branch, and load a plain session of the same length."""
    who.background = False
    closed = folder_bytes(who.folder)
    await done(who.open())
    handle = await done(who.session(f"s{size}", "u1", "a1", new=False))
    before = folder_bytes(who.folder)
    times: list[int] = []
    branch: Any = None
    for index in range(rounds):
        begin = now_ns()
        branch = await done(who.fork(handle, size // 2, f"fork-{index}"))
        times.append(now_ns() - begin)
        if sum(times) > 5e9:
            break
    written = folder_bytes(who.folder) - before  # WAL frames are overwritten only after a checkpoint, so they count here
    plain = await done(who.session(f"s{size // 2}", "u1", "a1", new=False))
    branch_times, plain_times = [], []
    got: list[Any] = []
    for _ in range(5):
        begin = now_ns()
        got = await done(who.load(branch))
        middle = now_ns()
        await done(who.load(plain))
        branch_times.append(middle - begin)
        plain_times.append(now_ns() - middle)
        if sum(branch_times) > 5e9:
            break
    verified = equal(who.neutral(list(got)), conversation(size)[: size // 2])
    await done(who.close())
    return {
        "ms": median(times) / 1e6,
        "best_ms": min(times) / 1e6,
        "live_bytes": written / len(times),
        "file_bytes": (folder_bytes(who.folder) - closed) / len(times),
        "branch_load": min(branch_times) / min(plain_times),
        "verified": verified,
    }


USERS, AGENTS = 50, 2


async def seed_list(who: Contestant, *, count: int) -> Result:
    """Write many short sessions of many users and agents."""
    who.durable = who.background = False
    await done(who.open())
    batch = who.batch(who.native([Item("user", "Hello")]))
    for index in range(count):
        handle = await done(who.session(f"l{index}", f"u{index % USERS}", f"a{index // USERS % AGENTS}", new=True))
        await done(who.append(handle, batch))
    await done(who.close())
    return {"disk_bytes": folder_bytes(who.folder), "verified": True}


async def listing(who: Contestant, *, count: int, rounds: int = 40) -> Result:
    """List the newest 100 sessions of a user and agent."""
    await done(who.open())
    times: list[int] = []
    verified = True
    for index in range(rounds):
        user, agent = (7 * index + 3) % USERS, index % AGENTS
        begin = now_ns()
        got = await done(who.find(f"u{user}", f"a{agent}", 100))
        times.append(now_ns() - begin)
        newest = count - 1 - (count - 1 - user - agent * USERS) % (USERS * AGENTS)
        verified = verified and got == [f"l{at}" for at in range(newest, -1, -USERS * AGENTS)][:100]
        if sum(times) > 10e9:
            break
    await done(who.close())
    return {"ms": median(times) / 1e6, "best_ms": min(times) / 1e6, "verified": verified}


def notes(writer: int, count: int) -> list[Item]:
    """The items of one of several writers."""
    return [note(writer, index) for index in range(count)]
