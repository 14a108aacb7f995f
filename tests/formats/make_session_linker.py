"""Lets genuine agent-session-linker write its files: ``python make_session_linker.py FOLDER [record]``.

Needs ``agent-session-linker`` 0.2. Writes a folder of its file backend, with checkpoints and links, and a database of its SQLite backend.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agent_session_linker.linking.session_linker import SessionLinker
from agent_session_linker.middleware.checkpoint import CheckpointManager
from agent_session_linker.session.manager import SessionManager
from agent_session_linker.session.state import SessionState, TaskStatus, ToolContext
from agent_session_linker.storage.base import StorageBackend
from agent_session_linker.storage.filesystem import FilesystemBackend
from agent_session_linker.storage.sqlite import SQLiteBackend

AT = datetime(2026, 3, 4, 5, 0, tzinfo=UTC)


def talk(session: SessionState, first: int, count: int) -> None:
    for number in range(first, first + count):
        session.add_segment("user" if number % 2 else "assistant", f"segment {number}", token_count=number)
        session.segments[-1].timestamp = AT + timedelta(minutes=number, microseconds=number)


def sessions(backend: StorageBackend) -> tuple[str, str]:
    """Write a session with checkpoints, one of which it was restored from, and its continuation."""
    manager = SessionManager(backend, default_agent_id="planner")
    checkpoints = CheckpointManager(backend, manager)
    session = manager.create_session(preferences={"language": "fr"})
    session.session_id = "first"
    talk(session, 1, 4)
    session.segments[1].segment_type = "reasoning"
    session.add_segment("critic", "unknown role", segment_type="plan", metadata={"k": "v"})
    session.track_entity("Ada", "person", aliases=["A. L."])
    task = session.add_task("Write", priority=2)
    session.update_task(task.task_id, status=TaskStatus.IN_PROGRESS, notes="begun")
    session.tools_used.append(
        ToolContext(tool_name="search", input_summary="cats", output_summary="3 hits", duration_ms=12.5, timestamp=AT)
    )
    session.summary = "They wrote ünïcode."
    session.total_cost_usd = 0.0125
    checkpoints.create_checkpoint(session, "five")
    talk(session, 6, 2)
    checkpoints.create_checkpoint(session, "seven")
    session = checkpoints.restore_checkpoint("__checkpoint__first__0000")
    talk(session, 8, 3)
    checkpoints.create_checkpoint(session)
    manager.save_session(session)
    child = manager.continue_session("first")
    child.session_id = "second"
    talk(child, 1, 2)
    manager.save_session(child)
    return "first", "second"


def make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    first, second = sessions(FilesystemBackend(folder / "files"))
    linker = SessionLinker()
    linker.link(second, first, "references", metadata={"why": "same topic"})
    (folder / "files" / "links.json").write_text(json.dumps(linker.export_links(), indent=2, default=str))
    sessions(SQLiteBackend(folder / "sessions.db"))


if __name__ == "__main__":
    place = Path(sys.argv[1])
    make(place)
    if len(sys.argv) > 2:
        files = {str(path.relative_to(place)): path.read_text() for path in sorted(place.rglob("*.json"))}
        (Path(__file__).parent / "recorded" / "session-linker.json").write_text(json.dumps(files, indent=1) + "\n")
