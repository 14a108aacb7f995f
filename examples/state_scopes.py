"""Keep values beside the messages: in the session, for an owner, for an agent, or for this handle alone."""

import turnfold as tf


def main() -> None:
    with tf.connect("memory://", owner="alice") as client:
        session = client.open("monday", agent="support")
        session.append(tf.user("My language is Portuguese"))

        session.state["step"] = 1  # this session, on this branch
        session.state.owner["language"] = "pt"  # every session of alice
        session.state.agent["greeting"] = "Olá!"  # every session of the agent "support"
        session.state.temp["draft"] = "not stored"  # this handle, never stored

        # Several keys, and the shared scopes with them, in one commit.
        session.state.set({"step": 2, "open": ["refund"]}, owner={"plan": "gold"})

        later = client.open("tuesday", agent="support")
        later.append(tf.user("It is me again"))
        print("monday :", dict(session.state))
        print("tuesday:", dict(later.state), "and from the owner", dict(later.state.owner), "from the agent", dict(later.state.agent))
        print("temp   :", session.state.temp, "against", later.state.temp)

        # State is events too, so a branch has its own, and going back goes back in the state.
        mark = session.checkpoint()
        session.state["step"] = 3
        branch = session.fork("retry", at=mark)
        print("main   :", session.state["step"], " branch:", branch.state["step"])
        branch.state["step"] = 20
        print("main   :", session.state["step"], " branch:", branch.state["step"])

        for event in session.events(types=["state.set"]):
            print(f"  seq {event.seq} on {event.branch}: {event.data}")


if __name__ == "__main__":
    main()
