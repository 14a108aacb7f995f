"""Sessions of Google's ADK: ``DatabaseSessionService`` (schemas v1 and v0) and ``SqliteSessionService``, in a SQLite file.

A session's id is the application's own id for it. ADK's key is (application, user, id), so where an id occurs more than once in a file the
oldest session has it and the others are ``<application>/<user>/<id>``; application and user are in the metadata, and the application is the
session's agent. Events are taken in the order in which they were written, not by their time, which several processes may not agree on.

State keys keep their prefixes (``app:``, ``user:``). What the events' deltas do not explain of the final state (the state that a session was
made with) is set at the end; state that sessions share is said with the oldest session of its application or user. Schema v0 keeps an
event's actions as a pickle: it is kept as bytes and never opened, so of those sessions only the final state is known. An event's ``branch``
separates agents that run side by side; it is no branch of the conversation and stands in ``meta``.

Source: the DDL and rows that google-adk 2.13 writes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from turnfold.formats.base import Document, Find, Reader, SourceInfo
from turnfold.formats.databases.adk_reader import AdkReader
from turnfold.formats.databases.database import DatabaseFormat, header_of
from turnfold.formats.databases.tables import Row, at_of, opened, row_line, rows_of, salvaging, session_id_of
from turnfold.formats.documents import snapshot, tables_of
from turnfold.formats.fields import object_of, text_of, text_or_none

SESSION_COLUMNS = frozenset({"app_name", "user_id", "id", "state", "create_time"})
EVENT_COLUMNS = frozenset({"id", "app_name", "user_id", "session_id", "invocation_id", "timestamp"})
JSON_COLUMNS = (
    "event_data",
    "content",
    "grounding_metadata",
    "custom_metadata",
    "usage_metadata",
    "citation_metadata",
    "input_transcription",
    "output_transcription",
    "long_running_tool_ids_json",
)
_SHARED = {
    1: ("app_state", "SELECT state FROM app_states WHERE app_name = ?"),
    2: ("user_state", "SELECT state FROM user_states WHERE app_name = ? AND user_id = ?"),
}
_KEY = "app_name = ? AND user_id = ? AND "


class AdkFormat(DatabaseFormat):
    """See ``formats.base.DocumentFormat``."""

    name = "adk"

    def sniff(self, path: Path, head: bytes) -> float:
        """Look for the columns of sessions and events."""
        tables = tables_of(path, head)
        sessions, events = tables.get("sessions", frozenset()), tables.get("events", frozenset())
        return 0.95 if sessions >= SESSION_COLUMNS and events >= EVENT_COLUMNS else 0.0

    def describe(self, path: Path, head: Iterable[bytes]) -> SourceInfo:
        """Read the session's key."""
        row = header_of(head)
        app, user = text_or_none(row.get("app_name")), text_or_none(row.get("user_id"))
        return SourceInfo(
            native_id=text_of(row.get("native_id")),
            agent=app or self.name,
            created_us=at_of(row.get("create_time")),
            metadata={name: value for name, value in (("app_name", app), ("user_id", user)) if value},
        )

    def reader(self, path: Path, info: SourceInfo, state: dict[str, Any] | None, find: Find) -> Reader:
        """Return a reader of a session's lines."""
        return AdkReader(info, state, find)

    def documents(self, path: Path) -> Iterator[Document]:
        """Yield the sessions, the oldest first."""
        self.require(path)
        with snapshot(path) as connection:
            keys = [tuple(row) for row in connection.execute("SELECT app_name, user_id, id FROM sessions ORDER BY create_time, rowid")]
        taken: set[str] = set()
        shared: dict[tuple[Any, ...], bool] = {}
        for key in keys:
            native_id = session_id_of(key[2])
            if native_id in taken:
                native_id = session_id_of("/".join(_escaped(part) for part in key))
            taken.add(native_id)
            with snapshot(path) as connection:
                scopes = [scope for scope in (key[:1], key[:2]) if scope not in shared]
                document = _document(connection, key, native_id, scopes)
            shared |= dict.fromkeys(scopes, True)
            if document is not None:
                yield document


def _escaped(part: Any) -> str:
    return str(part).replace("%", "%25").replace("/", "%2F")


def _document(connection: sqlite3.Connection, key: tuple[Any, ...], native_id: str, scopes: list[tuple[Any, ...]]) -> Document | None:
    found = list(rows_of(connection, f"SELECT * FROM sessions WHERE {_KEY} id = ?", key, json=("state",)))  # noqa: S608
    if not found:  # deleted meanwhile
        return None
    row = found[0]
    last = {"update_time": row.pop("update_time", None), "state": row.pop("state")}
    lines = [row_line("sessions", row | {"native_id": native_id})]
    with salvaging(lines, "events"):
        _add_events(connection, key, lines)
    settled = len(lines)
    with salvaging(lines, "state"):
        for scope in scopes:
            name, statement = _SHARED[len(scope)]
            last[name] = _shared(connection, statement, scope)
        lines.append(row_line("sessions.state", last))
    return Document(native_id=native_id, lines=lines, settled_count=settled)


def _add_events(connection: sqlite3.Connection, key: tuple[Any, ...], lines: list[bytes]) -> None:
    """Add the events; one that speaks of earlier ones by time or invocation gets their ids beside it."""
    times: list[tuple[float, str]] = []
    invocations: dict[Any, str] = {}
    statement = f"SELECT * FROM events WHERE {_KEY} session_id = ? ORDER BY rowid"  # noqa: S608
    for row in rows_of(connection, statement, key, json=JSON_COLUMNS):
        event_id = text_of(row.get("id"))
        event = object_of(opened(row.get("event_data")))
        lines.append(row_line("events", row, **_refers(event, times, invocations)))
        at = event.get("timestamp")
        if isinstance(at, int | float):
            times.append((at, event_id))
        invocations.setdefault(row.get("invocation_id"), event_id)


def _refers(event: Row, times: list[tuple[float, str]], invocations: dict[Any, str]) -> dict[str, Any]:
    actions = object_of(event.get("actions"))
    more: dict[str, Any] = {}
    compaction = object_of(actions.get("compaction"))
    start, end = compaction.get("start_timestamp"), compaction.get("end_timestamp")
    if isinstance(start, int | float) and isinstance(end, int | float):
        covered = [event_id for at, event_id in times if start <= at <= end]
        more["covers"] = [covered[0], covered[-1]] if covered else []
    rewound = actions.get("rewind_before_invocation_id")
    if isinstance(rewound, str) and rewound in invocations:
        more["rewinds_to"] = invocations[rewound]
    return more


def _shared(connection: sqlite3.Connection, statement: str, key: tuple[Any, ...]) -> Any:
    try:
        return next((row["state"] for row in rows_of(connection, statement, key, json=("state",))), None)
    except sqlite3.OperationalError:  # a file without that table
        return None
