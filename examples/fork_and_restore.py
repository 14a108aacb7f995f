"""Try another way on a branch, go back to a checkpoint, and see that nothing was lost."""

import turnfold as tf


def show(title: str, session: tf.Session) -> None:
    print(f"{title:<28}", " | ".join(message.text for message in session.messages()))


def main() -> None:
    with tf.connect("memory://") as client:
        session = client.open("trip")
        session.append(tf.user("Plan a weekend in Lisbon"))
        mark = session.checkpoint("before-plan")  # a name for this place; copies nothing
        session.append(tf.assistant("Friday: museum"))

        # A branch from the checkpoint. The handle is pinned to it; the session itself stays on main.
        other = session.fork("cheaper", at=mark)
        other.append(tf.assistant("Friday: a walk"))
        show("main", session)
        show("cheaper", other)

        found = session.diff("main", "cheaper")
        print(f"they part after seq {found.base_seq}: {found.ours[0].text!r} against {found.theirs[0].text!r}")

        # Restoring makes a new branch from the place the active one. Everything before stays readable.
        session.restore("before-plan")
        session.append(tf.assistant("Friday: the sea"))
        show("after restore", session)

        for branch in session.branches():
            came_from = f"from {branch.parent} after seq {branch.fork_seq}" if branch.parent else "the first"
            print(f"  branch {branch.name:<12} {came_from}")
        for checkpoint in session.checkpoints():
            print(f"  checkpoint {checkpoint.name:<24} {checkpoint.branch} at seq {checkpoint.seq}")

        session.switch("main")
        show("main, as it was", session)


if __name__ == "__main__":
    main()
