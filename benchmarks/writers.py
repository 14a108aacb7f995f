"""Many writers at once: on sessions of their own or on one, as asyncio tasks, threads or processes. Counts what was lost, doubled, misplaced."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

from benchmarks.contestant import Contestant
from benchmarks.conversation import Item, equal
from benchmarks.timing import Result, done, now_ns, percentile
from benchmarks.workloads import notes

Job = tuple[Any, list[Any]]


async def together(who: Contestant, *, one: bool, writers: int = 16, each: int = 200) -> Result:
    """Let ``writers`` append ``each`` items, all at once, then read everything back."""
    await done(who.open())
    names = ["shared"] if one else [f"c{writer}" for writer in range(writers)]
    first = {name: await done(who.session(name, "u1", "a1", new=True)) for name in names}
    for handle in first.values():  # the session exists before the writers come
        await done(who.append(handle, who.batch(who.native([Item("user", "start")]))))
    jobs: list[Job] = []
    for writer in range(writers):
        handle = await done(who.writer("shared" if one else f"c{writer}", "u1", "a1"))
        jobs.append((handle, [who.batch([native]) for native in who.native(notes(writer, each))]))
    wall_s, times, errors = await (_as_tasks(who, jobs) if who.ASYNC else _as_threads(who.shared, jobs))
    out: Result = {
        "per_s": writers * each / wall_s,
        "p99_ms": percentile(times, 0.99) / 1e6,
        "errors": len(errors),
        "error": "".join(errors[:1]),
    }
    got: dict[str, list[Item]] = {}
    for name in names:
        handle = first[name] if not who.LASTING else await done(who.session(name, "u1", "a1", new=False))
        got[name] = who.neutral(list(await done(who.load(handle))))[1:]
    await done(who.close())
    if one:
        return out | judge(got["shared"], dict.fromkeys(range(writers), each))
    verified = all(equal(got[f"c{writer}"], notes(writer, each)) for writer in range(writers))
    return out | {"verified": verified and not errors}


async def _as_tasks(who: Contestant, jobs: list[Job]) -> tuple[float, list[int], list[str]]:
    times: list[int] = []
    errors: list[str] = []

    async def work(handle: Any, batches: list[Any]) -> None:
        for batch in batches:
            begin = now_ns()
            try:
                await who.shared(handle, batch)
            except Exception as error:  # noqa: BLE001  # a peer may raise anything; it is counted
                errors.append(f"{type(error).__name__}: {error}")
            times.append(now_ns() - begin)
            await asyncio.sleep(0)  # an agent awaits its model here

    begin = now_ns()
    await asyncio.gather(*(work(*job) for job in jobs))
    return (now_ns() - begin) / 1e9, times, errors


async def _as_threads(put: Callable[[Any, Any], Any], jobs: list[Job]) -> tuple[float, list[int], list[str]]:
    times: list[int] = []
    errors: list[str] = []
    barrier = threading.Barrier(len(jobs) + 1)

    def work(handle: Any, batches: list[Any]) -> None:
        barrier.wait()
        for batch in batches:
            begin = now_ns()
            try:
                put(handle, batch)
            except Exception as error:  # noqa: BLE001  # as above
                errors.append(f"{type(error).__name__}: {error}")
            times.append(now_ns() - begin)

    threads = [threading.Thread(target=work, args=job) for job in jobs]
    for thread in threads:
        thread.start()
    barrier.wait()
    begin = now_ns()
    for thread in threads:
        thread.join()
    return (now_ns() - begin) / 1e9, times, errors


def judge(got: list[Item], written: dict[int, int]) -> Result:
    """Compare a session that several wrote to with what each of them wrote."""
    seen: list[tuple[int, int]] = []
    for item in got:
        who, _, place = item.text.split(" ", 1)[0][1:].partition(":")
        seen.append((int(who), int(place)))
    wanted = sum(written.values())
    last = dict.fromkeys(written, -1)
    misplaced = 0
    for writer, index in seen:
        misplaced += index <= last[writer]
        last[writer] = max(index, last[writer])
    lost, doubled = wanted - len(set(seen)), len(seen) - len(set(seen))
    return {"lost": lost, "doubled": doubled, "misplaced": misplaced, "verified": not (lost or doubled or misplaced)}


async def prepare_shared(who: Contestant) -> Result:
    """Write the session that several processes will append to."""
    await done(who.open())
    handle = await done(who.session("shared", "u1", "a1", new=True))
    await done(who.append(handle, who.batch(who.native([Item("user", "start")]))))
    await done(who.close())
    return {"verified": True}


async def one_of_processes(who: Contestant, *, writer: int, each: int, start_at: float) -> Result:
    """Append as one of several processes, from a moment that all of them know."""
    await done(who.open())
    handle = await done(who.writer("shared", "u1", "a1"))
    batches = [who.batch([native]) for native in who.native(notes(writer, each))]
    errors = 0
    while time.time() < start_at:
        time.sleep(0.0005)
    begin = time.time()
    for batch in batches:
        try:
            await done(who.shared(handle, batch))
        except Exception:  # noqa: BLE001  # as above
            errors += 1
    end = time.time()
    await done(who.close())
    return {"begin": begin, "end": end, "errors": errors, "verified": True}


async def check_shared(who: Contestant, *, writers: int, each: int) -> Result:
    """Read what the processes wrote."""
    await done(who.open())
    handle = await done(who.session("shared", "u1", "a1", new=False))
    got = who.neutral(list(await done(who.load(handle))))[1:]
    await done(who.close())
    return judge(got, dict.fromkeys(range(writers), each))
