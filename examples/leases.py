"""Give one worker the exclusive right to write to a session; a worker that comes back too late cannot."""

import time

import turnfold as tf


def attempt(who: str, session: tf.Session, text: str) -> None:
    try:
        session.append(tf.assistant(text))
        print(f"  {who} wrote {text!r}")
    except tf.LeaseLost as error:
        print(f"  {who} was refused: {error}")


def main() -> None:
    with tf.connect("memory://") as client:
        client.open("job").append(tf.user("Summarise the report"))

        first = client.lease("job", "worker-a", ttl_s=0.5)
        print(f"worker-a holds the session with fence {first.fence}")
        slow = client.open("job", lease=first)  # every commit of this handle carries the fence
        attempt("worker-a", slow, "Page 1: …")
        attempt("somebody", client.open("job"), "I write too")
        try:
            client.lease("job", "worker-b")
        except tf.LeaseLost as error:
            print(f"  worker-b must wait: {error}")

        first = client.renew_lease(first, ttl_s=0.5)
        time.sleep(0.7)  # worker-a hangs, and its lease runs out
        second = client.lease("job", "worker-b")
        print(f"worker-b holds the session with fence {second.fence}")
        attempt("worker-b", client.open("job", lease=second), "The report says …")
        attempt("worker-a", slow, "Page 2: …")  # awake again, and too late

        client.release_lease(second)
        print("released")
        attempt("somebody", client.open("job"), "Thank you")
        print([message.text for message in client.open("job").messages()])


if __name__ == "__main__":
    main()
