"""Keep a conversation in a file, and go on with it later."""

import tempfile
from pathlib import Path

import turnfold as tf


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'agent.db'}"

        # The first run of a program: one session, four messages.
        with tf.connect(url, owner="alice") as client:
            session = client.open("user-123", agent="support")  # get or create
            session.append(tf.user("Refund order 4711, please"))
            session.append(tf.assistant("Which item?", usage=tf.Usage(input_tokens=812, output_tokens=40, model="small-1")))
            session.append([tf.tool_call("c1", "lookup", {"order": 4711}), tf.tool_result("c1", {"items": 2})])  # one commit

        # A later run: the session is where it was.
        with tf.connect(url, owner="alice") as client:
            session = client.open("user-123", create=False)
            for message in session.messages():
                calls = ", ".join(f"{call.name}({call.arguments})" for call in message.tool_calls)
                print(f"{message.seq:>3}  {message.role:<9}  {message.text or calls or message.tool_results[0].response}")

            info = session.info()
            print(f"\n{info.id}: {info.message_count} messages, {info.usage.total_tokens} tokens, last seq {info.last_seq}")
            for hit in client.search("refund order").items:
                print(f"found in {hit.session_id} at seq {hit.seq}")
            print(f"verified {client.verify('user-123').event_count} events")


if __name__ == "__main__":
    main()
