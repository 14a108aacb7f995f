"""Erase what must not be kept, and show that the rest of the log is still what it was."""

import turnfold as tf

KEY = "a key that only the operator has"


def main() -> None:
    with tf.connect("memory://", integrity_key=KEY) as client:
        session = client.open("call-17")
        session.append(tf.user("My card is 4000 0000 0000 0002"))
        session.append(tf.assistant("Thank you, I do not need the number."))
        client.seal("call-17")  # covers order and completeness up to here
        print("before:", client.verify("call-17"))
        print("search finds it:", [hit.seq for hit in client.search("4000").items])

        card = session.messages()[0].seq
        erased = session.redact(card, reason="card number")
        print(f"\nerased the payload of seq {erased}")

        event = session.event(card)
        print(f"what is left of it: {event.data}, redacted={event.redacted}")
        print("search finds it:", client.search("4000").items)
        print("conversation:", [message.text for message in session.messages()])
        print("after:", client.verify("call-17"))  # the tombstone is named by a redaction event

        # What was done is itself in the log, with the digest of what went.
        (redaction,) = session.events(types=["redaction"])
        print("in the log:", redaction.data["reason"], "at seq", redaction.seq)


if __name__ == "__main__":
    main()
