"""Documents of further tools through the importer: twice, and as they grow."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.formats.test_aider import FIRST, SECOND
from tests.formats.test_amp import MESSAGES, THREAD_ID, thread
from tests.importing.sessions import check_session, events_of, head_of, key_of
from turnfold.core.transcript import as_dicts, messages_of
from turnfold.engine.importer import Importer
from turnfold.engine.importing.kept import kept_lines
from turnfold.formats.aider import records_of, runs_of
from turnfold.formats.base import DocumentFormat
from turnfold.formats.registry import get_format
from turnfold.ports.store import Store
from turnfold.stores.registry import open_store

HEADER = {"sessionId": "gemini-1", "projectHash": "abc", "startTime": "2026-03-01T10:00:00.000Z"}


def lines_in(store: Store, session_id: str) -> list[bytes]:
    return list(kept_lines(store, key_of(session_id), None))


def shown(store: Store, session_id: str) -> list[dict[str, Any]]:
    active = head_of(store, session_id).info.active_branch
    events = [event for event in events_of(store, session_id) if event.branch == active]
    return [{**message, "seq": 0} for message in as_dicts(messages_of(events))]


def check_same(grown: Store, path: Path, name: str) -> list[str]:
    """What came in step by step is what the document says now, and what an import of it as it is now shows."""
    found = get_format(name)
    assert isinstance(found, DocumentFormat)
    whole = open_store("memory://")
    ids = Importer(whole).import_tree([path]).session_ids
    documents = list(found.documents(path))
    assert [document.native_id for document in documents] == ids
    for document in documents:
        assert lines_in(grown, document.native_id) == [line + b"\n" for line in document.lines]
        assert shown(grown, document.native_id) == shown(whole, document.native_id)
        for store in (grown, whole):
            check_session(store, document.native_id)
        one, other = (head_of(store, document.native_id).info for store in (grown, whole))
        assert (one.title, one.turn_count, one.usage, one.message_count) == (
            other.title,
            other.turn_count,
            other.usage,
            other.message_count,
        )
    return ids


def grow(store: Store, path: Path, name: str, steps: list[Callable[[], object]]) -> list[str]:
    """Import after every step, each time twice: the second finds nothing new."""
    ids: list[str] = []
    for step in steps:
        step()
        Importer(store).import_tree([path])
        ids = check_same(store, path, name)
        again = Importer(store).import_tree([path])
        assert set(again.outcomes()) == {"unchanged"}
        assert again.event_count == 0
    return ids


def test_an_aider_history_grows_run_by_run_and_line_by_line(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "project" / ".aider.chat.history.md"
    path.parent.mkdir()
    whole = (FIRST + SECOND).encode()
    begin = whole.index(b"> Aider")
    cuts = [at + 1 for at in range(begin, len(whole)) if whole[at] == 10 and whole[at - 1] != 10]
    ids = grow(store, path, "aider", [lambda cut=cut: path.write_bytes(whole[:cut]) for cut in [*cuts, len(whole)]])  # type: ignore[misc]
    assert len(ids) == 2
    texts = [json.loads(line)["text"] for session_id in ids for line in lines_in(store, session_id)[1:]]
    assert "".join(texts).encode() == whole
    assert [record["text"] for started, run in runs_of(whole) for record in records_of(run, started)] == texts


def test_a_gemini_document_grows_and_its_last_message_is_written_again(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "session-1.json"
    call = {"id": "c1", "name": "ls", "args": {}, "status": "success"}
    answer = [{"functionResponse": {"id": "c1", "name": "ls", "response": {"output": "a.py"}}}]
    tokens = {"input": 100, "output": 10, "cached": 40, "thoughts": 7, "tool": 0, "total": 117}
    user = {"id": "m1", "timestamp": "2026-03-01T10:00:01.000Z", "type": "user", "content": "list the files"}
    model = {"id": "m2", "timestamp": "2026-03-01T10:00:02.000Z", "type": "gemini", "content": "I look.", "model": "gemini-3"}
    states: list[list[dict[str, Any]]] = [
        [user],
        [user, model],
        [user, {**model, "tokens": tokens}],
        [user, {**model, "tokens": tokens, "toolCalls": [{**call, "result": answer}]}],
        [user, {**model, "tokens": tokens, "toolCalls": [{**call, "result": answer}]}, {**user, "id": "m3", "content": "thanks"}],
    ]

    def write(number: int) -> None:
        later = {"lastUpdated": f"2026-03-01T10:01:0{number}.000Z", **({"summary": "Files"} if number > 3 else {})}
        path.write_text(json.dumps({**HEADER, "messages": states[number], **later}, indent=2))

    (session_id,) = grow(store, path, "gemini-json", [lambda number=number: write(number) for number in range(len(states))])  # type: ignore[misc]
    info = head_of(store, session_id).info
    assert (session_id, info.agent, info.title, info.turn_count) == ("gemini-1", "gemini", "Files", 2)
    assert info.usage.numbers() == (100, 17, 40, 0, 7, 0)
    assert [message["role"] for message in shown(store, session_id)] == ["user", "assistant", "tool", "user"]


def test_an_amp_thread_grows(store: Store, tmp_path: Path) -> None:
    path = tmp_path / f"{THREAD_ID}.json"

    def write(number: int) -> None:
        path.write_text(json.dumps(thread(MESSAGES[:number], v=number, title="Later" if number > 2 else None)))

    (session_id,) = grow(store, path, "amp", [lambda number=number: write(number) for number in range(1, len(MESSAGES) + 1)])  # type: ignore[misc]
    info = head_of(store, session_id).info
    assert (session_id, info.title, info.metadata["cwd"]) == (THREAD_ID, "Later", "/projects/my w")


def test_the_corpus_document_comes_in_once(store: Store, shared_dir: Path) -> None:
    path = shared_dir / "data" / "transcripts" / "other" / "gemini" / "large.json"
    (session_id,) = grow(store, path, "gemini-json", [lambda: None])
    assert head_of(store, session_id).info.message_count == 8
