"""What a line of the tree becomes, before its branch is known: messages, context, compactions."""

from __future__ import annotations

from typing import Any, NamedTuple

from turnfold.formats.claude_code.messages import FINISH_REASONS, OutOfLine, parts_of, restore
from turnfold.formats.claude_code.usage import Ledger, normalise
from turnfold.formats.lines import DETAIL_LINE_BYTES_MAX
from turnfold.formats.tree import Kind
from turnfold.limits import NAME_BYTES_MAX
from turnfold.model.event import Visibility
from turnfold.model.usage import NO_USAGE, Usage

SYNTHETIC = "<synthetic>"
"""The model's name on messages that the tool itself wrote."""
_NOT_TYPED = ("<local-command-stdout>", "<local-command-stderr>", "<bash-stdout>", "<task-notification>", "[Request interrupted")
"""Beginnings of user texts that nobody typed."""


class Draft(NamedTuple):
    """An event without its place.

    Attributes:
        kind: What the line is to the tree.
        leads: Its branch is the one where the conversation is.
    """

    type: str
    data: dict[str, Any]
    visibility: Visibility = "both"
    kind: Kind = Kind.PART
    message_id: str | None = None
    block_index: int | None = None
    messages: int = 0
    turns: int = 0
    usage: Usage = NO_USAGE
    leads: bool = False


def name_of(value: Any) -> str | None:
    """Return the value if it can stand in an envelope field."""
    return value if type(value) is str and value and len(value) <= NAME_BYTES_MAX // 4 else None


def assistant(line: dict[str, Any], ledger: Ledger, out: OutOfLine) -> Draft:
    """Project a line of an API message: one or more of its blocks, and what its usage has grown by."""
    native = line.get("message")
    if type(native) is not dict:
        return Draft("opaque", {"native_type": "assistant"}, "none")
    message_id, model, stop = name_of(native.get("id")), native.get("model"), native.get("stop_reason")
    data: dict[str, Any] = {"role": "assistant", "parts": parts_of(native.get("content"), out)}
    if "turnfold" in line:
        restore(data["parts"], line["turnfold"])
    if type(stop) is str:
        data["finish_reason"] = FINISH_REASONS.get(stop, stop)
        data["native_finish_reason"] = stop
    usage = NO_USAGE
    if model == SYNTHETIC:
        data["synthetic"] = True
    elif type(model) is str:
        data["model"] = model
        if model.startswith("claude"):
            data["provider"] = "anthropic"
        usage = normalise(native.get("usage"), model, line.get("costUSD"))
    if message_id is not None:
        data["response_id"] = message_id
    request_id = line.get("requestId")
    if type(request_id) is str:
        data["request_id"] = request_id
    kind = Kind.PART if message_id is not None and message_id in ledger else Kind.STEP
    step = ledger.add(message_id, len(data["parts"]), usage)
    shown: Visibility = "ui" if line.get("isApiErrorMessage") is True else "both"  # the tool never sends its notice of a failure
    return Draft("message", data, shown, kind, message_id, step.block_index, int(step.first), 0, step.delta, leads=True)


def user(line: dict[str, Any], size_bytes: int, out: OutOfLine) -> Draft:
    """Project a ``user`` line: a tool's results, what the tool injects, the summary after a compaction, or a prompt."""
    native = line.get("message")
    if type(native) is not dict:
        return Draft("opaque", {"native_type": "user"}, "none")
    parts = parts_of(native.get("content"), out)
    results = [part for part in parts if part["type"] == "tool_call_response"]
    if results:
        detail = line.get("toolUseResult")
        if detail is not None and size_bytes <= DETAIL_LINE_BYTES_MAX:
            results[0]["detail"] = detail
        return Draft("message", {"role": "tool", "parts": parts}, messages=1, leads=True)
    data = {"role": "user", "parts": parts}
    if line.get("isMeta") is True:
        mark = line.get("turnfold")
        if type(mark) is dict and mark.get("role") in ("system", "developer"):
            data["role"] = mark["role"]
        return Draft("context", data, "model", Kind.NOTE)
    if line.get("isCompactSummary") is True:
        return Draft("message", data, "model", Kind.NOTE, messages=1, leads=True)  # of its boundary's group, as what the boundary keeps
    return Draft("message", data, kind=Kind.STEP, messages=1, turns=int(_is_typed(line, parts)), leads=True)


def _is_typed(line: dict[str, Any], parts: list[dict[str, Any]]) -> bool:
    """Whether a person (or a program in a person's place) asked this."""
    origin = line.get("origin")
    if type(origin) is dict and origin.get("kind") == "task-notification":
        return False
    first = parts[0] if parts else None
    return first is not None and not (first["type"] == "text" and first["content"].startswith(_NOT_TYPED))


def compaction(line: dict[str, Any], seq: int, kept_seqs: list[int]) -> Draft:
    """Project a compact boundary: all before it on its branch but what it keeps is represented by the summary, the next line's message."""
    facts = line.get("compactMetadata")
    facts = facts if type(facts) is dict else {}
    data: dict[str, Any] = {"first_seq": 1, "last_seq": max(seq - 1, 1)}
    if type(facts.get("trigger")) is str:
        data["trigger"] = facts["trigger"]
    if kept_seqs:
        data["keeps"] = kept_seqs
    for name, key in (("pre_tokens", "preTokens"), ("post_tokens", "postTokens")):
        if type(facts.get(key)) is int:
            data[name] = facts[key]
    return Draft("compaction", data, "ui", Kind.BOUNDARY)


def preserved(line: dict[str, Any]) -> list[str]:
    """Uuids of the messages that a compaction keeps."""
    facts = line.get("compactMetadata")
    kept = facts.get("preservedMessages") if type(facts) is dict else None
    uuids = (kept.get("allUuids") or kept.get("uuids")) if type(kept) is dict else None
    return [uuid for uuid in uuids if type(uuid) is str] if type(uuids) is list else []
