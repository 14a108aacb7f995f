"""A program: moto's server, with conditional writes that are atomic.

Moto answers every request in a thread of its own and looks at a condition before it writes, without a lock between the two. So of two writes
on the same condition both are taken, about once in some thousand under load: what a real server never does. Here one PUT comes after the other.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import wraps
from typing import TypeVar

S = TypeVar("S")
R = TypeVar("R")


def _one_after_the_other(put: Callable[[S], R]) -> Callable[[S], R]:
    lock = threading.Lock()

    @wraps(put)
    def locked(responder: S) -> R:
        with lock:
            return put(responder)

    return locked


def main() -> None:
    """Run it with the arguments of the command line."""
    from moto.s3.responses import S3Response
    from moto.server import main as serve

    S3Response.put_object = _one_after_the_other(S3Response.put_object)  # type: ignore[method-assign, assignment]
    serve(sys.argv[1:])


if __name__ == "__main__":
    main()
