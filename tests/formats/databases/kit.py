"""Reads databases as an importer would, without a store; builds them from recorded SQL or with the genuine packages."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from turnfold.codec.residual import join
from turnfold.engine.prepare import prepare
from turnfold.formats.base import Document, DocumentFormat, Line, Place, Projected
from turnfold.formats.registry import SNIFF_BYTES, formats
from turnfold.model.event import MAIN, Event
from turnfold.model.usage import NO_USAGE, Usage

HERE = Path(__file__).parent
PYTHON_VARIABLE = "TURNFOLD_FRAMEWORKS_PYTHON"


def known(name: str) -> DocumentFormat:
    found = formats().get(name)
    assert isinstance(found, DocumentFormat)
    return found


def recorded(tmp_path: Path, name: str) -> Path:
    """Build the database whose SQL was recorded after a run of the genuine package."""
    path = tmp_path / f"{name}.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((HERE / "recorded" / f"{name}.sql").read_text(encoding="utf-8"))
    return path


def genuine(tmp_path: Path, name: str, package: str) -> Path:
    """Make a database with the genuine package, in the interpreter that has it."""
    python = os.environ.get(PYTHON_VARIABLE, sys.executable)
    if subprocess.run([python, "-c", f"import {package}"], capture_output=True, check=False).returncode:
        pytest.skip(f"{package} is not installed for {python}; {PYTHON_VARIABLE} names an interpreter that has it")
    path = tmp_path / f"{name}.db"
    subprocess.run([python, str(HERE / f"make_{name}.py"), str(path)], check=True, capture_output=True, timeout=120)
    return path


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def ask(path: Path, statement: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def sniffed(path: Path) -> dict[str, float]:
    """How sure each format is about a file."""
    with path.open("rb") as file:
        head = file.read(SNIFF_BYTES)
    return {each.name: sure for each in formats().all() if (sure := each.sniff(path, head))}


class Session:
    """One session of a document, read from its lines; the reader is changed for a new one, by its state, before the ``renew``-th line."""

    def __init__(self, fmt: DocumentFormat, path: Path, document: Document, renew: int | None = None) -> None:
        self.document = document
        self.info = fmt.describe(path, document.lines)
        self.projected: list[Projected] = []
        self.places: dict[str, Place] = {}
        self.seq = 1
        reader = fmt.reader(path, self.info, None, self.places.get)
        offset = 0
        for number, data in enumerate(document.lines, 1):
            assert b"\n" not in data
            if number == renew:
                reader = fmt.reader(path, self.info, json.loads(json.dumps(reader.state())), self.places.get)
            items = reader.feed(Line(number, offset, data + b"\n"), self.seq + 1)
            assert items
            self.add(items)
            offset += len(data) + 1
        self.state = reader.state()
        self.add(reader.finish(self.seq + 1))

    def add(self, items: Iterable[Projected]) -> None:
        for item in items:
            self.seq += 1
            self.projected.append(item)
            native_id = (item.event.meta or {}).get("uuid")
            if native_id is not None:
                self.places[native_id] = Place(self.seq, item.event.branch or MAIN)

    @property
    def id(self) -> str:
        return self.document.native_id

    @property
    def events(self) -> list[Event]:
        parts: list[tuple[str, bytes]] = []
        made = [prepare(msgspec.structs.replace(item.event, id=str(n)), None, parts) for n, item in enumerate(self.projected, 2)]
        return [msgspec.structs.replace(event, seq=seq) for seq, event in enumerate(made, 2)]

    def of(self, kind: str) -> list[Event]:
        return [event for event in self.events if event.type == kind]

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [event.data for event in self.of("message")]

    def parts(self, kind: str) -> list[dict[str, Any]]:
        return [part for message in self.messages for part in message["parts"] if part["type"] == kind]

    @property
    def problems(self) -> list[str]:
        return [item.problem for item in self.projected if item.problem is not None]

    @property
    def usage(self) -> Usage:
        total = NO_USAGE
        for item in self.projected:
            total += item.event.usage
        return total

    def written(self) -> list[bytes]:
        """The lines as they would be exported."""
        parts = {name: content for item in self.projected for name, content in item.parts}
        return [join(e.source, e.data, parts.__getitem__) for e in self.events if e.source is not None]


def sessions_of(name: str, path: Path) -> dict[str, Session]:
    """Read all sessions; whatever they hold, the lines are kept exactly and the reader can be changed at any line."""
    fmt = known(name)
    found: dict[str, Session] = {}
    for document in fmt.documents(path):
        session = Session(fmt, path, document)
        assert session.id not in found
        assert session.id == session.info.native_id
        assert session.written() == [line + b"\n" for line in document.lines]
        assert 0 <= (len(document.lines) if document.settled_count is None else document.settled_count) <= len(document.lines)
        settled = document.settled_count or len(document.lines)
        for renew in {2, len(document.lines) // 2, settled + 1}:
            again = Session(fmt, path, document, renew)
            assert again.projected == session.projected
        found[session.id] = session
    return found


def settled(session: Session) -> list[bytes]:
    """The lines that stay as they are when the session goes on."""
    return list(session.document.lines[: session.document.settled_count])
