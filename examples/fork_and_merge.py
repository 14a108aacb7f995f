"""Let two attempts at a task run side by side on branches, judge them, merge the better one, and put the other away."""

import turnfold as tf


def careful(branch: tf.Session) -> int:
    """Look first, then write. What a model would answer is written down here, so that the example needs none."""
    branch.append([tf.tool_call("c1", "read_file", {"path": "parse.py"}), tf.tool_result("c1", "def parse(text): ...")])
    branch.append(tf.assistant("Split on commas outside quotes.", usage=tf.Usage(input_tokens=900, output_tokens=120), model="large"))
    branch.state.update({"plan": "csv reader", "tests_passed": 12})
    return 12


def quick(branch: tf.Session) -> int:
    """Guess."""
    branch.append(tf.assistant("text.split(',') does it.", usage=tf.Usage(input_tokens=300, output_tokens=15), model="small"))
    branch.state.update({"plan": "split", "tests_passed": 7})
    return 7


def main() -> None:
    with tf.connect("memory://") as client:
        session = client.open("fix-the-parser")
        session.append(tf.user("parse() breaks on quoted commas. Fix it."))
        session.state["plan"] = None
        mark = session.checkpoint("task")

        passed = {attempt.__name__: attempt(session.fork(attempt.__name__, at=mark)) for attempt in (careful, quick)}
        session.append(tf.user("Keep the signature, please."))  # the conversation went on meanwhile

        found = session.diff("careful", "quick")
        print(f"they part after seq {found.base_seq}")
        for name, usage in zip(("careful", "quick"), found.usage, strict=True):
            print(f"  {name:<8} {passed[name]:>2} tests, {usage.total_tokens} tokens")
        print("  state:", {one["key"]: (one["ours"], one["theirs"]) for one in found.state})

        better = max(passed, key=passed.__getitem__)
        merged = session.merge(better, into="main")
        print(f"merged {better}: {len(merged.brought)} events, state {dict(session.state)}")
        for message in session.messages():
            print(f"  {message.role:<10}", message.text or ", ".join(part.type for part in message.parts))

        # The other attempt wants to set the same keys. Nothing is written before somebody chooses.
        try:
            session.merge("quick", into="main")
        except tf.MergeConflict as error:
            print("conflict:", ", ".join(conflict["key"] for conflict in error.details["conflicts"]))
        session.abandon("quick", reason="seven tests of twelve")
        print("branches:", [branch.name for branch in session.branches()])
        print("used in all:", session.info().usage.total_tokens, "tokens")


if __name__ == "__main__":
    main()
