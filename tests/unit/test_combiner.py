"""The combining lock: groups while somebody else writes, order within a caller, nobody left behind."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from turnfold.stores._combiner import Combiner


class Work:
    """Records its groups; can be held up."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.inside = 0

    def __call__(self, jobs: Sequence[int]) -> list[int | Exception]:
        self.inside += 1
        assert self.inside == 1, "two groups at once"
        self.entered.set()
        assert self.gate.wait(10)
        self.groups.append(list(jobs))
        self.inside -= 1
        return [ValueError(job) if job < 0 else job * 2 for job in jobs]


def test_alone_it_runs_in_the_callers_thread() -> None:
    threads: list[int] = []

    def run(jobs: Sequence[int]) -> list[int | Exception]:
        threads.append(threading.get_ident())
        return list(jobs)

    combiner: Combiner[int, int] = Combiner(run)
    assert combiner.submit((1, 2)) == [1, 2]
    assert threads == [threading.get_ident()]


def test_what_waits_is_taken_together_and_failures_stay_apart() -> None:
    work = Work()
    combiner: Combiner[int, int] = Combiner(work)
    work.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(combiner.submit, (1,))
        assert work.entered.wait(10)
        later = [pool.submit(combiner.submit, (job,)) for job in (2, -3, 4)]
        while len(combiner._queue) < 3:
            pass
        work.gate.set()
        assert first.result(10) == [2]
        results = [item.result(10)[0] for item in later]
    assert results[0] == 4
    assert isinstance(results[1], ValueError)
    assert results[2] == 8
    assert [1] in work.groups
    assert sorted(map(len, work.groups)) == [1, 3]


def test_a_group_has_a_limit() -> None:
    work = Work()
    combiner: Combiner[int, int] = Combiner(work, group_max=4)
    work.gate.clear()
    with ThreadPoolExecutor(12) as pool:
        pool.submit(combiner.submit, (0,))
        assert work.entered.wait(10)
        later = [pool.submit(combiner.submit, (job,)) for job in range(1, 11)]
        while len(combiner._queue) < 10:
            pass
        work.gate.set()
        assert [item.result(10) for item in later] == [[job * 2] for job in range(1, 11)]
    assert max(map(len, work.groups)) <= 4
    assert combiner.submit(range(9)) == [job * 2 for job in range(9)], "one caller may bring more"


def test_nobody_is_left_behind() -> None:
    work = Work()
    combiner: Combiner[int, int] = Combiner(work)

    def caller(number: int) -> list[list[int | Exception]]:
        return [combiner.submit((number * 1_000 + turn,)) for turn in range(200)]

    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(caller, range(16), timeout=30))
    assert results == [[[(number * 1_000 + turn) * 2] for turn in range(200)] for number in range(16)]
    assert sum(map(len, work.groups)) == 16 * 200
    for number in range(16):
        mine = [job for group in work.groups for job in group if job // 1_000 == number]
        assert mine == sorted(mine), "a caller's jobs keep their order"
    assert not combiner._lock.locked()


def test_an_interrupted_leader_leaves_the_others_to_the_next() -> None:
    interrupts = iter([True])
    groups: list[list[int]] = []
    gate, entered = threading.Event(), threading.Event()

    def run(jobs: Sequence[int]) -> list[int | Exception]:
        if jobs[0] == 0:
            entered.set()
            assert gate.wait(10)
        elif next(interrupts, False):
            raise KeyboardInterrupt
        groups.append(list(jobs))
        return list(jobs)

    combiner: Combiner[int, int] = Combiner(run)
    with ThreadPoolExecutor(8) as pool:
        pool.submit(combiner.submit, (0,))
        assert entered.wait(10)
        later = [pool.submit(combiner.submit, (job,)) for job in (1, 2, 3)]
        while len(combiner._queue) < 3:
            pass
        gate.set()
        outcomes = [item.exception(10) or item.result(10) for item in later]
    assert sum(isinstance(outcome, KeyboardInterrupt) for outcome in outcomes) == 1
    for job, outcome in zip((1, 2, 3), outcomes, strict=True):
        assert isinstance(outcome, KeyboardInterrupt) or outcome == [job]
    assert not combiner._lock.locked()


def test_work_of_another_kind_excludes_groups() -> None:
    work = Work()
    combiner: Combiner[int, int] = Combiner(work)
    with ThreadPoolExecutor(2) as pool:
        with combiner.exclusive():
            waiting = pool.submit(combiner.submit, (1,))
            with pytest.raises(TimeoutError):
                waiting.result(0.05)
            assert work.groups == []
        assert waiting.result(10) == [2]
