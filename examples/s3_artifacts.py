"""Sessions in SQLite, large parts in a bucket: S3 or what speaks like it.

TURNFOLD_TEST_S3 names the bucket (``s3://bucket/prefix?endpoint=…&region=…``, credentials from the environment); without it a
server in memory is started, if ``pip install 'turnfold[s3]' 'moto[server]'`` was done.
"""

import os
import tempfile
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import turnfold as tf
from turnfold.testing.servers.s3 import MotoServer


def main() -> None:
    missing = [name for name in ("obstore", "moto") if find_spec(name) is None]
    bucket = os.environ.get("TURNFOLD_TEST_S3")
    if "obstore" in missing or (missing and bucket is None):
        print(f"skipped: {' and '.join(missing)} not installed")
        return
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        artifacts = bucket or stack.enter_context(MotoServer(scratch / "moto")).url
        sessions = f"sqlite:///{scratch}/sessions.db"
        client = stack.enter_context(tf.connect(f"composite:?sessions={quote(sessions, safe='')}&artifacts={quote(artifacts, safe='')}"))

        session = client.open("scan-1", owner="alice")
        text = "JVBERi0x" * 50_000  # base64
        scan = tf.BlobPart(mime_type="application/pdf", modality="document", content=text)
        session.append(tf.Message(role="user", parts=[scan]))
        session.append(tf.assistant("Four pages, signed."))

        facts = client.store.check().facts
        print(f"in the bucket: {facts['artifact_count']} artifact, {facts['artifact_bytes']:,} bytes")
        print(f"in the file:   {facts['event_count']} events that refer to it")
        (part,) = session.messages()[0].parts
        assert isinstance(part, tf.BlobPart)
        print("comes back:   ", session.part(part.blob_ref or "").decode() == text)
        print("verified:     ", client.verify("scan-1").event_count, "events")
        client.delete("scan-1")
        print("after delete: ", client.store.check().facts["artifact_count"], "artifacts")


if __name__ == "__main__":
    main()
