"""Sessions in Redis: many processes, one URL, followers woken at once; and what the server is set to keep.

It starts a server of its own, if `redis-server` is installed; else TURNFOLD_TEST_REDIS may name one.
"""

import os
import tempfile
import threading
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

import turnfold as tf
from turnfold.testing.servers.redis import RedisServer, executable


def main() -> None:
    named = os.environ.get("TURNFOLD_TEST_REDIS")
    if find_spec("redis") is None or (named is None and executable() is None):
        print("skipped: no redis-server is installed, or `pip install 'turnfold[redis]'` was not done")
        return
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = named if executable() is None else stack.enter_context(RedisServer(scratch)).url
        url = f"{server}?prefix=example-{uuid4().hex[:8]}&durability=none"  # none: do not warn, the example looks itself
        ours, theirs = stack.enter_context(tf.connect(url)), stack.enter_context(tf.connect(url))

        print("it claims:", ", ".join(sorted(ours.store.capabilities)))
        facts = ours.store.check().facts
        print(f"appendonly {facts['appendonly']}, appendfsync {facts['appendfsync']}, maxmemory-policy {facts['maxmemory_policy']}")

        session = ours.open("ticket-1", owner="alice", agent="support")
        session.append(tf.user("My order 4711 has not come."))
        after = session.info().last_seq
        heard: list[str] = []

        def follow() -> None:
            for event in theirs.open("ticket-1", create=False).follow(after=after, wait_s=10):
                heard.append(str(event.data["parts"][0]["content"]))
                if len(heard) == 2:
                    return

        follower = threading.Thread(target=follow)
        follower.start()
        session.append(tf.assistant("It is in Leipzig."))
        theirs.open("ticket-1", create=False).append(tf.user("Thank you."))
        follower.join()
        print("the other client heard:", heard)
        print("found:", [hit.seq for hit in ours.search("order 4711")])
        print("verified:", ours.verify("ticket-1").event_count, "events")
        ours.delete("ticket-1")


if __name__ == "__main__":
    main()
