"""Databases of other programs through the whole import: again, and after they have grown."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.formats.databases.kit import change, known, recorded
from tests.importing.sessions import SCHEMES, check_session, head_of, key_of, opener
from turnfold.client import Client
from turnfold.engine.importer import Importer, ImportResult
from turnfold.engine.importing.kept import kept_lines
from turnfold.ports.store import Store

OPENCODE, GOOSE = "ses_e06ab4642ffedXMwzqn8aQCvkI", "20300101_1"
MORE = '{"role": "user", "content": [{"type": "input_text", "text": "More"}], "type": "message"}'
ADK_MORE = (
    '{"author": "user", "timestamp": 1895000000.5, "actions": {"state_delta": {"step": 9}}, "content": {"parts": [{"text": "More"}]}}'
)
GROWTH: dict[str, list[tuple[str, ...]]] = {
    "openai-agents": [
        (
            f"INSERT INTO agent_messages (session_id, message_data) VALUES ('trip-42', '{MORE}')",
            (
                "INSERT INTO message_structure (session_id, message_id, branch_id, message_type, sequence_number, user_turn_number)"
                " VALUES ('trip-42', 15, 'what-if', 'user', 19, 3)"
            ),
            "UPDATE agent_sessions SET updated_at = '2031-01-01 00:00:00' WHERE session_id = 'trip-42'",
        ),
        ("UPDATE turn_usage SET input_tokens = 500 WHERE branch_id = 'main' AND user_turn_number = 2",),
    ],
    "adk": [
        (
            f"INSERT INTO events VALUES ('new', 'planner', 'ada', 'trip-1', 'e-10', '2030-01-19 00:00:00', '{ADK_MORE}')",
            "UPDATE sessions SET state = '{\"step\": 9}', update_time = '2030-01-19 00:00:00' WHERE user_id = 'ada'",
        ),
        ('UPDATE app_states SET state = \'{"theme": "light"}\'',),
    ],
    "opencode": [
        (
            f"INSERT INTO message VALUES ('msg_z1', '{OPENCODE}', 1900000000000, 0, '{{\"role\": \"user\"}}')",
            f"INSERT INTO part VALUES ('prt_z1', 'msg_z1', '{OPENCODE}', 1, 1, '{{\"type\": \"text\", \"text\": \"More\"}}')",
            f"INSERT INTO message VALUES ('msg_z2', '{OPENCODE}', 1900000000001, 0, '{{\"role\": \"assistant\", \"time\": {{}}}}')",
            f"INSERT INTO part VALUES ('prt_z2', 'msg_z2', '{OPENCODE}', 1, 1, '{{\"type\": \"text\", \"text\": \"Half an\"}}')",
        ),
        ('UPDATE part SET data = \'{"type": "text", "text": "Half an answer, whole"}\' WHERE id = \'prt_z2\'',),
        (
            'UPDATE message SET data = \'{"role": "assistant", "time": {"completed": 5}, "tokens": {"input": 7}}\' WHERE id = \'msg_z2\'',
            f"UPDATE session SET title = 'Renamed' WHERE id = '{OPENCODE}'",
        ),
    ],
    "goose": [
        (
            (
                "INSERT INTO messages (message_id, session_id, role, content_json, created_timestamp)"
                f" VALUES ('msg_6', '{GOOSE}', 'user', '[{{\"type\": \"text\", \"text\": \"More\"}}]', 1893492100)"
            ),
            f"UPDATE sessions SET name = 'Renamed', accumulated_input_tokens = 400 WHERE id = '{GOOSE}'",
        ),
        (f"INSERT INTO usage_ledger (session_id, created_timestamp, input_tokens) VALUES ('{GOOSE}', 1893492100, 30)",),
    ],
    "langgraph": [
        (
            (
                "INSERT INTO checkpoints SELECT thread_id, checkpoint_ns, '2' || substr(max(checkpoint_id), 2), max(checkpoint_id), type,"
                " checkpoint, metadata FROM checkpoints WHERE thread_id = 'trip-42'"
            ),
        ),
        (
            (
                "INSERT INTO checkpoints SELECT thread_id, checkpoint_ns, '3' || substr(min(checkpoint_id), 2), min(checkpoint_id), type,"
                " checkpoint, metadata FROM checkpoints WHERE thread_id = 'trip-42'"
            ),
        ),
    ],
}
SESSIONS = {"openai-agents": "trip-42", "adk": "trip-1", "opencode": OPENCODE, "goose": GOOSE, "langgraph": "trip-42"}


def bring(store: Store, fmt: str, path: Path) -> ImportResult:
    """Import a file; what is kept of each session is what the document says now."""
    result = Importer(store).import_tree([path])
    assert result.skipped == []
    for document in known(fmt).documents(path):
        assert list(kept_lines(store, key_of(document.native_id), None)) == [line + b"\n" for line in document.lines]
        check_session(store, document.native_id)
    return result


def seen(store: Store, session_id: str) -> list[dict[str, Any]]:
    """What the session shows where it goes on, without its seqs."""
    with Client(store) as client:
        return [{**message.to_dict(), "seq": 0} for message in client.open(session_id).messages()]


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("fmt", GROWTH)
def test_a_second_import_does_nothing_and_a_grown_database_is_gone_on_with(fmt: str, scheme: str, tmp_path: Path) -> None:
    path = recorded(tmp_path, fmt.replace("-", "_"))
    open_new = opener(scheme, tmp_path / "stores")
    store = open_new()
    count = len(list(known(fmt).documents(path)))
    assert bring(store, fmt, path).outcomes() == {"imported": count}
    assert bring(store, fmt, path).outcomes() == {"unchanged": count}
    for statements in GROWTH[fmt]:
        change(path, *statements)
        outcomes = Counter(bring(store, fmt, path).outcomes())
        assert outcomes == {"updated": 1, **({"unchanged": count - 1} if count > 1 else {})}
        assert bring(store, fmt, path).outcomes() == {"unchanged": count}
    fresh = open_new()
    bring(fresh, fmt, path)
    grown, new = head_of(store, SESSIONS[fmt]), head_of(fresh, SESSIONS[fmt])
    assert (grown.info.message_count, grown.info.turn_count, grown.info.usage) == (
        new.info.message_count,
        new.info.turn_count,
        new.info.usage,
    )
    assert grown.info.title == new.info.title
    assert seen(store, SESSIONS[fmt]) == seen(fresh, SESSIONS[fmt])
