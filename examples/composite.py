"""Sessions in SQLite, images in a folder: one store, and redaction reaches both."""

import tempfile
from base64 import b64encode
from pathlib import Path
from urllib.parse import quote

import turnfold as tf


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        sessions, artifacts = f"sqlite:///{scratch}/sessions.db", f"files:///{scratch}/artifacts"
        url = f"composite:?sessions={quote(sessions, safe='')}&artifacts={quote(artifacts, safe='')}"
        print(url, "\n")
        with tf.connect(url) as client:
            session = client.open("screenshots")
            for number in range(3):
                image = b64encode(bytes([number]) * 200_000).decode()
                session.append(tf.Message(role="user", parts=[tf.BlobPart(mime_type="image/png", modality="image", content=image)]))
            session.append(tf.assistant("The second one shows a password."))
            show("three images", scratch)

            (part,) = session.messages()[1].parts
            assert isinstance(part, tf.BlobPart)
            print("an event holds a reference:", part.blob_ref)
            print("and the bytes come back:", len(session.part(part.blob_ref or "")), "characters of base64\n")

            session.redact(session.messages()[1].seq, reason="password")
            show("after the redaction", scratch)
            print(client.verify("screenshots"), "\n")

            client.delete("screenshots")
            show("after the deletion", scratch)
            print("left over:", client.store.check().facts["orphan_count"])


def show(when: str, scratch: str) -> None:
    files = [path for path in Path(scratch, "artifacts").rglob("*") if path.is_file()]
    print(f"{when}: {len(files)} artifacts with {sum(path.stat().st_size for path in files):,} bytes")


if __name__ == "__main__":
    main()
