"""Walk through a session's life, and meet its limits before anything is written."""

import time

import turnfold as tf


def attempt(session: tf.Session, what: str) -> None:
    try:
        session.append(tf.user(what))
        print(f"  {what!r} was taken")
    except tf.TurnfoldError as error:
        print(f"  {what!r} was refused: {error.code}: {error}" + (f" (hint: {error.hint})" if error.hint else ""))


def main() -> None:
    with tf.connect("memory://", turns_max=3) as client:
        session = client.open("visit", activate=False, persist=True)
        print("pending")
        attempt(session, "too early")
        session.activate()
        print("active")
        attempt(session, "first")
        session.suspend()
        print("suspended")
        attempt(session, "while it sleeps")
        session.resume()
        session.resume()  # being there already is no error
        print("active again, turns_max=3")
        for text in ("second", "third", "one too many"):
            attempt(session, text)
        with tf.override(turns_max=10):  # settings for this context and the work started in it
            attempt(session, "with a higher limit here")
        session.close("completed")
        session.close("completed")
        print("completed")
        attempt(session, "too late")
        try:
            session.resume()
        except tf.InvalidTransition as error:
            print(f"  {error}")

        with tf.override(session_ttl_s=0.2):
            brief = client.open("brief", persist=True)
        print("a session with 0.2 s to live; each commit would start the time again")
        time.sleep(0.3)
        attempt(brief, "after a pause")
        print("  in the list:", [(info.id, info.status) for info in client.sessions()])


if __name__ == "__main__":
    main()
