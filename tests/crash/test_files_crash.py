"""A writer of the files store is killed at every system call and at random moments; nothing acknowledged is lost, nothing is half there."""

import base64
import os
import random
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.crash.killing import ACK, WAYS, Calls, Kill, fork, kill_after, reap
from turnfold.codec.residual import part_ref
from turnfold.codec.seal import event_digest, leaf, seal_root
from turnfold.core.fold import change_of, fold_head
from turnfold.core.redaction import redact_of
from turnfold.errors import NotFound, SessionNotFound
from turnfold.model.commit import Commit, Verbatim
from turnfold.model.event import Event, NewEvent, Seal
from turnfold.model.query import EventQuery
from turnfold.model.run import Run
from turnfold.model.session import SessionKey
from turnfold.ports.store import Store
from turnfold.stores.files import FilesStore, log, replay
from turnfold.stores.memory import MemoryStore
from turnfold.testing.contract import build

pytestmark = pytest.mark.crash

ONE, TWO, COPY, SCOPE = (SessionKey("default", name) for name in ("one", "two", "copy", "scope"))
NOW_US = 1_750_000_000_000_000
SECRET = b"correct horse battery staple"
PART = (part_ref(SECRET), SECRET)
SMALL_SEGMENT_BYTES = 6_000


def clock() -> int:
    return NOW_US


class Step(NamedTuple):
    """What a writer does and acknowledges at once; ``atoms`` are the parts of it that may be there without the next ones."""

    atoms: tuple[Callable[[Store], Any], ...]
    whole: Callable[[Store], Any] | None = None

    def run(self, store: Store) -> None:
        for action in self.atoms if self.whole is None else (self.whole,):
            action(store)


def commits(*items: Commit) -> list[Step]:
    return [Step((partial(_commit, item),)) for item in items]


def _commit(item: Commit, store: Store) -> None:
    store.commit(item)


def delete_two(store: Store) -> None:
    try:
        store.delete_session(TWO)
    except SessionNotFound:
        return  # the writer before this one got that far


def write_under_lease(store: Store, item: Commit) -> None:
    lease = store.acquire_lease(ONE, "worker", 60)
    store.commit(build.replace(item, lease=lease.fence))
    store.release_lease(lease)


def first_half() -> list[Step]:
    secret = build.event(NewEvent(type="message", data={"role": "user", "parts": []}, source=b"L" + SECRET, meta={"note": SECRET.decode()}))
    group = [build.commit(ONE, f"grouped {index}") for index in range(3)]
    return [
        *commits(
            build.commit(ONE, "first", genesis=build.genesis(title="A title", owner="alice"), owner="alice"),
            build.commit(ONE, secret, build.state_event(password=SECRET.decode()), parts=(PART,)),
            build.commit(
                ONE, NewEvent(type="opaque", data=b"\xff\x00 not JSON"), NewEvent(type="opaque", data=b'{"a":\n1}', source=b"\xfe")
            ),
            build.commit(
                ONE, *(build.delta(f"piece {index}") for index in range(4)), runs=(Run(id="r1", session_id="one", status="running"),)
            ),
            build.commit(ONE, build.branch_event("other", "main", 3), build.checkpoint_event("mark", "main", 3)),
            build.commit(TWO, "to be deleted", genesis=build.genesis(), parts=(PART,)),
        ),
        Step(tuple(partial(_commit, item) for item in group), lambda store: store.commit_many(group)),
        *commits(*(build.commit(ONE, f"filling {index} " + "x" * 500) for index in range(12))),
        *commits(
            build.commit(
                ONE, "with a scope", also=(build.commit(SCOPE, build.state_event(theme="dark"), genesis=build.genesis(kind="scope")),)
            ),
            build.commit(ONE, "and again", also=(build.commit(SCOPE, build.state_event(theme="light")),)),
        ),
    ]


def second_half(log_so_far: list[Event]) -> list[Step]:
    secrets = log_so_far[2:4]
    pieces = [event for event in log_so_far if event.type == "message.delta"]
    targets = [{"seq": event.seq, "digest": event.digest.hex()} for event in secrets]
    redaction = build.commit(
        ONE,
        NewEvent(type="redaction", data={"targets": targets}),
        redacts=tuple(redact_of(event, (PART[0],)) for event in secrets),
        lifecycle=True,
    )
    seal = Seal(1, b"", seal_root(b"", 1, [leaf(log_so_far[0])]), NOW_US)
    leased = build.commit(ONE, "under a lease")
    original = [build.replace(event, branch="main") for event in log_so_far[:2]]
    copy = Commit(
        key=COPY,
        events=tuple(original),
        change=change_of(original),
        genesis=build.replace(build.genesis(title="A title", owner="alice"), event=original[0], incarnation="copied"),
        verbatim=Verbatim(created_at_us=original[0].at_us, updated_at_us=max(event.at_us for event in original), seals=(seal,)),
    )
    incarnation = "born again"
    return [
        *commits(redaction, build.commit(ONE, NewEvent(type="note", data=1), prune=(build.range_of(pieces),), lifecycle=True)),
        Step((lambda store: store.add_seal(ONE, seal, incarnation=store.get_session(ONE).info.incarnation),)),
        Step((lambda store: write_under_lease(store, leased),)),
        Step((delete_two,)),
        *commits(build.commit(TWO, "born again", genesis=build.genesis(incarnation=incarnation)), copy),
        *commits(build.commit(ONE, "last", build.state_event(a=1))),
    ]


def steps() -> list[Step]:
    reference = MemoryStore(clock=clock)
    begin = first_half()
    for step in begin:
        step.run(reference)
    return begin + second_half(read_log(reference, ONE))


def read_log(store: Store, key: SessionKey) -> list[Event]:
    return store.read_events(EventQuery(key=key, limit=10_000, with_source=True)).events


def snapshot(store: Store) -> dict[SessionKey, Any]:
    """All that a store shows."""
    found: dict[SessionKey, Any] = {}
    for key in (ONE, TWO, COPY, SCOPE):
        try:
            page = store.read_events(EventQuery(key=key, limit=10_000, with_source=True))
        except SessionNotFound:
            continue
        try:
            part = store.read_part(key, PART[0])
        except NotFound:
            part = b""
        found[key] = (store.get_session(key), page, store.list_runs(key), store.read_seals(key), part)
    return found


def allowed_after(all_steps: list[Step]) -> list[list[dict[SessionKey, Any]]]:
    """Per number of acknowledged steps: what may be found, the next step's parts included."""
    reference = MemoryStore(clock=clock)
    allowed = [[snapshot(reference)]]
    for step in all_steps:
        for action in step.atoms:
            action(reference)
            allowed[-1].append(snapshot(reference))
        allowed.append([snapshot(reference)])
    return allowed


def verify(store: Store) -> None:
    """Digests, places and heads are right."""
    for key in (ONE, TWO, COPY, SCOPE):
        try:
            page = store.read_events(EventQuery(key=key, limit=10_000, with_source=True))
        except SessionNotFound:
            continue
        places = [event.seq for event in page.events] + [seq for one in page.ranges for seq in range(one.first_seq, one.last_seq + 1)]
        assert sorted(places) == list(range(1, page.last_seq + 1))
        assert all(event.redacted or event_digest(event) == event.digest for event in page.events)
        head = store.get_session(key)
        folded = fold_head(key.session_id, page.events, incarnation=page.incarnation)
        assert (head.info, head.entries) == (folded.info, folded.entries)


def holds_secret(folder: Path) -> list[str]:
    encoded = base64.b64encode(b"L" + SECRET)[:24]
    contents = ((path, path.read_bytes()) for path in folder.rglob("*") if path.is_file())
    return [str(path) for path, content in contents if SECRET in content or encoded in content]


def kills(call_count: int) -> Iterator[Kill]:
    return (Kill(call, way) for call in range(1, call_count + 1) for way in WAYS)


def write_steps(folder: Path, all_steps: list[Step], kill: Kill | None, fd: int) -> int:
    vars(log)["SEGMENT_BYTES_MAX"] = SMALL_SEGMENT_BYTES
    vars(replay)["INDEX_LINES_MIN"] = 5
    calls = Calls(kill)
    store = FilesStore(folder, clock=clock)
    for step in all_steps:
        step.run(store)
        calls.acknowledge(fd)
    store.close()
    return calls.count


def write_until(folder: Path, all_steps: list[Step], kill: Kill, fd: int) -> None:
    write_steps(folder, all_steps, kill, fd)


def count_calls(folder: Path, all_steps: list[Step]) -> int:
    """Run everything once in a child that is not killed; return the number of its system calls."""

    def work(fd: int) -> None:
        report = os.write
        report(fd, b"|%d" % write_steps(folder, all_steps, None, fd))

    told, status = reap(*fork(work))
    assert status == 0
    steps_done, _, count = told.partition(b"|")
    assert len(steps_done) == len(all_steps)
    return int(count)


@pytest.mark.timeout(300)
def test_killed_at_every_system_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "SEGMENT_BYTES_MAX", SMALL_SEGMENT_BYTES)
    monkeypatch.setattr(replay, "INDEX_LINES_MIN", 5)
    all_steps = steps()
    allowed = allowed_after(all_steps)
    call_count = count_calls(tmp_path / "whole", all_steps)
    assert call_count > 100
    for number, kill in enumerate(kills(call_count)):
        folder = tmp_path / f"{number}"
        told, status = reap(*fork(partial(write_until, folder, all_steps, kill)))
        assert status == -9, kill
        done = len(told)
        store = FilesStore(folder, clock=clock, durability="normal")  # the same but for waiting for the disk
        assert snapshot(store) in allowed[done], f"{kill}: {done} steps were acknowledged"
        verify(store)
        for step in all_steps[done:]:  # the next writer goes on, beginning with what was not acknowledged
            step.run(store)
        assert snapshot(store) == allowed[-1][0], kill
        verify(store)
        store.close()
        assert holds_secret(folder) == [], kill
        reopened = FilesStore(folder, clock=clock)
        assert snapshot(reopened) == allowed[-1][0], kill
        assert reopened.check().problems == ()
        reopened.close()


def append_forever(folder: Path, name: str, fd: int) -> None:
    store = FilesStore(folder)
    key = SessionKey("default", "busy")
    for index in count():
        text = f"{name} {index}"
        store.commit(build.commit(key, build.event(text, id=text), genesis=build.genesis()))
        os.write(fd, text.encode() + b"\n")


@pytest.mark.timeout(300)
def test_killed_at_random_moments(tmp_path: Path) -> None:
    """Scenario 4: of 110 writers killed in the middle, every reopen succeeds and every acknowledged event is there once."""
    key = SessionKey("default", "busy")
    acknowledged: list[str] = []
    rounds = random.Random(4)
    for number in range(110):
        pid, pipe = fork(partial(append_forever, tmp_path, f"w{number}"))
        kill_after(pid, rounds.uniform(0.002, 0.03))
        told, status = reap(pid, pipe)
        assert status == -9
        acknowledged += told.decode().split("\n")[:-1]
        store = FilesStore(tmp_path)
        try:
            events = read_all(store, key)
        except SessionNotFound:
            assert acknowledged == []
            continue
        finally:
            store.close()
        ids = [event.id for event in events]
        assert len(ids) == len(set(ids))
        assert set(acknowledged) <= set(ids)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert len(acknowledged) > 100
    store = FilesStore(tmp_path)
    events = read_all(store, key)
    head = store.get_session(key)
    assert head.info == fold_head("busy", events, incarnation=head.info.incarnation).info
    assert all(event_digest(event) == event.digest for event in events)
    assert store.check().problems == ()
    store.close()


def read_all(store: Store, key: SessionKey) -> list[Event]:
    events: list[Event] = []
    while True:
        page = store.read_events(EventQuery(key=key, after=len(events), limit=10_000, with_source=True))
        events += page.events
        if not page.more:
            return events


def append_some(folder: Path, name: str, event_count: int, fd: int) -> None:
    store = FilesStore(folder)
    key = SessionKey("default", "shared")
    for index in range(event_count):
        store.commit(build.commit(key, build.event(f"{name} {index}", actor=name), genesis=build.genesis()))
        os.write(fd, ACK)


def test_two_processes_append_to_one_session(tmp_path: Path) -> None:
    """Scenario 2: 2 × 100 appends leave 200 messages, gap-free, each process in its own order."""
    children = [fork(partial(append_some, tmp_path, name, 100)) for name in ("a", "b")]
    assert [reap(*child) for child in children] == [(ACK * 100, 0), (ACK * 100, 0)]
    store = FilesStore(tmp_path)
    events = read_all(store, SessionKey("default", "shared"))
    assert [event.seq for event in events] == list(range(1, 202))
    for name in ("a", "b"):
        assert [event.data["parts"][0]["content"] for event in events if event.actor == name] == [f"{name} {index}" for index in range(100)]
    store.close()


def test_a_killed_owner_of_the_lock_releases_it(tmp_path: Path) -> None:
    key = SessionKey("default", "shared")
    for number in range(10):
        survivor = fork(partial(append_some, tmp_path, "survivor", 30))
        victim, pipe = fork(partial(append_forever, tmp_path, f"victim{number}"))
        kill_after(victim, 0.004 * number)
        reap(victim, pipe)
        assert reap(*survivor) == (ACK * 30, 0)
    store = FilesStore(tmp_path)
    events = read_all(store, key)
    assert sum(event.actor == "survivor" for event in events) == 300
    store.close()
