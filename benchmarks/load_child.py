"""One process of the load: appends, reads, lists and forks at random for a time, while a follower in a thread listens to one of the sessions."""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from collections import Counter, defaultdict

import msgspec

import turnfold as tf
from benchmarks.histogram import Histogram

TENANT = "default"
TAIL_MESSAGES = 50
LIST_SESSIONS = 50
GRACE_S = 2.0


class Job(msgspec.Struct, frozen=True):
    """What a process does."""

    url: str
    prefix: str
    number: int
    session_count: int
    duration_s: float
    text_bytes: int
    mix: dict[str, int]
    follow: bool


class Outcome(msgspec.Struct):
    """What it did: latencies by operation, errors by operation and code, what was acknowledged and what may be there."""

    histograms: dict[str, dict[str, object]]
    errors: dict[str, int]
    acknowledged: dict[str, list[int]]
    unknown: dict[str, list[int]]
    forks: dict[str, int]
    unknown_forks: dict[str, int]
    followed_ok: bool
    elapsed_s: float


class Worker:
    """Runs a job."""

    def __init__(self, job: Job, client: tf.Client) -> None:
        self.job = job
        self.client = client
        self.random = random.Random(job.number)
        self.histograms: defaultdict[str, Histogram] = defaultdict(Histogram)
        self.errors: Counter[str] = Counter()
        self.acknowledged: defaultdict[str, list[int]] = defaultdict(list)
        self.unknown: defaultdict[str, list[int]] = defaultdict(list)
        self.forks: Counter[str] = Counter()
        self.unknown_forks: Counter[str] = Counter()
        self.sessions = [client.open(f"{job.prefix}{index}") for index in range(job.session_count)]
        self.appended = 0
        self.followed: list[int] = []
        self.deliveries = Histogram()
        self.text = "x" * job.text_bytes

    def run(self) -> float:
        names = list(self.job.mix)
        weights = list(self.job.mix.values())
        begin = time.monotonic()
        while time.monotonic() - begin < self.job.duration_s:
            name = self.random.choices(names, weights)[0]
            session = self.random.choice(self.sessions)
            start = time.perf_counter_ns()
            try:
                getattr(self, f"do_{name}")(session)
            except tf.SessionNotFound:
                continue  # nothing was written to it yet
            except tf.TurnfoldError as error:
                self.errors[f"{name} {error.code}"] += 1
                continue
            self.histograms[name].add((time.perf_counter_ns() - start) / 1_000)
        return time.monotonic() - begin

    def do_append(self, session: tf.Session) -> None:
        number, self.appended = self.appended, self.appended + 1
        sent = f"{time.monotonic_ns()} {self.text}"
        event = tf.NewEvent(type="message", id=f"{self.job.number}.{number}", data=tf.user(sent))
        try:
            session.append(event)
        except tf.TurnfoldError:
            self.unknown[session.id].append(number)
            raise
        self.acknowledged[session.id].append(number)

    def do_read(self, session: tf.Session) -> None:
        session.messages(last=TAIL_MESSAGES)

    def do_page(self, session: tf.Session) -> None:
        session.events(after=self.random.randrange(session.info().last_seq + 1), limit=100)

    def do_list(self, _: tf.Session) -> None:
        self.client.sessions(limit=LIST_SESSIONS)

    def do_fork(self, session: tf.Session) -> None:
        session.info()
        try:
            session.fork()
        except tf.SessionNotFound:
            raise
        except tf.TurnfoldError:
            self.unknown_forks[session.id] += 1
            raise
        self.forks[session.id] += 1

    def follow(self, stop: threading.Event) -> None:
        """Follow a session from its beginning, beginning again at the cursor after an error."""
        session = self.sessions[self.job.number % len(self.sessions)]
        while not stop.is_set():
            try:
                for event in session.follow(after=self.followed[-1] if self.followed else 0, wait_s=GRACE_S):
                    self._heard(event)
            except tf.TurnfoldError as error:
                if stop.is_set():
                    return
                self.errors[f"follow {error.code}"] += 1
                time.sleep(0.05)

    def _heard(self, event: tf.Event) -> None:
        self.followed.append(event.seq)
        if event.type == "message":
            sent = int(event.data["parts"][0]["content"].split(" ", 1)[0])
            self.deliveries.add((time.monotonic_ns() - sent) / 1_000)

    def outcome(self, elapsed_s: float) -> Outcome:
        if self.deliveries.count:
            self.histograms["follow"].merge(self.deliveries)
        return Outcome(
            histograms={name: histogram.to_json() for name, histogram in self.histograms.items()},
            errors=dict(self.errors),
            acknowledged=dict(self.acknowledged),
            unknown=dict(self.unknown),
            forks=dict(self.forks),
            unknown_forks=dict(self.unknown_forks),
            followed_ok=self.followed == list(range(1, len(self.followed) + 1)),
            elapsed_s=elapsed_s,
        )


def main() -> None:
    """Read a job from stdin, say ready, begin with the next line, print the outcome."""
    job = msgspec.json.decode(sys.stdin.readline(), type=Job)
    with tf.connect(job.url) as client:
        worker = Worker(job, client)
        print("ready", flush=True)
        sys.stdin.readline()
        stop = threading.Event()
        follower = threading.Thread(target=worker.follow, args=(stop,), daemon=True)
        if job.follow:
            follower.start()
        elapsed_s = worker.run()
        if job.follow:
            time.sleep(GRACE_S / 2)  # what was written last is on its way
            stop.set()
            follower.join(GRACE_S * 3)
    print(json.dumps(msgspec.to_builtins(worker.outcome(elapsed_s))), flush=True)


if __name__ == "__main__":
    main()
