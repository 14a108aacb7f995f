"""Runs beside the crash tests: forks a writer for each line on stdin, so that a hundred deaths cost no hundred interpreter starts.

A line is ``<database> <mode> <number>``. What the writer says, and ``dead`` when it is gone, goes to stdout:
``pid <pid>``, then ``ack <session> <first> <last> <ids, comma-separated>`` after each acknowledged commit, ``done`` if it lives to its end.

Modes: ``write`` appends until it is killed; ``statement`` kills itself when SQLite is about to run the n-th statement of a short life that opens
the database and uses every kind of write; ``append`` appends n events to one session and ends.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import sqlite3
import sys
import traceback

from turnfold.core.redaction import redact_of
from turnfold.model.event import NewEvent
from turnfold.model.message import assistant
from turnfold.model.query import EventQuery, IndexRow
from turnfold.model.run import Run
from turnfold.model.session import SessionKey
from turnfold.model.usage import Usage
from turnfold.stores.sqlite import SqliteStore, database
from turnfold.testing.contract import build


def say(line: str) -> None:
    os.write(1, line.encode() + b"\n")


class Writer:
    """Writes and says what was acknowledged."""

    def __init__(self, path: str, number: int) -> None:
        self.store = SqliteStore(path)
        self.random = random.Random(number)
        self.number = number

    def commit(self, session_id: str, *items: build.Item, **fields: object) -> None:
        key = SessionKey("default", session_id)
        commit = build.commit(key, *items, genesis=build.genesis(agent="crash"), **fields)
        done = self.store.commit(commit)
        if done.first_seq:
            say(f"ack {session_id} {done.first_seq} {done.last_seq} {','.join(event.id for event in commit.events)}")

    def any_commit(self, turn: int) -> None:
        session_id = f"s{self.random.randrange(4)}"
        kind = self.random.randrange(6)
        text = "x" * self.random.randrange(3_000)
        if kind == 0:
            self.commit(session_id, *(f"{turn}.{index} {text}" for index in range(self.random.randrange(1, 6))))
        elif kind == 1:
            self.commit(session_id, assistant(text, usage=Usage(3, 2, model="m")))
        elif kind == 2:
            self.commit(session_id, build.state_event(turn=turn))
        else:
            self.commit(session_id, f"{turn} {text}")

    def every_kind(self) -> None:
        """One of each write that a store knows."""
        key = SessionKey("default", "a")
        store = self.store
        self.commit("a", "first", "second")
        self.commit("a", "plain")
        self.commit("a", assistant("answer", usage=Usage(3, 2, model="m")), build.state_event(k=1), runs=(Run(id="r", session_id="a"),))
        self.commit("a", build.branch_event("b", "main", 2), build.switch_event("b"))
        self.commit("a", NewEvent(type="note", data={"n": 1}, source=b"line"), parts=(("sha256:00", b"part"),))
        incarnation = store.get_session(key).info.incarnation
        store.changed_sessions("search", 10)
        store.advance("search", key, incarnation=incarnation, from_seq=0, to_seq=2, rows=(IndexRow(2, "first"),))
        event = store.read_events(EventQuery(key=key, after=1, limit=1)).events[0]
        redaction = NewEvent(type="redaction", data={"targets": [{"seq": event.seq, "digest": event.digest.hex()}]})
        self.commit("a", redaction, redacts=(redact_of(event),), lifecycle=True)
        lease = store.acquire_lease(key, "me", 10)
        self.commit("a", "leased", lease=lease.fence)
        store.release_lease(lease)
        self.commit("gone", "to be deleted")
        store.delete_session(SessionKey("default", "gone"))
        self.commit("a", "last")
        store.close()


def die_at_statement(number: int) -> None:
    """Arm a hook in every connection of this process."""
    count = itertools.count(1)
    connect = database._connect

    def armed(path: str) -> sqlite3.Connection:
        connection = connect(path)
        connection.set_trace_callback(lambda _: os.kill(os.getpid(), signal.SIGKILL) if next(count) == number else None)
        return connection

    database._connect = armed


def live(path: str, mode: str, number: int) -> None:
    say(f"pid {os.getpid()}")
    if mode == "statement":
        die_at_statement(number)
        Writer(path, number).every_kind()
    elif mode == "append":
        writer = Writer(path, number)
        for turn in range(number):
            writer.commit("shared", f"{os.getpid()} {turn}")
    else:
        writer = Writer(path, number)
        for turn in itertools.count():
            writer.any_commit(turn)
    say("done")


def main() -> None:
    for line in sys.stdin:
        path, mode, number = line.split()
        pid = os.fork()
        if pid == 0:
            try:
                live(path, mode, int(number))
            except BaseException:  # noqa: BLE001 - the parent reads what went wrong from stderr
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        os.waitpid(pid, 0)
        say("dead")


if __name__ == "__main__":
    main()
