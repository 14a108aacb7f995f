"""Amp's threads: one JSON document each, ``~/.local/share/amp/threads/T-<uuid>.json``, or what ``amp threads export`` prints.

Messages hold blocks like those of Anthropic's API; a tool's answer has its whole run in it. What changes with every step of a thread (its
version, its title, traces) is said last. There is no published schema: what is not known stands in the lines as it is.

Source: other programs' descriptions of these files (second hand).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from turnfold.errors import FormatError
from turnfold.formats.base import Document, Find, Line, Projected, SourceInfo
from turnfold.formats.claude_code.messages import FINISH_REASONS
from turnfold.formats.documents import line_of, unreadable
from turnfold.formats.fields import (
    at_ms,
    count_of,
    exit_code_of,
    list_of,
    metadata_of,
    name_of,
    object_of,
    some,
    stem_of,
    text_of,
    text_or_none,
)
from turnfold.formats.lines import decode_line, opaque, parse_at
from turnfold.formats.media import Parts, content_of, modality_of, response_of
from turnfold.formats.places import OneFile, data_root, oldest_first
from turnfold.formats.rows import RowReader, native, said, told
from turnfold.model.message import Message
from turnfold.model.parts import BlobPart, OpaquePart, Part, ReasoningPart, TextPart, ToolCallPart, ToolResultPart, UriPart
from turnfold.model.usage import NO_USAGE, Usage

NAME = "amp"
_FIXED = ("id", "created", "env")
"""Facts that stay as they are."""
_id = re.compile(rb'"id"\s*:\s*"T-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"')
_created = re.compile(rb'"created"\s*:\s*\d{12}')
_messages = re.compile(rb'"messages"\s*:\s*\[')
_FAILED = frozenset({"error", "cancelled", "rejected-by-user"})
_DONE = frozenset({"done", *_FAILED})


class AmpFormat(OneFile):
    """See ``formats.base.DocumentFormat``."""

    name = NAME

    def sniff(self, path: Path, head: bytes) -> float:
        """Look for a thread's id, time and messages."""
        known = head.lstrip()[:1] == b"{" and all(pattern.search(head) for pattern in (_id, _created, _messages))
        return 0.95 if known else 0.0

    def documents(self, path: Path) -> Iterator[Document]:
        """Yield the thread: its facts, its messages, and last what may still change."""
        try:
            value, problem = decode_line(path.read_bytes())
        except OSError as error:
            raise FormatError(f"{path}: {error}", path=str(path)) from error
        if problem is not None or not isinstance(value, dict):
            raise FormatError(f"{path}: {problem or 'no JSON object'}", hint="is it whole?", path=str(path))
        fixed = {name: value[name] for name in _FIXED if name in value}
        rest = {name: item for name, item in value.items() if name not in {*_FIXED, "messages"}}
        lines = [line_of({"amp": fixed})]
        messages = value.get("messages")
        lines += [_line(at, item) for at, item in enumerate(list_of(messages))]
        if messages is not None and not isinstance(messages, list):
            lines.append(unreadable("messages", "it is no list", line_of(messages)))
        settled = len(lines) - 1 if len(lines) > 1 else 1  # the last message may still be written
        if rest:
            lines.append(line_of({"$set": rest}))
        yield Document(native_id=name_of(value.get("id")) or name_of(path.stem) or NAME, lines=lines, settled_count=settled)

    def describe(self, path: Path, head: Iterable[bytes]) -> SourceInfo:
        """Read the thread's facts from its first line."""
        facts: dict[str, Any] = {}
        for data in head:
            facts = object_of(object_of(decode_line(data)[0]).get("amp"))
            break
        initial = object_of(object_of(facts.get("env")).get("initial"))
        tree = object_of(next(iter(list_of(initial.get("trees"))), None))
        repository, platform = object_of(tree.get("repository")), object_of(initial.get("platform"))
        metadata = {
            "cwd": text_or_none(initial.get("cwd")) or _path_of(tree.get("uri")),
            "git_branch": repository.get("ref"),
            "git_commit": repository.get("sha"),
            "repository": repository.get("url"),
        }
        return SourceInfo(
            native_id=name_of(facts.get("id")) or name_of(path.stem) or NAME,
            agent=NAME,
            version=text_or_none(platform.get("clientVersion")),
            created_us=at_ms(facts.get("created")),
            metadata=metadata_of(metadata),
        )

    def reader(self, path: Path, info: SourceInfo, state: dict[str, Any] | None, find: Find) -> AmpReader:
        """Return a reader of one thread."""
        return AmpReader(info, state)

    def discover(self, home: Path, environ: dict[str, str]) -> Iterator[Path]:
        """Yield the threads under ``$XDG_DATA_HOME`` or ``~/.local/share``, oldest first."""
        yield from oldest_first(path for folder in self.folders(home, environ) for path in folder.glob("T-*.json"))

    def folders(self, home: Path, environ: dict[str, str]) -> list[Path]:
        """Return the folder of threads."""
        return [data_root(home, environ) / "amp" / "threads"]

    def export_name(self, session_id: str) -> str:
        """Return the name of the lines of a thread."""
        return f"{stem_of(session_id)}.jsonl"


def _line(at: int, item: Any) -> bytes:
    if isinstance(item, dict):
        return line_of(item)
    return unreadable(f"messages[{at}]", "a JSON value that is no object", line_of(item))


def _path_of(uri: Any) -> str | None:
    if not isinstance(uri, str) or not uri:
        return None
    try:
        parts = urlsplit(uri)
    except ValueError:
        return uri
    return unquote(parts.path) if parts.scheme == "file" else uri


class AmpReader(RowReader):
    """Reader of one thread's lines."""

    def __init__(self, info: SourceInfo, state: dict[str, Any] | None) -> None:
        """Begin at the thread's start, or go on from ``state``."""
        super().__init__(state)
        if self.at_us is None:
            self.at_us = info.created_us

    def project(self, line: Line, value: dict[str, Any], seq: int) -> list[Projected]:
        """Return the events of a line."""
        if isinstance(value.get("amp"), dict):
            return [native(line, "settings", "thread", value["amp"], at=self.at_us, visibility="none")]
        if isinstance(value.get("$set"), dict):
            title = text_of(value["$set"].get("title")).strip()
            if title:
                return [self.title(line, title)]
            return [native(line, "settings", "$set", value["$set"], at=self.at_us, visibility="none")]
        usage = object_of(value.get("usage"))
        self.seen_at(at_ms(object_of(value.get("meta")).get("sentAt")) or parse_at(usage.get("timestamp")))
        role = text_of(value.get("role"))
        if role == "assistant":
            return self._assistant(line, value, usage)
        if role == "user":
            return self._user(line, value)
        return [self._info(line, value, seq)] if role == "info" else [opaque(line, self.at_us, f"message/{role}" if role else None)]

    def _assistant(self, line: Line, value: dict[str, Any], usage: dict[str, Any]) -> list[Projected]:
        out: Parts = []
        parts = _blocks(value.get("content"), out)
        model, reason = text_or_none(usage.get("model")), text_or_none(object_of(value.get("state")).get("stopReason"))
        answers = [part for part in parts if type(part) is ToolResultPart]
        message = Message("assistant", [part for part in parts if type(part) is not ToolResultPart], model=model)
        message.finish_reason, message.native_finish_reason = FINISH_REASONS.get(reason or "", reason), reason
        fields = self._fields(value)
        events = [said(line, message, out, usage=_usage(usage, model or ""), **fields)]
        if answers:
            events.append(said(None, Message("tool", [*answers]), **fields))
        return events

    def _user(self, line: Line, value: dict[str, Any]) -> list[Projected]:
        """A prompt, or the tools' answers, or both."""
        out: Parts = []
        parts = _blocks(value.get("content"), out)
        answers: list[Part] = [part for part in parts if type(part) is ToolResultPart]
        rest = [part for part in parts if type(part) is not ToolResultPart]
        fields = self._fields(value)
        events: list[Projected] = []
        if answers:
            events.append(said(line, Message("tool", answers), out, **fields))
        if rest or not answers:
            message = Message("user", rest)
            self.typed(message)
            events.append(said(None if answers else line, message, [] if answers else out, turn_count=1, **fields))
        return events

    def _fields(self, value: dict[str, Any]) -> dict[str, Any]:
        number = value.get("messageId")
        native_id = str(number) if type(number) is int else name_of(number)
        return {"at": self.at_us, "message_id": native_id, "meta": some({"uuid": native_id}) or None}

    def _info(self, line: Line, value: dict[str, Any], seq: int) -> Projected:
        """What Amp notes in a thread: a summary in place of what was before, or anything else."""
        for block in list_of(value.get("content")):
            summary = object_of(object_of(block).get("summary"))
            text = text_or_none(summary.get("summary"))
            if object_of(block).get("type") == "summary" and text is not None:
                return told(line, "compaction", {"summary": text, "first_seq": 1, "last_seq": max(seq - 1, 1)}, at=self.at_us)
        return native(line, "context", "info", value, at=self.at_us, visibility="ui")


def _blocks(content: Any, out: Parts) -> list[Part]:
    return content_of(content, lambda block: _block(block, out))


def _block(block: Any, out: Parts) -> Part:
    fields = object_of(block)
    kind = fields.get("type")
    if kind == "text" and isinstance(fields.get("text"), str):
        return TextPart(fields["text"])
    if kind == "thinking" and isinstance(fields.get("thinking"), str):
        provider = text_or_none(fields.get("provider")) or "anthropic"
        return ReasoningPart(fields["thinking"], signature=text_or_none(fields.get("signature")), provider=provider)
    if kind == "redacted_thinking" and isinstance(fields.get("data"), str):
        return ReasoningPart(encrypted=fields["data"], redacted=True, provider="anthropic")
    if kind == "tool_use" and isinstance(fields.get("id"), str) and isinstance(fields.get("name"), str):
        return ToolCallPart(fields["id"], fields["name"], fields.get("input"))
    if kind == "tool_result":
        return _result(fields, out)
    if kind == "image":
        return _image(object_of(fields.get("source"))) or OpaquePart(block)
    return OpaquePart(block)


def _image(source: dict[str, Any]) -> Part | None:
    mime_type = text_or_none(source.get("mediaType")) or text_or_none(source.get("media_type"))
    modality = modality_of(mime_type) if mime_type else "image"
    if isinstance(source.get("data"), str):
        return BlobPart(modality, mime_type, source["data"])
    return UriPart(modality, source["url"], mime_type) if isinstance(source.get("url"), str) else None


def _result(fields: dict[str, Any], out: Parts) -> Part:
    """A tool's answer: the result or error of its run, or what the run had told by then."""
    native_id = text_of(fields.get("toolUseID")) or text_of(fields.get("tool_use_id"))
    run = object_of(fields.get("run"))
    status = text_of(run.get("status"))
    answer: Any = next((run[name] for name in ("result", "error", "progress") if run.get(name) is not None), fields.get("content"))
    detail: Any = None
    name = next((key for key in ("output", "message") if isinstance(object_of(answer).get(key), str)), None)
    if name is not None:  # what the model reads; the rest stands beside it
        detail, answer = {key: value for key, value in answer.items() if key != name} or None, answer[name]
    elif isinstance(answer, list) and answer and all("type" in object_of(item) for item in answer):
        answer = response_of(_blocks(answer, out), out)
    part = ToolResultPart(native_id, answer, status in _FAILED if status in _DONE else None, detail=detail)
    part.exit_code = exit_code_of(object_of(run.get("result")).get("exitCode"))
    part.ext = some({"status": status or None})
    return part


def _usage(fields: dict[str, Any], model: str) -> Usage:
    """Return a native usage: ``inputTokens`` leaves out what was read from the cache or written to it."""
    read, written = count_of(fields.get("cacheReadInputTokens")), count_of(fields.get("cacheCreationInputTokens"))
    total = count_of(fields.get("totalInputTokens")) or count_of(fields.get("inputTokens")) + read + written
    return Usage(total, count_of(fields.get("outputTokens")), read, written, model=model) or NO_USAGE
