"""Keep sessions in a bucket, shared by any number of machines; count the requests it takes.

Uses the bucket that TURNFOLD_TEST_S3 names, else a moto server of its own (pip install 'turnfold[s3]' 'moto[server]').
"""

import os
import sys
import tempfile
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import turnfold as tf
from turnfold.testing.servers.s3 import MotoServer


def main() -> None:
    named = os.environ.get("TURNFOLD_TEST_S3")
    if find_spec("obstore") is None or (not named and find_spec("moto") is None):
        print("skipped: this example needs obstore, and moto where TURNFOLD_TEST_S3 names no bucket")
        sys.exit(0)
    with ExitStack() as stack:
        url = named or stack.enter_context(MotoServer(Path(stack.enter_context(tempfile.TemporaryDirectory())))).url
        print("store   ", url)

        one = stack.enter_context(tf.connect(url, owner="alice"))
        two = stack.enter_context(tf.connect(url, owner="alice"))  # another machine, as far as the bucket can tell

        # Each append is one conditional write of the session's manifest. Whoever comes second goes on from the first.
        session = one.open("monday", agent="support")
        session.append(tf.user("Refund order 4711, please"))
        two.open("monday").append(tf.assistant("Which item?"))
        session.append(tf.user("The umbrella"))
        print("together", [message.text for message in two.open("monday", create=False).messages()])

        # A condition is checked against what is there now, not against what this process remembers.
        try:
            two.open("monday").append(tf.assistant("Done"), expected_seq=2)
        except tf.SequenceConflict as error:
            print("refused ", error)

        # One worker at a time: a lease is an object of its own, and its fence is in the manifest.
        lease = one.lease("monday", "worker-1", ttl_s=30)
        try:
            two.lease("monday", "worker-2", ttl_s=30)
        except tf.LeaseLost as error:
            print("leased  ", error)
        one.release_lease(lease)

        print("listed  ", [(info.id, info.message_count) for info in two.sessions().items])
        print("found   ", [(hit.session_id, hit.seq) for hit in two.search("umbrella").items])
        print("verified", one.verify("monday").event_count, "events")
        one.delete("monday")


if __name__ == "__main__":
    main()
