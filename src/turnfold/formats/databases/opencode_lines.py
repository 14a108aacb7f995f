"""A session of OpenCode as lines: what stays as it is first, what may still change last."""

from __future__ import annotations

from typing import Any

import msgspec

from turnfold.formats.base import Document
from turnfold.formats.databases.tables import Row, row_line
from turnfold.formats.fields import list_of, object_of, text_of

HEADER_FIELDS = frozenset(
    {"id", "project_id", "projectID", "workspace_id", "parent_id", "parentID", "slug", "directory", "version", "time_created"},
)
"""Of a session, what never changes."""
RESULT_FIELDS = frozenset({"output", "error", "title", "metadata", "attachments", "time"})
"""Of a tool's state, what goes with the result."""
FINISHED = frozenset({"completed", "error"})


class Source(msgspec.Struct):
    """What was found of a session: its row, its messages in order, their parts by message, and rows beside them.

    A record of a message or part is ``{id, time_created?, data}``; ``data`` is text where it is no JSON.
    """

    native_id: str
    session: Row
    messages: list[Row] = []
    parts: dict[str, list[Row]] = {}
    more: dict[str, list[Any]] = {}


class _Lines(msgspec.Struct):
    """Lines so far, what waits for the next turn, and which outputs were pruned."""

    lines: list[bytes]
    summary: bytes | None = None
    pruned: list[Row] = []


def document_of(source: Source, damage: list[bytes]) -> Document:
    """Return a session's lines; those of ``damage`` come last."""
    session = source.session
    header = {name: value for name, value in session.items() if name in HEADER_FIELDS}
    created = object_of(session.get("time")).get("created")
    if created is not None:
        header["time"] = {"created": created}
    out = _Lines([row_line("session", header | {"native_id": source.native_id})])
    settled, open_from = 1, _open_from(source.messages)
    for index, record in enumerate(source.messages):
        _add_message(out, record, source.parts.pop(text_of(record.get("id")), []))
        if index < open_from:
            settled = len(out.lines)
    if out.summary is not None:
        out.lines.append(out.summary)
    for message_id, parts in source.parts.items():
        out.lines.append(row_line("part", {"message_id": message_id}, parts=parts))
    if out.pruned:
        out.lines.append(row_line("part.pruned", {"parts": out.pruned}))
    if source.more.get("todo"):
        out.lines.append(row_line("todo", {"items": source.more["todo"]}))
    out.lines += (row_line("session_message", row) for row in source.more.get("session_message", ()))
    out.lines += (row_line("session_diff", {"files": source.more[name]}) for name in ("session_diff",) if source.more.get(name))
    out.lines.append(row_line("session.state", {name: value for name, value in session.items() if name not in HEADER_FIELDS}))
    return Document(native_id=source.native_id, lines=[*out.lines, *damage], settled_count=settled)


def _open_from(messages: list[Row]) -> int:
    """Return the index of the first message that is still being written; one before a finished answer was given up."""
    first = len(messages)
    for index in reversed(range(len(messages))):
        data = object_of(messages[index].get("data"))
        if data.get("role") != "assistant":
            continue
        if "error" in data or "completed" in object_of(data.get("time")):
            break
        first = index
    return first


def _add_message(out: _Lines, record: Row, parts: list[Row]) -> None:
    """Add a message: its own line, one for each further step, one for each result."""
    data = record.get("data")
    summary = data.get("summary") if isinstance(data, dict) else None
    if isinstance(data, dict) and isinstance(summary, dict):
        record = record | {"data": {key: value for key, value in data.items() if key != "summary"}}
    if object_of(data).get("role") == "user":
        if out.summary is not None:
            out.lines.append(out.summary)
        out.summary = row_line("message.summary", {"id": record.get("id"), "summary": summary}) if isinstance(summary, dict) else None
    for number, step in enumerate(_steps(parts)):
        results: list[bytes] = []
        said = [_without_result(part, results, out.pruned) for part in step]
        if number == 0:
            out.lines.append(row_line("message", record, parts=said))
        else:
            out.lines.append(row_line("message.step", {"id": record.get("id"), "step": number}, parts=said))
        out.lines += results


def _steps(parts: list[Row]) -> list[list[Row]]:
    """Divide the parts of an answer that several requests made; always at least one."""
    steps: list[list[Row]] = [[]]
    ended = False
    for part in parts:
        kind = object_of(part.get("data")).get("type")
        if kind == "step-start" and ended:
            steps.append([])
            ended = False
        ended = ended or kind == "step-finish"
        steps[-1].append(part)
    return steps


def _without_result(part: Row, results: list[bytes], pruned: list[Row]) -> Row:
    """Return a tool's part without its result, which becomes a line of its own."""
    data = part.get("data")
    state = data.get("state") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(state, dict) or text_of(state.get("status")) not in FINISHED:
        return part
    result = {key: value for key, value in state.items() if key in RESULT_FIELDS}
    times = object_of(result.get("time"))
    if "compacted" in times:
        pruned.append({"id": part.get("id"), "compacted": times["compacted"]})
        result["time"] = {key: value for key, value in times.items() if key != "compacted"}
    facts = {key: part.get(key) for key in ("id", "message_id") if key in part}
    results.append(row_line("part.result", facts | {"callID": data.get("callID"), "status": state["status"], "state": result}))
    call = {key: value for key, value in state.items() if key not in RESULT_FIELDS}
    return part | {"data": data | {"state": call}}


def parts_of(whole: Row) -> list[Row]:
    """Return the ``data`` of the parts of a line."""
    return [object_of(object_of(part).get("data")) for part in list_of(whole.get("parts"))]
