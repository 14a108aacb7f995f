"""Writes a conversation as ``langchain_core.messages.messages_to_dict`` does; ``messages_from_dict`` reads it.

Contents are the standard blocks of version 1, so that each integration turns them into what its provider takes; reasoning keeps its
signature together with the name of the provider that made it, and only that one's integration uses it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from turnfold.core.conversation import Conversation
from turnfold.formats import loss
from turnfold.formats.loss import LossReport
from turnfold.formats.writers.common import text_of_part
from turnfold.formats.writers.turns import (
    NO_RESULT,
    IdMap,
    Turn,
    arguments_object,
    json_array,
    model_entries,
    provider_of,
    response_parts,
    turns_of,
)
from turnfold.model.parts import (
    AnyPart,
    BlobPart,
    FilePart,
    ReasoningPart,
    ServerToolCallPart,
    ServerToolResultPart,
    ToolCallPart,
    UriPart,
)
from turnfold.model.usage import Usage

_KINDS = {"image": "image", "audio": "audio", "video": "video"}
Block = dict[str, Any]


class LangChainWriter:
    """See ``formats.base.Writer``."""

    name = "langchain"
    suffix = ".json"

    def write(self, conversation: Conversation, losses: LossReport) -> Iterator[bytes]:
        """Yield the list, one message per line."""
        yield from json_array({"type": data["type"], "data": data} for data in _Writing(conversation, losses).messages())


class _Writing:
    def __init__(self, conversation: Conversation, losses: LossReport) -> None:
        self._conversation = conversation
        self._losses = losses

    def messages(self) -> Iterator[dict[str, Any]]:
        entries = model_entries(self._conversation, self._losses)
        turns = turns_of(entries, IdMap(r"[\x00-\x1f\x7f]", 512), self._losses)
        self._losses.add(loss.TIMES_AND_USAGE, count=sum(not entry.usage for entry in entries))
        if self._conversation.system_prompt:
            yield _data("system", self._conversation.system_prompt)
        for turn in turns:
            if turn.role == "assistant":
                yield self._answer(turn)
                yield from self._results(turn)
            else:
                message = _data("human" if turn.role == "user" else "system", self._content(turn.parts, turn), turn.message.name)
                if turn.role == "developer":
                    message["additional_kwargs"] = {"__openai_role__": "developer"}  # as langchain-openai marks it
                yield {**message, "id": turn.message.native_id}

    def _answer(self, turn: Turn) -> dict[str, Any]:
        parts: list[AnyPart] = [part for part in turn.parts if not isinstance(part, ToolCallPart)]
        message = _data("ai", self._content(parts, turn), turn.message.name)
        about: dict[str, Any] = {}
        provider = provider_of(None, turn, self._conversation.info)
        if turn.message.model:
            about["model_name"] = turn.message.model
        if provider:
            about["model_provider"] = provider
        if turn.message.native_finish_reason or turn.message.finish_reason:
            about["finish_reason"] = turn.message.native_finish_reason or turn.message.finish_reason
        if isinstance(message["content"], list):
            about["output_version"] = "v1"
        message["response_metadata"] = about
        message["id"] = turn.message.native_id
        message["tool_calls"] = [self._call(call, turn) for call in turn.calls if not _is_invalid(call)]
        message["invalid_tool_calls"] = [_invalid(call) for call in turn.calls if _is_invalid(call)]
        message["usage_metadata"] = _usage(turn.usage) if turn.usage else None
        return message

    def _call(self, call: ToolCallPart, turn: Turn) -> dict[str, Any]:
        return {"name": call.name, "args": arguments_object(call, self._losses, turn.seq), "id": call.id, "type": "tool_call"}

    def _results(self, turn: Turn) -> Iterator[dict[str, Any]]:
        for call in turn.calls:
            found = turn.results.get(call.id)
            if found is not None:
                result = found[0]
                message = _data("tool", self._content(response_parts(result.response), turn), call.name)
                message |= {"tool_call_id": call.id, "artifact": result.detail, "status": "error" if result.is_error else "success"}
                yield message
            elif not turn.is_pending:
                yield {**_data("tool", NO_RESULT, call.name), "tool_call_id": call.id, "artifact": None, "status": "error"}

    def _content(self, parts: list[AnyPart], turn: Turn) -> str | list[Block]:
        blocks = [block for block in (self._block(part, turn) for part in parts) if block is not None]
        if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
            return str(blocks[0]["text"])
        return blocks or ""

    def _block(self, part: AnyPart, turn: Turn) -> Block | None:
        if isinstance(part, ReasoningPart):
            return self._reasoning(part, turn)
        if isinstance(part, BlobPart | UriPart | FilePart):
            return _media(part)
        if isinstance(part, ServerToolCallPart):
            native = part.server_tool_call if isinstance(part.server_tool_call, dict) else {"args": part.server_tool_call}
            return {"type": "server_tool_call", "id": part.id, "name": part.name, "args": native.get("input", native)}
        if isinstance(part, ServerToolResultPart):
            return {"type": "server_tool_result", "tool_call_id": part.id, "status": "success", "output": part.server_tool_call_response}
        if part.type == "text" and part.get("citations"):
            return {
                "type": "text",
                "text": part["content"],
                "annotations": [{"type": "non_standard_annotation", "value": one} for one in part["citations"]],
            }
        text = text_of_part(part, self._losses, turn.seq)
        return {"type": "text", "text": text} if text else None

    def _reasoning(self, part: ReasoningPart, turn: Turn) -> Block | None:
        text = part.content or "\n\n".join(part.summary or ())
        block: Block = {"type": "reasoning", "reasoning": text}
        owner, answered_by = provider_of(part, turn, self._conversation.info), provider_of(None, turn, self._conversation.info)
        extras = {"signature": part.signature, "encrypted_content": part.encrypted}
        extras = {key: value for key, value in extras.items() if value}
        if extras and owner is not None and owner == answered_by:
            block["extras"] = extras
        elif extras:
            self._losses.add(loss.SIGNATURES, turn.seq)
        if part.id:
            block["id"] = part.id
        return block if text or "extras" in block else None


def _data(kind: str, content: str | list[Block], name: str | None = None) -> dict[str, Any]:
    return {"content": content, "additional_kwargs": {}, "response_metadata": {}, "type": kind, "name": name, "id": None}


def _is_invalid(call: ToolCallPart) -> bool:
    return call.arguments is None and call.arguments_raw is not None


def _invalid(call: ToolCallPart) -> dict[str, Any]:
    error = call.ext.get("error")
    return {
        "type": "invalid_tool_call",
        "id": call.id,
        "name": call.name,
        "args": call.arguments_raw,
        "error": None if error is None else str(error),
    }


def _media(part: BlobPart | UriPart | FilePart) -> Block | None:
    block: Block = {"type": _KINDS.get(part.modality, "file")}
    if isinstance(part, BlobPart):
        if not part.content:
            return None  # counted when its bytes were not found
        block |= {"base64": part.content, "mime_type": part.mime_type or "application/octet-stream"}
    else:
        block |= {"url": part.uri} if isinstance(part, UriPart) else {"file_id": part.file_id}
        if part.mime_type:
            block["mime_type"] = part.mime_type
    filename = part.ext.get("filename") if isinstance(part, UriPart) else part.filename
    return {**block, "extras": {"filename": filename}} if filename else block


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "input_token_details": {"cache_read": usage.cache_read_input_tokens, "cache_creation": usage.cache_creation_input_tokens},
        "output_token_details": {"reasoning": usage.reasoning_output_tokens},
    }
