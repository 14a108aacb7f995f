"""A child process that appends to a session on object storage: ``python writers.py URL NAME COUNT``, or waits to be killed."""

from __future__ import annotations

import sys

from turnfold.model.session import SessionKey
from turnfold.stores.s3 import S3Store
from turnfold.stores.s3.session import Session
from turnfold.testing.contract import build

KEY = SessionKey("default", "s")


def say(what: object) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def append(url: str, name: str, count: int) -> None:
    store = S3Store(url)
    for index in range(count):
        say(store.commit(build.commit(KEY, build.event(f"{name} {index}", id=f"{name}-{index}"))).first_seq)
    store.close()


def stop_before_the_manifest(url: str, name: str) -> None:
    """Append until a segment is written, and wait there to be killed."""
    store = S3Store(url)
    replace = Session._replace

    def stopping(self: Session, work: object, expected: object) -> bool:
        if work.segments:  # type: ignore[attr-defined]
            say("before the manifest")
            sys.stdin.read()
        return replace(self, work, expected)  # type: ignore[arg-type]

    Session._replace = stopping  # type: ignore[method-assign]
    for index in range(1_000):
        store.commit(build.commit(KEY, build.event(f"{name} {index} " + "x" * 1_000, id=f"{name}-{index}")))
        say(index)


if __name__ == "__main__":
    if len(sys.argv) == 4:
        append(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    else:
        stop_before_the_manifest(sys.argv[1], sys.argv[2])
