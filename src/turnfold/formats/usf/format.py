"""USF documents as a format: how to know one, and its session as events."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import msgspec

from turnfold.errors import FormatError
from turnfold.formats.base import Document, Find, Line, Projected, Reader, SourceInfo
from turnfold.formats.documents import head_value, unreadable
from turnfold.formats.fields import count_of, list_of, object_of, stem_of, text_of, text_or_none
from turnfold.formats.lines import parse_at
from turnfold.formats.places import OneFile
from turnfold.formats.placing import place_id
from turnfold.formats.records import RecordReader, header_of, record_line
from turnfold.formats.usf.document import EXTENSION, FIELDS, parse_document
from turnfold.formats.usf.message import SOURCE_UUID, Facts, facts_of, message_from_text, message_of
from turnfold.formats.usf.writer import USF_FACTS
from turnfold.limits import LINE_BYTES_MAX
from turnfold.model.event import VISIBILITIES, Visibility
from turnfold.model.message import Message

_begins = re.compile(rb'\s*\{\s*"checksum":\s*"[0-9a-f]*",\s*"created_at":\s*"[^"]{10,40}",\s*"entities":')


class UsfFormat(OneFile):
    """See ``formats.base.DocumentFormat``."""

    name = "usf"

    def sniff(self, path: Path, head: bytes) -> float:
        """Look for the document's fields; they are sorted as their writer sorts them, so a large one is known by its first."""
        if _begins.match(head):
            return 1.0
        value = object_of(head_value(head))
        return 1.0 if all(name in value for name in ("version", "framework_source", "messages", "working_memory")) else 0.0

    def documents(self, path: Path) -> Iterator[Document]:
        """Yield the one session of a document.

        Raises:
            FormatError: It is of another version, is not what its checksum says, or is no USF document.
        """
        try:
            if path.stat().st_size > LINE_BYTES_MAX:
                raise FormatError(f"{path}: larger than LINE_BYTES_MAX = {LINE_BYTES_MAX} bytes", limit="LINE_BYTES_MAX", path=str(path))
            document, problem = parse_document(path.read_bytes(), path)
        except OSError as error:
            raise FormatError(f"{path}: cannot be read: {error.strerror or error}", path=str(path)) from error
        session_id = text_or_none(document.get("session_id")) or path.stem
        header = {"session_id": session_id, "at": document.get("created_at"), "framework": document.get("framework_source")}
        lines = [record_line("session", path.name, _genesis_facts(document), **header)]
        aside = _aside_of(document)
        messages = list_of(document.get("messages"))
        for number in range(len(messages) + 1):
            if number:
                lines.append(record_line("message", f"message {number}", messages[number - 1], number=number))
            lines += [record_line("aside", f"entry after message {number}", one) for one in aside.get(number, ())]
        settled_count = len(lines)
        rest = {key: value for key, value in document.items() if key != "messages"}
        lines.append(record_line("document", path.name, rest))
        if problem is not None:
            lines.append(unreadable(path.name, problem))
        yield Document(native_id=session_id, lines=lines, settled_count=settled_count)

    def describe(self, path: Path, head: Iterable[bytes]) -> SourceInfo:
        """Read the header."""
        header = header_of(head)
        facts = object_of(header.get("record"))
        return SourceInfo(
            native_id=text_of(header.get("session_id")) or path.stem,
            agent=text_of(facts.get("agent")) or text_of(header.get("framework")) or "usf",
            created_us=parse_at(header.get("at")),
        )

    def reader(self, path: Path, info: SourceInfo, state: dict[str, Any] | None, find: Find) -> Reader:
        """Return a reader of the document's lines."""
        return UsfReader(state, find, info.created_us)

    def export_name(self, session_id: str) -> str:
        """Return a name for the document."""
        return f"{stem_of(session_id)}.usf.json"


def _extension(document: dict[str, Any]) -> dict[str, Any]:
    return object_of(object_of(document.get("metadata")).get(EXTENSION))


def _genesis_facts(document: dict[str, Any]) -> dict[str, Any]:
    agent = text_or_none(_extension(document).get("agent"))
    return {} if agent is None else {"agent": agent}


def _aside_of(document: dict[str, Any]) -> dict[int, list[Any]]:
    """What Turnfold wrote beside the messages, by the number of the message that it comes after."""
    out: dict[int, list[Any]] = {}
    count = len(list_of(document.get("messages")))
    for one in list_of(_extension(document).get("entries")):
        out.setdefault(min(count_of(object_of(one).get("after")), count), []).append(one)
    return out


class UsfReader(RecordReader):
    """Reads the session of a document."""

    def _session(self, line: Line, value: dict[str, Any]) -> list[Projected]:
        return self.header(line, value, uuid=place_id("", 0), at=parse_at(value.get("at")))

    def _message(self, line: Line, value: dict[str, Any]) -> list[Projected]:
        record, number = object_of(value.get("record")), count_of(value.get("number"))
        made = message_of(record)
        at = parse_at(record.get("timestamp"))
        if made is None:
            return [self.kept(line, "message", problem=f"message {number} has no role of USF or no text as content")]
        message, facts, problem = made
        return [self._with_facts(line, message, facts, at=at, problem=problem, uuid=place_id("", number))]

    def _with_facts(self, line: Line, message: Message, facts: Facts, *, at: int | None, problem: str | None, uuid: str) -> Projected:
        visibility = cast("Visibility", facts.visibility)
        made = self.message(line, message, uuid=uuid, at=at, turn=facts.is_turn, visibility=visibility, usage=facts.usage, problem=problem)
        meta = {SOURCE_UUID if key == "uuid" else key: item for key, item in facts.meta.items()} | ({"uuid": uuid} if uuid else {})
        names = {"actor": facts.actor, "run_id": facts.run_id, "message_id": facts.message_id}
        return msgspec.structs.replace(made, event=msgspec.structs.replace(made.event, meta=meta or None, **names))

    def _aside(self, line: Line, value: dict[str, Any]) -> list[Projected]:
        """What is no message of the conversation: context, messages for people alone, compactions."""
        record = object_of(value.get("record"))
        at, visibility = parse_at(record.get("at")), text_of(record.get("visibility"))
        seen = cast("Visibility", visibility) if visibility in VISIBILITIES else "both"
        if record.get("type") == "compaction":
            return [self.event(line, "compaction", self._compaction(record), at=at, visibility=seen)]
        message = message_from_text(record.get("message"))
        if message is None:
            return [self.kept(line, "aside", problem="an entry that turnfold wrote beside the messages cannot be read")]
        made = self._with_facts(line, message, facts_of(record, message), at=at, problem=None, uuid="")
        if record.get("type") != "context":
            return [made]
        return [msgspec.structs.replace(made, event=msgspec.structs.replace(made.event, type="context", message_count=0, turn_count=0))]

    def _compaction(self, record: dict[str, Any]) -> dict[str, Any]:
        data = dict(object_of(record.get("data")))
        for name, key in (("first_seq", "first"), ("last_seq", "last")):
            place = self.find(place_id("", count_of(record.get(key))))
            if record.get(key) is not None and place is not None:
                data[name] = place.seq
        keeps = [place.seq for number in list_of(record.get("keeps")) if (place := self.find(place_id("", count_of(number)))) is not None]
        return {**data, "keeps": keeps} if keeps else data

    def _document(self, line: Line, value: dict[str, Any]) -> list[Projected]:
        """What belongs to the whole session and may change."""
        record = object_of(value.get("record"))
        extension = _extension(record)
        other = {key: item for key, item in record.items() if key not in FIELDS and key != "checksum"}
        own = {key: item for key, item in object_of(record.get("metadata")).items() if key != EXTENSION}
        facts = {"entities": record.get("entities"), "task_state": record.get("task_state"), "metadata": own, "other": other}
        facts["framework_source"] = record.get("framework_source")
        metadata = {USF_FACTS: {key: item for key, item in facts.items() if item}, **object_of(extension.get("metadata"))}
        out = [self.event(line, "snapshot", {"kind": "usf"}, at=parse_at(record.get("updated_at")))]
        out += self.state_set(record.get("working_memory"))
        metadata = {key: item for key, item in metadata.items() if item}
        out += self.updated(metadata=metadata, system_prompt=text_or_none(extension.get("system_prompt")), title=extension.get("title"))
        return [*out, *self.tagged(extension.get("tags"))]

    handlers = {  # noqa: RUF012  # declared as ClassVar in the base
        "session": _session,
        "message": _message,
        "aside": _aside,
        "document": _document,
    }
