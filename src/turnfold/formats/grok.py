"""Grok CLI's session files: ``~/.grok/sessions/<project>/<session>/chat_history.jsonl``.

A line is one item: ``system``, ``user``, ``assistant``, ``reasoning``, ``tool_result`` or ``backend_tool_call``. Lines have no time; when
and where a session was is in ``summary.json`` beside it, which is kept with the session.

Source: the corpus, and what other readers of these files found in real ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from turnfold.formats.base import Find, Line, Projected, SourceInfo
from turnfold.formats.fields import arguments_of, list_of, metadata_of, name_of, object_of, some, stem_of, text_of, text_or_none
from turnfold.formats.lines import decode_line, opaque, parse_at
from turnfold.formats.media import Parts, content_of, media, response_of
from turnfold.formats.places import oldest_first, root_of, small_text
from turnfold.formats.rows import RowReader, said, told
from turnfold.model.message import Message
from turnfold.model.parts import OpaquePart, Part, ReasoningPart, ServerToolCallPart, TextPart, ToolCallPart, ToolResultPart

NAME = "grok"
PROVIDER = "xai"
SNIFF_LINES_MAX = 20
SUMMARY = "summary.json"
_OWN_KEYS = {
    "user": ("prompt_index", "synthetic_reason"),
    "assistant": ("model_fingerprint", "model_id"),
    "backend_tool_call": ("kind",),
}
"""What only these lines have, by type."""


class GrokFormat:
    """See ``formats.base.Format``."""

    name = NAME

    def sniff(self, path: Path, head: bytes) -> float:
        """Look for an item with fields that no other tool writes; a session that has only begun has none yet, but its file's name."""
        for data in islice(head.split(b"\n"), SNIFF_LINES_MAX):
            value = object_of(decode_line(data)[0]) if data.strip() else {}
            keys = _OWN_KEYS.get(text_of(value.get("type")), ())
            if any(key in value for key in keys) and "uuid" not in value and "message" not in value:
                return 0.95
        first = object_of(decode_line(head.partition(b"\n")[0])[0])
        return 0.6 if path.name == "chat_history.jsonl" and first.get("type") == "system" and set(first) == {"type", "content"} else 0.0

    def describe(self, path: Path, head: Iterable[bytes]) -> SourceInfo:
        """Read ``summary.json``; without one the folder's name is the session's."""
        text = small_text(path.with_name(SUMMARY))
        summary = object_of(decode_line(text.encode())[0]) if text else {}
        info = object_of(summary.get("info"))
        own = path.parent.name if path.name == "chat_history.jsonl" else path.stem
        native_id = name_of(info.get("id")) or name_of(own) or NAME
        facts = {"cwd": info.get("cwd"), "git_root": summary.get("git_root_dir"), "model": summary.get("current_model_id")}
        return SourceInfo(
            native_id=native_id,
            agent=NAME,
            title=text_or_none(summary.get("generated_title")) or text_or_none(summary.get("session_summary")),
            created_us=parse_at(summary.get("created_at")),
            parent=_parent(path, native_id, summary),
            metadata=metadata_of(facts),
            files={SUMMARY: text} if text and summary else {},
        )

    def reader(self, path: Path, info: SourceInfo, state: dict[str, Any] | None, find: Find) -> GrokReader:
        """Return a reader; nothing is ever looked up."""
        return GrokReader(info, state)

    def discover(self, home: Path, environ: dict[str, str]) -> Iterator[Path]:
        """Yield the sessions of ``$GROK_HOME`` or ``~/.grok``, oldest first."""
        yield from oldest_first(path for folder in self.folders(home, environ) for path in folder.glob("*/*/chat_history.jsonl"))

    def folders(self, home: Path, environ: dict[str, str]) -> list[Path]:
        """Return the folder of sessions."""
        root = root_of(environ, "GROK_HOME", home / ".grok")
        return [root / "sessions"]

    def companions(self, path: Path) -> list[Path]:
        """Return nothing: subagents are sessions in folders of their own."""
        return []

    def export_name(self, session_id: str) -> str:
        """``<session>/chat_history.jsonl``, as under ``sessions``."""
        return f"{stem_of(session_id)}/chat_history.jsonl"


def _parent(path: Path, native_id: str, summary: dict[str, Any]) -> dict[str, Any] | None:
    """Find the session that started a subagent: that one's folder names it."""
    for meta in path.parent.parent.glob(f"*/subagents/{stem_of(native_id)}/meta.json"):
        fields = object_of(decode_line((small_text(meta) or "").encode())[0])
        return {"session_id": name_of(fields.get("parent_session_id")) or meta.parents[2].name, "relation": "subagent"}
    forked = name_of(summary.get("parent_session_id"))
    return {"session_id": forked, "relation": "fork"} if forked else None


class GrokReader(RowReader):
    """Reader of one file."""

    def __init__(self, info: SourceInfo, state: dict[str, Any] | None) -> None:
        """Begin at the file's start, or go on from ``state``."""
        super().__init__(state)
        self.at_us = info.created_us
        self.titled = self.titled or info.title is not None
        self._model: str | None = (state or {}).get("model")
        self._makers = {
            "system": self._system,
            "user": self._user,
            "assistant": self._assistant,
            "reasoning": self._reasoning,
            "tool_result": self._result,
            "backend_tool_call": self._server_call,
        }

    def state(self) -> dict[str, Any]:
        """What a later reader needs to go on."""
        return super().state() | {"model": self._model}

    def project(self, line: Line, value: dict[str, Any], seq: int) -> list[Projected]:
        """Return the message of an item."""
        kind = text_of(value.get("type"))
        make = self._makers.get(kind)
        return [opaque(line, self.at_us, kind or None) if make is None else make(line, value)]

    def _system(self, line: Line, item: dict[str, Any]) -> Projected:
        """The instructions are the session's."""
        if isinstance(item.get("content"), str):
            return told(line, "session.updated", {"system_prompt": item["content"]}, at=self.at_us, visibility="none")
        return said(line, Message("system", _content(item.get("content"))), at=self.at_us, visibility="model")

    def _user(self, line: Line, item: dict[str, Any]) -> Projected:
        message = Message("user", _content(item.get("content")))
        reason = item.get("synthetic_reason")
        typed = reason is None
        if typed:
            self.typed(message)
        else:
            message.ext = {"synthetic_reason": reason}
        return said(line, message, at=self.at_us, visibility="both" if typed else "model", turn_count=int(typed))

    def _assistant(self, line: Line, item: dict[str, Any]) -> Projected:
        self._model = text_or_none(item.get("model_id")) or self._model
        parts = [*_content(item.get("content")), *(_call(call) for call in list_of(item.get("tool_calls")))]
        return said(line, Message("assistant", parts, model=self._model, provider=PROVIDER), at=self.at_us)

    def _reasoning(self, line: Line, item: dict[str, Any]) -> Projected:
        summary = [text_of(object_of(block).get("text")) for block in list_of(item.get("summary"))]
        content = "".join(text_of(object_of(block).get("text")) for block in list_of(item.get("content")))
        sealed, native_id = text_or_none(item.get("encrypted_content")), text_or_none(item.get("id"))
        part = ReasoningPart(content, summary or None, encrypted=sealed, provider=PROVIDER, id=native_id)
        return said(line, Message("assistant", [part], model=self._model, provider=PROVIDER), at=self.at_us)

    def _result(self, line: Line, item: dict[str, Any]) -> Projected:
        out: Parts = []
        parts = _content(item.get("content"))
        parts += [media("image", image) if isinstance(image, str) else OpaquePart(image) for image in list_of(item.get("images"))]
        part = ToolResultPart(text_of(item.get("tool_call_id")), response_of(parts, out))
        if isinstance(item.get("is_error"), bool):
            part.is_error = item["is_error"]
        return said(line, Message("tool", [part]), out, at=self.at_us)

    def _server_call(self, line: Line, item: dict[str, Any]) -> Projected:
        """A tool that runs at the provider; its answer goes to the model there."""
        call = object_of(item.get("kind"))
        native = {key: value for key, value in call.items() if key not in {"id", "tool_type"}}
        native["type"] = text_of(call.get("tool_type"))
        part = ServerToolCallPart(text_of(call.get("id")), text_of(call.get("tool_type")), native)
        return said(line, Message("assistant", [part], model=self._model, provider=PROVIDER), at=self.at_us)


def _content(content: Any) -> list[Part]:
    return content_of(content, _block)


def _block(block: Any) -> Part:
    fields = object_of(block)
    if fields.get("type") == "text" and isinstance(fields.get("text"), str):
        return TextPart(fields["text"])
    if fields.get("type") == "image" and isinstance(fields.get("url"), str):
        return media("image", fields["url"], some({"detail": fields.get("detail")}))
    return OpaquePart(block)


def _call(call: Any) -> Part:
    fields = object_of(call)
    if not isinstance(fields.get("id"), str) or not isinstance(fields.get("name"), str):
        return OpaquePart(call)
    arguments, raw = arguments_of(fields.get("arguments"))
    return ToolCallPart(fields["id"], fields["name"], arguments, arguments_raw=raw)
