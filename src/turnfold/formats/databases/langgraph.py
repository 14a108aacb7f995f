"""LangGraph's checkpoints in SQLite (``SqliteSaver``, ``AsyncSqliteSaver``): a thread is a session.

A checkpoint holds the whole state anew, so a thread's database grows with the square of its length. Here each checkpoint is said by what it
changes against its parent: the messages that came, went or were rewritten, the other channels that have another value, and of its versions
those that are new. Nothing else of it is kept, and everything of it can be put together again along the chain.

- The messages of the conversation (the channel ``messages``, else the first one that holds messages) become messages; one that is
  rewritten or removed is taken out of the view, and the new one stands at the end.
- Other channels become state. A list of more than ``VALUE_BYTES_MAX`` that only grows is kept as what is new, and set once, at the end.
- A checkpoint becomes a ``checkpoint`` event with its id as name; one whose parent is not the last of its branch begins a branch.
- Pending writes of a checkpoint that has a successor are in that one: of those only the special ones (errors, interrupts, resumes) keep
  their values. Those of a checkpoint without a successor are kept whole, at the end.
- A subgraph's namespace is a session of its own, ``<thread>/<namespace>``, with the thread as parent.

- Where LangGraph itself keeps a channel as deltas (``DeltaChannel``, beta), the messages are put together from the writes, by their ids; for
  other channels the writes are kept whole, and the state has what the snapshots say.

Values are decoded without building anything that they name. Pickles and encrypted checkpoints are kept as bytes and reported. The tables
that ``PostgresSaver`` writes are not read.

Source: the DDL and rows that langgraph-checkpoint-sqlite 3.1 writes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from turnfold.formats.base import Document, Find, Reader, SourceInfo
from turnfold.formats.databases.database import DatabaseFormat, header_of
from turnfold.formats.databases.jsonplus import Unreadable, decode
from turnfold.formats.databases.langgraph_reader import LangGraphReader
from turnfold.formats.databases.langgraph_walk import Checkpoint, Walk, Write
from turnfold.formats.databases.tables import Row, at_of, json_value, row_line, rows_of, salvaging, session_id_of
from turnfold.formats.documents import snapshot, tables_of, unreadable
from turnfold.formats.fields import object_of, text_of

COLUMNS = frozenset({"thread_id", "checkpoint_ns", "checkpoint_id", "parent_checkpoint_id", "checkpoint", "metadata"})
_KEY = "WHERE thread_id = ? AND checkpoint_ns = ?"


class LangGraphFormat(DatabaseFormat):
    """See ``formats.base.DocumentFormat``."""

    name = "langgraph"

    def sniff(self, path: Path, head: bytes) -> float:
        """Look for the columns of the checkpoints."""
        return 0.95 if tables_of(path, head).get("checkpoints", frozenset()) >= COLUMNS else 0.0

    def describe(self, path: Path, head: Iterable[bytes]) -> SourceInfo:
        """Read the thread's first line."""
        row = header_of(head)
        namespace, native_id = text_of(row.get("checkpoint_ns")), text_of(row.get("native_id"))
        parent = {"session_id": text_of(row.get("parent")), "relation": "subagent"} if namespace else None
        return SourceInfo(
            native_id=native_id,
            agent=self.name,
            created_us=at_of(row.get("ts")),
            parent=parent,
            metadata={"checkpoint_ns": namespace} if namespace else {},
        )

    def reader(self, path: Path, info: SourceInfo, state: dict[str, Any] | None, find: Find) -> Reader:
        """Return a reader of a thread's lines."""
        return LangGraphReader(info, state, find)

    def documents(self, path: Path) -> Iterator[Document]:
        """Yield the threads by the age of their first checkpoint, each before its subgraphs."""
        self.require(path)
        with snapshot(path) as connection:
            statement = "SELECT thread_id, checkpoint_ns, min(checkpoint_id) FROM checkpoints GROUP BY 1, 2 ORDER BY 3, 2"
            keys = [(row[0], row[1]) for row in connection.execute(statement)]
        for thread, namespace in sorted(keys, key=lambda key: key[1] != ""):
            with snapshot(path) as connection:
                document = _document(connection, thread, namespace)
            if document is not None:
                yield document


def _document(connection: sqlite3.Connection, thread: Any, namespace: Any) -> Document | None:
    parent = session_id_of(thread)
    native_id = session_id_of(f"{parent}/{namespace}") if namespace else parent
    children: dict[Any, int] = {}
    damage: list[bytes] = []
    lines: list[bytes] = []
    walk = Walk(children)
    with salvaging(damage, "checkpoints"):
        statement = f"SELECT parent_checkpoint_id FROM checkpoints {_KEY}"  # noqa: S608
        for row in connection.execute(statement, (thread, namespace)):
            children[row[0]] = children.get(row[0], 0) + 1
        for checkpoint in _checkpoints(connection, thread, namespace):
            if not lines:
                facts = {"thread_id": thread, "checkpoint_ns": namespace, "native_id": native_id, "parent": parent}
                lines.append(row_line("thread", facts | {"ts": object_of(checkpoint.value).get("ts")}))
            writes = _writes(connection, thread, namespace, checkpoint.parent_id)
            if walk.first_child_of(checkpoint.parent_id):
                lines += walk.writes_lines(checkpoint.parent_id, writes, checkpoint)
            lines += walk.lines(checkpoint, writes)
    if not lines:
        if not damage:  # deleted meanwhile
            return None
        lines.append(row_line("thread", {"thread_id": thread, "checkpoint_ns": namespace, "native_id": native_id, "parent": parent}))
    settled = len(lines)
    with salvaging(damage, "writes"):
        for checkpoint_id in walk.leaves:
            lines += walk.writes_lines(checkpoint_id, _writes(connection, thread, namespace, checkpoint_id), None)
    lines += walk.final_lines()
    return Document(native_id=native_id, lines=[*lines, *damage], settled_count=settled)


def _checkpoints(connection: sqlite3.Connection, thread: Any, namespace: Any) -> Iterator[Checkpoint]:
    statement = f"SELECT * FROM checkpoints {_KEY} ORDER BY checkpoint_id"  # noqa: S608
    for row in rows_of(connection, statement, (thread, namespace)):
        kind, data = row.get("type"), row.pop("checkpoint")
        row["metadata"] = _metadata(kind, row.get("metadata"))
        facts = {key: value for key, value in row.items() if key not in {"thread_id", "checkpoint_ns"}}
        try:
            value, problem = decode(kind, data), None
        except Unreadable as error:
            content = data if isinstance(data, bytes) else str(data).encode(errors="replace")
            name = f"checkpoint {row.get('checkpoint_id')}"
            value, problem = None, unreadable(name, f"{name}: {error}", content)
        yield Checkpoint(text_of(row.get("checkpoint_id")), row.get("parent_checkpoint_id"), facts, value, problem)


def _metadata(kind: Any, data: Any) -> Any:
    """Return a checkpoint's metadata; older savers write it with the serialiser."""
    value = json_value(data)
    if isinstance(value, bytes):
        try:
            return decode(kind, value)
        except Unreadable:
            return value
    return value


def _writes(connection: sqlite3.Connection, thread: Any, namespace: Any, checkpoint_id: Any) -> list[Write]:
    """Return the pending writes of a checkpoint in LangGraph's order."""
    if checkpoint_id is None:
        return []
    statement = f"SELECT * FROM writes {_KEY} AND checkpoint_id = ? ORDER BY idx"  # noqa: S608
    try:
        rows = list(rows_of(connection, statement, (thread, namespace, checkpoint_id)))
    except sqlite3.OperationalError:  # a file without that table
        return []
    return [_write(row) for row in sorted(rows, key=_write_order)]


def _write_order(row: Row) -> tuple[str, str]:
    return text_of(row.get("task_path")), text_of(row.get("task_id"))


def _write(row: Row) -> Write:
    data = row.pop("value", None)
    facts = {key: value for key, value in row.items() if key not in {"thread_id", "checkpoint_ns", "checkpoint_id"}}
    try:
        value = decode(row.get("type"), data)
    except Unreadable as error:
        return Write(facts | {"problem": str(error)}, data, readable=False)
    return Write(facts, value, readable=True)
