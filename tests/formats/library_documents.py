"""Reads documents without a store, as an importer would: line by line, with a look-up of native ids and a head folded from the events."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from turnfold.codec.residual import join
from turnfold.core.conversation import Conversation, entries_of
from turnfold.core.fold import fold_head, payload_of
from turnfold.core.transcript import messages_of
from turnfold.engine.prepare import prepare
from turnfold.formats.base import Document, DocumentFormat, Line, Place, Projected
from turnfold.model.event import MAIN, Event, NewEvent
from turnfold.model.message import Message
from turnfold.model.session import Head

RECORDED = Path(__file__).parent / "recorded"


class ReadSession:
    """A document's session as events."""

    def __init__(self, fmt: DocumentFormat, path: Path, document: Document) -> None:
        self.document = document
        self.info = fmt.describe(path, iter(document.lines))
        self._places: dict[str, Place] = {}
        self.reader = fmt.reader(path, self.info, None, self._places.get)
        genesis = {"agent": self.info.agent, "metadata": self.info.metadata, "parent": self.info.parent}
        self.events: list[Event] = []
        self.problems: list[str] = []
        self._parts: dict[str, bytes] = {}
        self._add(Projected(NewEvent(type="session.created", data=genesis, at=self.info.created_us)))
        for number, line in enumerate(document.lines, 1):
            projected = self.reader.feed(Line(number, 0, line + b"\n"), len(self.events) + 1)
            assert projected, "every line has an event"
            for item in projected:
                self._add(item)
        for item in self.reader.finish(len(self.events) + 1):
            self._add(item)
        json.dumps(self.reader.state())  # it is kept with the cursor

    def _add(self, item: Projected) -> None:
        seq = len(self.events) + 1
        parts: list[tuple[str, bytes]] = []
        event = prepare(item.event, None, parts)
        self._parts.update((*item.parts, *parts))
        event = msgspec.structs.replace(event, seq=seq, branch=event.branch or MAIN)
        payload_of(event)  # it fits its type
        self.events.append(event)
        if item.problem is not None:
            self.problems.append(item.problem)
        uuid = event.meta.get("uuid")
        if isinstance(uuid, str):
            self._places[uuid] = Place(seq, item.event.branch)

    @property
    def head(self) -> Head:
        return fold_head(self.document.native_id, self.events)

    @property
    def metadata(self) -> dict[str, Any]:
        return self.head.info.metadata

    def values(self, kind: str) -> dict[str, Any]:
        """The head's entries of a kind, decoded, by name."""
        found = {entry.name: entry for entry in self.head.entries if entry.kind == kind and entry.value is not None}
        return {name: msgspec.json.decode(entry.value or b"null") for name, entry in found.items()}

    def view(self, branch: str = MAIN) -> list[Event]:
        if branch == MAIN:
            return [event for event in self.events if event.branch == MAIN]
        fork = self.values("branch")[branch]["fork_seq"]
        return [event for event in self.events if (event.branch == MAIN and event.seq <= fork) or event.branch == branch]

    def messages(self, branch: str = MAIN) -> list[Message]:
        return messages_of(self.view(branch))

    def texts(self, branch: str = MAIN) -> list[str]:
        return [message.text for message in self.messages(branch)]

    def conversation(self) -> Conversation:
        prompt = self.values("system_prompt").get("")
        return Conversation(info=self.head.info, branch=MAIN, entries=entries_of(self.view()), system_prompt=prompt, branches=[MAIN])

    @property
    def kept(self) -> list[bytes]:
        """The kept lines, joined again."""
        return [join(event.source, event.data, self._parts.__getitem__) for event in self.events if event.source is not None]

    def of_type(self, event_type: str) -> list[Event]:
        return [event for event in self.events if event.type == event_type]


def read(fmt: DocumentFormat, path: Path) -> list[ReadSession]:
    """Read all sessions of a document, and see that each line is kept as it is."""
    sessions = [ReadSession(fmt, path, document) for document in fmt.documents(path)]
    for session in sessions:
        assert session.kept == [line + b"\n" for line in session.document.lines]
        assert not any(b"\n" in line for line in session.document.lines)
    return sessions


def unpack(name: str, folder: Path) -> Path:
    """Write a recorded layout into a folder; returns the folder."""
    files: dict[str, str] = json.loads((RECORDED / f"{name}.json").read_text())
    for place, text in files.items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def make_genuine(script: str, package: str, folder: Path) -> None:
    """Let the genuine package write its files into a folder; skip where there is none.

    It runs in this interpreter's environment, or with the Python that ``TURNFOLD_PEERS_PYTHON`` names.
    """
    python = os.environ.get("TURNFOLD_PEERS_PYTHON", sys.executable)
    found = subprocess.run([python, "-c", f"import {package}"], capture_output=True, check=False)
    if found.returncode:
        pytest.skip(f"the package {package} is not installed; TURNFOLD_PEERS_PYTHON may name a Python that has it")
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([python, str(Path(__file__).parent / script), str(folder)], check=True, capture_output=True, env=environ)


def calls_of(messages: Sequence[Message]) -> list[tuple[str, str, Any]]:
    """Tool calls in order: id, name, arguments."""
    return [(part.id, part.name, part.arguments) for message in messages for part in message.tool_calls]
