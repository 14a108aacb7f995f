"""Sessions in a store that cannot read them: seal, find by tag, renew the master key, forget one session in every copy."""

import shutil
import tempfile
from pathlib import Path

import turnfold as tf


def main() -> None:
    folder = Path(tempfile.mkdtemp())
    keys, url = folder / "agent.keys", f"encrypted+sqlite:///{folder}/agent.db"
    keyring = tf.new_keyring(str(keys))  # readable by this user alone

    with tf.connect(url, keyring=keyring) as client:
        for number in (17, 18):
            session = client.open(f"call-{number}", title=f"Call {number}", tags=["billing"])
            session.append([tf.user(f"My card is 4000 0000 0000 00{number}"), tf.assistant("Thank you.")])
        print("by tag:", [info.title for info in client.sessions(tags=["billing"])])

    raw = b"".join(path.read_bytes() for path in folder.glob("agent.db*"))
    print("in the file: card", b"4000 0000" in raw, "- title", b"Call 17" in raw, "- tag", b"billing" in raw)

    master = keyring.rotate(eager=True)  # every key is wrapped anew, the old master key is gone
    print("master keys:", [key.kid == master.kid for key in keyring.list_keys() if key.kind == "master"])

    shutil.copy(folder / "agent.db", folder / "backup.db")
    with tf.connect(url, keyring=keyring) as client:
        client.forget_key("call-17")
    for name in ("agent", "backup"):
        with tf.connect(f"encrypted+sqlite:///{folder}/{name}.db", keyring=keyring) as client:
            try:
                client.open("call-17", create=False)
            except tf.KeyUnavailable as error:
                print(f"{name}: {error.message}")
            print(f"{name}: call-18 says", client.open("call-18").messages()[0].text)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
