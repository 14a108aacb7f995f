"""Writers that can be killed: what a writer writes follows from its name and a number, so that nobody need remember what was on its way.

``python -m turnfold.testing.writers URL SESSION NAME`` appends until it is killed (or ``--count`` commits) and prints one line for each
acknowledged commit: ``ack <number> <first seq> <last seq> <1 if repeated>``. Commit n of a writer holds ``event_count(n)`` events with the ids
``<name>.<n>.<index>``; sending it again, from wherever, is a repeat.
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Final

from turnfold.connecting import connect
from turnfold.core.fold import change_of
from turnfold.engine.prepare import prepare
from turnfold.engine.scopes import make_genesis
from turnfold.errors import TurnfoldError
from turnfold.model.commit import Commit, Committed
from turnfold.model.event import NewEvent
from turnfold.model.event_types import SessionCreated
from turnfold.model.message import user
from turnfold.model.session import SessionKey
from turnfold.ports.store import Store

TENANT: Final = "default"
EVENTS_MAX: Final = 4
"""Events of the largest commit: several, so that half a commit would show."""
_AT_US: Final = 1_750_000_000_000_000
_RETRY_S: Final = 0.05


def event_count(number: int) -> int:
    """How many events the commit of that number has: mostly one, every third several."""
    return 1 if number % 3 else 1 + number % EVENTS_MAX


def event_id(name: str, number: int, index: int) -> str:
    """The id of an event of a numbered commit."""
    return f"{name}.{number}.{index}"


def event_text(name: str, number: int, index: int) -> str:
    """Its text: a few bytes, or some kilobytes that go over several packets and pages."""
    return f"{name} {number} {index} " + "x" * (3_000 if number % 7 == 0 else 10)


def numbered(session_id: str, name: str, number: int, *, single: bool = False) -> Commit:
    """Build the commit of that number; ``single`` makes it one event, whatever its number."""
    texts = [event_text(name, number, index) for index in range(1 if single else event_count(number))]
    events = tuple(
        prepare(NewEvent(type="message", data=user(text), id=event_id(name, number, index), at=_AT_US + number), None, [])
        for index, text in enumerate(texts)
    )
    genesis = make_genesis(SessionCreated(agent="faults"), None, at=_AT_US)
    return Commit(key=SessionKey(TENANT, session_id), events=events, change=change_of(events), genesis=genesis)


def insist(store: Store, commit: Commit, wait_s: float) -> Committed:
    """Commit; where the store says that trying again can help, try again for so long, with the same ids."""
    end = time.monotonic() + wait_s
    while True:
        try:
            return store.commit(commit)
        except TurnfoldError as error:
            if not error.retryable or time.monotonic() > end:
                raise
            time.sleep(_RETRY_S)


def main(arguments: list[str] | None = None) -> None:
    """Write as the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m turnfold.testing.writers", description="Append numbered commits and say what was acknowledged."
    )
    parser.add_argument("url")
    parser.add_argument("session")
    parser.add_argument("name")
    parser.add_argument("--first", type=int, default=0, help="number of the first commit")
    parser.add_argument("--count", type=int, default=sys.maxsize, help="commits to write (default: until killed)")
    parser.add_argument("--single", action="store_true", help="one event per commit")
    parser.add_argument("--file-size-max", type=int, help="let none of this process's files grow beyond so many bytes: like a full disk")
    parser.add_argument("--retry-s", type=float, default=0.0, help="how long to insist on a commit that the store is not available for")
    options = parser.parse_args(arguments)
    if options.file_size_max is not None:
        _limit_file_size(options.file_size_max)
    with connect(options.url, upkeep=False) as client:
        _say("ready")
        for number in range(options.first, options.first + options.count):
            commit = numbered(options.session, options.name, number, single=options.single)
            try:
                done = insist(client.store, commit, options.retry_s)
            except TurnfoldError as error:
                _say(f"error {number} {error.code} {error}".replace("\n", " "))
                raise SystemExit(1) from error
            _say(f"ack {number} {done.first_seq} {done.last_seq} {int(done.repeated)}")
    _say("done")


def _limit_file_size(size_bytes: int) -> None:
    """Refuse writes beyond a size (EFBIG, which is to a store what ENOSPC is); needs no rights, unlike mounting a small disk."""
    import resource
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
