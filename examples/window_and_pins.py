"""Choose what the model sees next: a token budget, a system prompt, and messages that must stay."""

import turnfold as tf


def main() -> None:
    with tf.connect("memory://") as client:
        session = client.open("long-chat")
        session.update(system_prompt="You are a patient travel agent.")
        rule = session.append(tf.user("Important: I cannot eat nuts."))
        for day in range(1, 60):
            session.append([tf.user(f"What about day {day}?"), tf.assistant(f"Day {day}: a walk along the river, then lunch.")])
        session.append([tf.tool_call("c1", "weather", {"city": "Lisbon"}), tf.tool_result("c1", "sunny, 24 degrees")])

        session.pin(rule.first_seq)  # stays in every window, also after a reset
        window = session.window(token_budget=300)

        print(f"{len(session.messages())} messages in the session")
        print(f"{len(window)} in the window: {window.token_count} of 300 tokens, {window.omitted_count} left out\n")
        for message in window:
            calls = [f"calls {call.name}" for call in message.tool_calls] + [f"answers {part.response!r}" for part in message.tool_results]
            print(f"  {message.seq:>4}  {message.role:<9}  {message.text or calls[0]}")

        try:
            session.window(token_budget=20)
        except tf.LimitExceeded as error:
            print(f"\n{error.code}: {error}\nhint: {error.hint}")


if __name__ == "__main__":
    main()
