"""Two processes write to one session at the same time; every message arrives, and the places have no gap."""

import multiprocessing
import tempfile
from pathlib import Path

import turnfold as tf

EACH = 100


def write(url: str, name: str) -> None:
    with tf.connect(url) as client:
        session = client.open("shared")
        for number in range(EACH):
            session.append(tf.user(f"{name}-{number}"))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'agent.db'}"
        start = multiprocessing.get_context("spawn").Process
        writers = [start(target=write, args=(url, name)) for name in ("left", "right")]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()

        with tf.connect(url) as client:
            events = client.open("shared", create=False).events(limit=1000, types=["message"]).items
            texts = [event.data["parts"][0]["content"] for event in events]
            seqs = [event.seq for event in events]
            print(f"{len(texts)} messages from two processes, {len(set(texts))} of them different")
            print(f"seqs {seqs[0]} to {seqs[-1]} without a gap: {seqs == list(range(seqs[0], seqs[-1] + 1))}")
            for name in ("left", "right"):
                own = [text for text in texts if text.startswith(name)]
                print(f"{name}: {len(own)}, in its own order: {own == [f'{name}-{number}' for number in range(EACH)]}")


if __name__ == "__main__":
    main()
