"""What child processes of the tests do; run as ``python writers.py WHAT URL …``."""

from __future__ import annotations

import sys

import turnfold as tf


def append(url: str, session_id: str, name: str, count: str) -> None:
    """Append so many messages and print the seq of each once it is acknowledged."""
    with tf.connect(url) as client:
        session = client.open(session_id)
        for number in range(int(count)):
            print(session.append(tf.user(f"{name}:{number}")).first_seq, flush=True)


def follow(url: str, session_id: str, wait_s: str) -> None:
    """Print the seq of each event that is followed, until nothing comes for so long."""
    with tf.connect(url) as client:
        print("ready", flush=True)
        for event in client.open(session_id).follow(wait_s=float(wait_s)):
            print(event.seq, flush=True)


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    if what == "append":
        append(*rest)
    else:
        follow(*rest)
