"""Processes of their own on one session: nothing is lost, nothing doubled, and a death in between leaves nothing half done."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from turnfold.model.query import EventQuery
from turnfold.model.session import SessionKey
from turnfold.stores.s3 import S3Store
from turnfold.testing.contract import build

KEY = SessionKey("default", "s")
WRITERS = Path(__file__).with_name("writers.py")
PROCESSES = 8
APPENDS = 500


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, str(WRITERS), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def check_whole(store: S3Store, expected_count: int) -> dict[str, int]:
    """The log is gap-free and holds each message once; its ids and seqs."""
    places: dict[str, int] = {}
    after = 0
    while True:
        page = store.read_events(EventQuery(key=KEY, after=after, limit=1_000))
        assert [event.seq for event in page.events] == list(range(after + 1, after + 1 + len(page.events)))
        assert not places.keys() & {event.id for event in page.events}
        places.update((event.id, event.seq) for event in page.events)
        after = page.through_seq
        if not page.more:
            assert len(places) == expected_count + 1
            assert store.get_session(KEY).info.message_count == expected_count
            return places


def work_together(url: str, processes: int, appends: int) -> None:
    store = S3Store(url)
    store.commit(build.commit(KEY, genesis=build.genesis()))
    children = [start(url, f"p{number}", str(appends)) for number in range(processes)]
    acknowledged: dict[str, int] = {}
    for number, child in enumerate(children):
        output, _ = child.communicate(timeout=600)
        assert child.returncode == 0
        acknowledged.update((f"p{number}-{index}", int(seq)) for index, seq in enumerate(output.split()))
    assert len(acknowledged) == processes * appends
    places = check_whole(store, processes * appends)
    assert {event_id: places[event_id] for event_id in acknowledged} == acknowledged
    store.close()


def test_processes_on_one_session(url: str) -> None:
    work_together(url, 3, 20)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_eight_processes_of_500_appends(url: str) -> None:
    work_together(url, PROCESSES, APPENDS)


def test_threads_of_a_process_against_another_process(url: str) -> None:
    store = S3Store(url)
    store.commit(build.commit(KEY, genesis=build.genesis()))
    child = start(url, "other", "40")
    seqs: list[int] = []

    def append(number: int) -> None:
        seqs.extend(store.commit(build.commit(KEY, f"{number} {index}")).first_seq for index in range(20))

    threads = [threading.Thread(target=append, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    output, _ = child.communicate(timeout=120)
    assert child.returncode == 0
    check_whole(store, 8 * 20 + 40)
    assert sorted([*seqs, *map(int, output.split())]) == list(range(2, 202))
    store.close()


@pytest.mark.crash
def test_killed_between_segment_and_manifest(url: str) -> None:
    store = S3Store(url)
    store.commit(build.commit(KEY, genesis=build.genesis()))
    child = start(url, "killed")
    assert child.stdout is not None
    acknowledged = 0
    for line in child.stdout:
        if line.startswith("before"):
            break
        acknowledged += 1
    child.kill()
    child.communicate()
    check_whole(store, acknowledged)
    retry = build.commit(KEY, build.event(f"killed {acknowledged} " + "x" * 1_000, id=f"killed-{acknowledged}"))
    assert store.commit(retry).first_seq == acknowledged + 2
    check_whole(store, acknowledged + 1)
    assert store.check().problems == ()
    store.close()
