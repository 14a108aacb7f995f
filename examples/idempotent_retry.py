"""Send the same thing again after a doubtful end, and have it in the log once."""

from datetime import UTC, datetime

import turnfold as tf


def main() -> None:
    with tf.connect("memory://") as client:
        session = client.open("webhooks")

        # An id of your own makes an append repeatable. Fix the time with it: both belong to the event's content.
        event = tf.NewEvent(
            type="message",
            id="webhook-8f31",
            at=datetime(2026, 3, 1, 9, 30, tzinfo=UTC),
            data=tf.user("Cancel my subscription"),
        )
        first = session.append(event)
        again = session.append(event)  # the answer was lost, so the sender tries again
        print("first:", first)
        print("again:", again)
        print("messages:", len(session.messages()))

        # The same id with other content is a mistake, and says so. Nothing is written.
        try:
            session.append(tf.NewEvent(type="message", id="webhook-8f31", at=event.at, data=tf.user("Something else")))
        except tf.IdempotencyConflict as error:
            print(f"{error.code}: {error}")

        # Another kind of care: write only if nobody has written since you read.
        seen = session.info().last_seq
        session.append(tf.assistant("Done."))
        try:
            session.append(tf.assistant("Shall I?"), expected_seq=seen)
        except tf.SequenceConflict as error:
            print(f"{error.code}: you saw {seen}, the session is at {error.current_seq}; retryable={error.retryable}")


if __name__ == "__main__":
    main()
