"""UI messages of the Vercel AI SDK (5 and 6), as ``useChat`` applications keep them.

Source: ``ui-messages.ts``, ``validate-ui-messages.ts`` and ``convert-to-model-messages.ts`` of the package ``ai``. One UI message holds all
steps of an answer with the tools' outputs in place; the model got a message per step and one with its results, and so do we.
"""

from __future__ import annotations

from typing import Any

from turnfold.formats.fields import list_of, name_of, object_of, text_of, text_or_none
from turnfold.formats.lists.shape import Items, Place, Said, at_of
from turnfold.formats.responses import media_of
from turnfold.model.message import Message
from turnfold.model.parts import (
    BlobPart,
    OpaquePart,
    Part,
    ReasoningPart,
    ServerToolCallPart,
    ServerToolResultPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    UriPart,
)

_ROLES = frozenset({"system", "user", "assistant"})
_PLAIN = frozenset({"text", "reasoning", "file", "source-url", "source-document", "step-start", "dynamic-tool"})
_DONE = frozenset({"output-available", "output-error", "output-denied"})
_STATES = _DONE | {"input-streaming", "input-available", "approval-requested", "approval-responded"}
_MODALITIES = frozenset({"image", "audio", "video"})
_SIGNATURES = ("signature", "thoughtSignature")
_ENCRYPTED = ("redactedData", "reasoningEncryptedContent")
DENIED = "Tool call execution denied."
"""What the SDK tells the model where a person gave no reason."""


class VercelShape:
    """See ``shape.Shape``."""

    name = "vercel"
    agent = "vercel-ai"

    def sureness(self, items: Items, envelope: dict[str, Any]) -> float:
        """Every item has an id, a role and parts with this SDK's types."""
        fits = all(
            isinstance(item.get("id"), str)
            and text_of(item.get("role")) in _ROLES
            and isinstance(item.get("parts"), list)
            and _all_fit(item["parts"])
            for item in items
        )
        return 0.95 if fits and any(item["parts"] for item in items) else 0.0

    def said(self, item: dict[str, Any], place: Place) -> list[Said] | None:
        """Return the messages that an item is: one of a person, or two per step of an answer (what was said; what tools answered)."""
        role, parts = text_of(item.get("role")), item.get("parts")
        if role not in _ROLES or not isinstance(parts, list):
            return None
        messages: list[Message] = []
        for step in _steps(parts):
            said, results = _step(step)
            if said:
                messages.append(Message(role, said))
            if results:
                messages.append(Message("tool", results))
        messages = messages or [Message(role)]
        messages[0].native_id = text_or_none(item.get("id"))
        metadata = item.get("metadata")
        if metadata is not None:
            messages[0].ext = {"metadata": metadata}
        at_us = at_of(item, metadata)
        return [Said(message=message, at_us=at_us) for message in messages]

    def settled(self, item: dict[str, Any]) -> bool:
        """An answer that is being written says so in its parts; an unanswered call gets its answer in the same message."""
        return all(
            text_of(part.get("state", "done")) in {"done", *_DONE} and part.get("preliminary") is not True
            for part in map(object_of, list_of(item.get("parts")))
        )

    def envelope(self, fields: dict[str, Any]) -> dict[str, Any]:
        """A chat's title."""
        return {"title": text_or_none(fields.get("title"))}


def _all_fit(parts: list[Any]) -> bool:
    return all(isinstance(part, dict) and _fits(part) for part in parts)


def _fits(part: dict[str, Any]) -> bool:
    kind = text_of(part.get("type"))
    if kind in {"text", "reasoning"}:
        return isinstance(part.get("text"), str)
    if kind == "dynamic-tool" or kind.startswith("tool-"):
        return isinstance(part.get("toolCallId"), str) and text_of(part.get("state")) in _STATES
    return kind in _PLAIN or kind.startswith("data-")


def _steps(parts: list[Any]) -> list[list[Any]]:
    steps: list[list[Any]] = [[]]
    for part in parts:
        if object_of(part).get("type") == "step-start":
            steps.append([])
        else:
            steps[-1].append(part)
    return steps


def _step(parts: list[Any]) -> tuple[list[Part], list[Part]]:
    said: list[Part] = []
    results: list[Part] = []
    for part in parts:
        fields = object_of(part)
        kind = text_of(fields.get("type"))
        if kind == "dynamic-tool" or kind.startswith("tool-"):
            _tool(fields, text_of(fields.get("toolName")) if kind == "dynamic-tool" else kind[5:], said, results)
        else:
            said.append(_part(kind, fields) or OpaquePart(part))
    return said, results


def _part(kind: str, fields: dict[str, Any]) -> Part | None:
    text, metadata = fields.get("text"), _metadata(fields.get("providerMetadata"))
    if kind == "text" and isinstance(text, str):
        return TextPart(text, ext=metadata)
    if kind == "reasoning" and isinstance(text, str):
        return _reasoning(text, fields)
    url = fields.get("url")
    if kind == "file" and isinstance(url, str):
        return _file(url, fields, metadata)
    return None


def _metadata(value: Any) -> dict[str, Any]:
    return {"provider_metadata": value} if isinstance(value, dict) and value else {}


def _reasoning(text: str, fields: dict[str, Any]) -> Part:
    """Reasoning with what its provider needs to take it back; signatures stand in its metadata under the provider's name."""
    part = ReasoningPart(text, id=text_or_none(fields.get("id")))
    for provider, facts in object_of(fields.get("providerMetadata")).items():
        if not isinstance(facts, dict):
            continue
        part.provider = name_of(provider)
        part.signature = next((facts[key] for key in _SIGNATURES if isinstance(facts.get(key), str)), None)
        part.encrypted = next((facts[key] for key in _ENCRYPTED if isinstance(facts.get(key), str)), None)
        part.redacted = isinstance(facts.get("redactedData"), str)
        part.id = text_or_none(facts.get("itemId")) or part.id
        taken = {*_SIGNATURES, *_ENCRYPTED, "itemId"}
        rest = {key: value for key, value in facts.items() if key not in taken}
        if rest:
            part.ext = {"provider_metadata": {provider: rest}}
        break
    return part


def _file(url: str, fields: dict[str, Any], ext: dict[str, Any]) -> Part:
    mime_type, filename = text_or_none(fields.get("mediaType")), text_or_none(fields.get("filename"))
    major = (mime_type or "").partition("/")[0]
    part = media_of(major if major in _MODALITIES else "document", url)
    if isinstance(part, BlobPart):
        part.mime_type, part.filename, part.ext = mime_type or part.mime_type, filename, ext
    elif isinstance(part, UriPart):
        part.mime_type, part.ext = mime_type, ext if filename is None else {**ext, "filename": filename}
    return part


def _tool(fields: dict[str, Any], name: str, said: list[Part], results: list[Part]) -> None:
    """A tool's call with its answer, if there is one."""
    call_id, state = text_of(fields.get("toolCallId")), text_of(fields.get("state"))
    arguments = fields["input"] if fields.get("input") is not None else fields.get("rawInput")
    if fields.get("providerExecuted") is True:
        said.append(ServerToolCallPart(call_id, name, {"type": name, "input": arguments}))
        if state in _DONE:
            said.append(ServerToolResultPart(call_id, {"type": name, **_answer(fields)}))
        return
    ext = _metadata(fields.get("callProviderMetadata"))
    if isinstance(fields.get("approval"), dict):
        ext["approval"] = fields["approval"]
    status = None if state in _DONE else text_or_none(state)
    kind = "text" if isinstance(arguments, str) else "json"
    said.append(ToolCallPart(call_id, name, arguments, input_kind=kind, status=status, ext=ext))
    if state in _DONE:
        answer = _answer(fields)
        failed = "error" in answer
        ext = _metadata(fields.get("resultProviderMetadata"))
        results.append(ToolResultPart(call_id, answer["error" if failed else "output"], is_error=failed or None, ext=ext))


def _answer(fields: dict[str, Any]) -> dict[str, Any]:
    state = fields.get("state")
    if state == "output-error":
        return {"error": text_of(fields.get("errorText"))}
    if state == "output-denied":
        return {"error": text_or_none(object_of(fields.get("approval")).get("reason")) or DENIED}
    return {"output": fields.get("output")}
