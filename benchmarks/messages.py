"""Items as Turnfold messages and back."""

from __future__ import annotations

from benchmarks.conversation import Item
from turnfold.model.message import Message, assistant, tool_call, tool_result, user


def to_message(item: Item) -> Message:
    """Make the message that a user of Turnfold would append."""
    if item.kind == "user":
        return user(item.text)
    if item.kind == "answer":
        return assistant(item.text)
    if item.kind == "call":
        return tool_call(item.call_id, item.tool, item.value)
    return tool_result(item.call_id, item.value)


def from_message(message: Message) -> Item:
    """Make the item again."""
    for call in message.tool_calls:
        return Item("call", call_id=call.id, tool=call.name, value=call.arguments)
    for result in message.tool_results:
        return Item("result", call_id=result.id, value=result.response)
    return Item("user" if message.role == "user" else "answer", message.text)
