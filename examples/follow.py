"""One process writes, another follows: each event once, in order, as it comes."""

import multiprocessing
import tempfile
import time
from pathlib import Path

import turnfold as tf


def write(url: str) -> None:
    with tf.connect(url) as client:
        session = client.open("news")
        for number in range(1, 6):
            session.append(tf.assistant(f"line {number}"))
            time.sleep(0.05)
        session.close()  # a follower stops where the session has ended


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'agent.db'}"
        with tf.connect(url) as client:
            session = client.open("news", persist=True)  # written at once, so that the writer joins it
            writer = multiprocessing.get_context("spawn").Process(target=write, args=(url,))
            writer.start()

            cursor = 0
            for event in session.follow(wait_s=10):
                cursor = event.seq
                age_ms = (time.time() - event.recorded_at.timestamp()) * 1000
                text = event.data["parts"][0]["content"] if event.type == "message" else ""
                print(f"{event.seq:>3}  {event.type:<22} {text:<8} seen {age_ms:6.1f} ms after it was recorded")
            writer.join()

            # Whoever comes later goes on from a cursor; nothing is missed and nothing comes twice.
            print(f"after {cursor - 2}: seqs {[event.seq for event in session.follow(after=cursor - 2, wait_s=0)]}")


if __name__ == "__main__":
    main()
