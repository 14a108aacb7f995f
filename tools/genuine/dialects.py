"""Answers of the scripted model in the two APIs' own words: Anthropic Messages and OpenAI Responses, as events and as one object."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from tools.genuine.script import Answer, Call, Search, Shell

JSON = dict[str, Any]
SIGNATURE = "c2NyaXB0ZWQgc2lnbmF0dXJl"
ENCRYPTED = "c2NyaXB0ZWQgcmVhc29uaW5n"
OUTPUT_TOKENS = 20
_EMPTY: dict[str, JSON] = {
    "message": {"content": []},
    "function_call": {"arguments": ""},
    "custom_tool_call": {"input": ""},
    "reasoning": {"summary": []},
    "tool_search_call": {},
    "compaction": {},
}
"""What an item of the Responses API has not yet when it opens."""


def _id(prefix: str) -> str:
    return f"{prefix}_{uuid4().hex[:20]}"


# ---- Anthropic Messages ------------------------------------------------------------------------------------------------------------------


def message_object(body: JSON, answer: Answer) -> JSON:
    """Return the whole response to a Messages request."""
    blocks: list[JSON] = []
    if answer.reasoning:
        blocks.append({"type": "thinking", "thinking": answer.reasoning, "signature": SIGNATURE})
    if answer.text or not answer.calls:
        blocks.append({"type": "text", "text": answer.text or "."})
    for call in answer.calls:
        said = _claude_call(call)
        arguments = {"input": said.arguments} if isinstance(said.arguments, str) else said.arguments
        blocks.append({"type": "tool_use", "id": _id("toolu"), "name": said.name, "input": arguments})
    return {
        "id": _id("msg"),
        "type": "message",
        "role": "assistant",
        "model": body.get("model") or "scripted",
        "content": blocks,
        "stop_reason": "tool_use" if answer.calls else "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": answer.input_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": OUTPUT_TOKENS,
        },
    }


def _claude_call(call: Call | Shell | Search) -> Call:
    if isinstance(call, Shell):
        return Call("Bash", {"command": call.command, "description": "a scripted command"})
    return Call("ToolSearch", {"query": call.query}) if isinstance(call, Search) else call


def message_events(message: JSON) -> list[JSON]:
    """Return the events by which that response streams."""
    start = {**message, "content": [], "stop_reason": None, "usage": {**message["usage"], "output_tokens": 1}}
    events: list[JSON] = [{"type": "message_start", "message": start}]
    for index, block in enumerate(message["content"]):
        opened, deltas = _block(block)
        events.append({"type": "content_block_start", "index": index, "content_block": opened})
        events += ({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas)
        events.append({"type": "content_block_stop", "index": index})
    ended = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    return [*events, {"type": "message_delta", "delta": ended, "usage": message["usage"]}, {"type": "message_stop"}]


def _block(block: JSON) -> tuple[JSON, list[JSON]]:
    """Return a block as it opens, and what then comes."""
    if block["type"] == "text":
        return {"type": "text", "text": ""}, [{"type": "text_delta", "text": piece} for piece in _halves(block["text"])]
    if block["type"] == "thinking":
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in _halves(block["thinking"])]
        return {"type": "thinking", "thinking": "", "signature": ""}, [*deltas, {"type": "signature_delta", "signature": SIGNATURE}]
    text = json.dumps(block["input"])
    return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in _halves(text)]


def _halves(text: str) -> list[str]:
    middle = max(1, len(text) // 2)
    return [piece for piece in (text[:middle], text[middle:]) if piece]


# ---- OpenAI Responses --------------------------------------------------------------------------------------------------------------------


def response_object(body: JSON, answer: Answer) -> JSON:
    """Return the whole response to a Responses request."""
    items: list[JSON] = []
    asked = body.get("input")
    if isinstance(asked, list) and asked and isinstance(asked[-1], dict) and asked[-1].get("type") == "compaction_trigger":
        items.append({"type": "compaction", "id": _id("cmp"), "encrypted_content": ENCRYPTED})
        answer = Answer()
    elif answer.reasoning:
        summary = [{"type": "summary_text", "text": answer.reasoning}]
        items.append({"type": "reasoning", "id": _id("rs"), "summary": summary, "encrypted_content": ENCRYPTED})
    if answer.text or not (answer.calls or items):
        content = [{"type": "output_text", "text": answer.text or ".", "annotations": []}]
        items.append({"type": "message", "id": _id("msg"), "role": "assistant", "content": content, "status": "completed"})
    offered = offered_tools(body)
    items += (_call_item(_shell(call, offered) if isinstance(call, Shell) else call) for call in answer.calls)
    usage = {
        "input_tokens": answer.input_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": OUTPUT_TOKENS,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": answer.input_tokens + OUTPUT_TOKENS,
    }
    return {
        "id": _id("resp"),
        "object": "response",
        "created_at": 1_700_000_000,
        "model": body.get("model"),
        "status": "completed",
        "output": items,
        "usage": usage,
    }


def response_events(response: JSON) -> list[JSON]:
    """Return the events by which that response streams."""
    begun = {**response, "status": "in_progress", "output": [], "usage": None}
    events: list[JSON] = [{"type": "response.created", "response": begun}]
    for index, item in enumerate(response["output"]):
        events.append({"type": "response.output_item.added", "output_index": index, "item": _opened(item)})
        if item["type"] == "message":
            place = {"item_id": item["id"], "output_index": index, "content_index": 0}
            text = item["content"][0]["text"]
            events += ({"type": "response.output_text.delta", **place, "delta": piece} for piece in _halves(text))
        events.append({"type": "response.output_item.done", "output_index": index, "item": item})
    events.append({"type": "response.completed", "response": response})
    return [{**event, "sequence_number": number} for number, event in enumerate(events)]


def _opened(item: JSON) -> JSON:
    return {**item, **_EMPTY[item["type"]]}


def _call_item(call: Call | Search) -> JSON:
    if isinstance(call, Search):
        arguments = {"query": call.query, "limit": 8}
        return {"type": "tool_search_call", "id": _id("tsc"), "call_id": _id("call"), "execution": "client", "arguments": arguments}
    if isinstance(call.arguments, str):
        return {"type": "custom_tool_call", "id": _id("ctc"), "call_id": _id("call"), "name": call.name, "input": call.arguments}
    text = json.dumps(call.arguments)
    within = {"namespace": call.namespace} if call.namespace else {}
    return {"type": "function_call", "id": _id("fc"), "call_id": _id("call"), "name": call.name, **within, "arguments": text}


def offered_tools(body: JSON) -> list[str]:
    """Names of the tools that a request offers."""
    tools = body.get("tools")
    named = [tool for tool in tools if isinstance(tool, dict)] if isinstance(tools, list) else []
    return [str(tool.get("name") or tool.get("type")) for tool in named]


def _shell(call: Shell, offered: Sequence[str]) -> Call:
    """Say a command with the shell tool of that version of Codex."""
    if "exec_command" in offered:
        return Call("exec_command", {"cmd": call.command})
    if "shell_command" in offered:
        return Call("shell_command", {"command": call.command})
    if "exec" in offered:  # the tool that takes a program, and gives it the others as functions
        return Call("exec", f"const r = await tools.exec_command({{cmd: {json.dumps(call.command)}}}); text(r.output);")
    return Call("shell", {"command": ["bash", "-lc", call.command]})
