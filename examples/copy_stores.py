"""Copy a store to another one while it is in use, bring the copy up to date, compare the two, and make a backup."""

import tempfile
from pathlib import Path

import turnfold as tf


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        # Any two stores: postgresql://…, redis://…, s3://…, encrypted+… work alike.
        source, target = f"sqlite:///{scratch}/agent.db", f"files:///{scratch}/copy"
        with tf.connect(source) as client:
            for number in range(20):
                session = client.open(f"call-{number}", owner="alice")
                session.append([tf.user("Where is my parcel?"), tf.assistant("On its way.")])

        report = tf.copy(source, target, progress=show)
        print(f"copied {report.copied_count} sessions, {report.event_count} events, {report.problem_count} problems")

        # A later run copies what has changed since: one session has grown, one is new.
        with tf.connect(source) as client:
            client.open("call-7", owner="alice").append(tf.user("It is still not here."))
            client.open("call-20", owner="alice").append(tf.user("Hello?"))
        report = tf.copy(source, target)
        print(f"again: {report.copied_count} new, {report.extended_count} grown, {report.unchanged_count} unchanged")

        report = tf.copy(source, target, verify_only=True)
        print(f"compared {report.event_count} events of {report.unchanged_count} sessions, {report.problem_count} differ")
        with tf.connect(target) as client:
            print("the copy:", [message.text for message in client.open("call-7", create=False).messages()])

        # A session that somebody has written to in the copy is never overwritten.
        with tf.connect(target) as client:
            client.open("call-3", create=False).append(tf.user("written here"))
        for problem in tf.copy(source, target).problems:
            print("left alone:", problem.message)

        # A backup is one moment of the whole store in one checked file; writers go on meanwhile.
        found = tf.backup(source, Path(scratch) / "backup.db")
        print("backup:", found.facts["session_count"], "sessions,", found.facts["event_count"], "events")


def show(at: tf.CopyProgress) -> None:
    if at.done == at.total:
        print(f"{at.done} of {at.total} sessions")


if __name__ == "__main__":
    main()
