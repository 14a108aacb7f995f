"""Formats by name and by content."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from turnfold.errors import FormatError, NotSupported
from turnfold.formats.codex import CodexFormat
from turnfold.formats.registry import BUILT_IN, SNIFF_BYTES, SURE_ENOUGH, Formats, detect, formats, get_format


class Other(CodexFormat):
    """A third party's format that is sure about files which begin with OTHER."""

    name = "other"

    def sniff(self, path: Path, head: bytes) -> float:
        """Look at the first bytes."""
        return 1.0 if head.startswith(b"OTHER") else 0.0


class Point:
    """An installed entry point."""

    def __init__(self, name: str) -> None:
        self.name = name

    def load(self) -> Any:
        return Other


def test_names_and_the_error_for_an_unknown_one() -> None:
    assert formats().names() == sorted(BUILT_IN)
    assert get_format("codex").name == "codex"
    assert get_format("claude").name == "claude-code"
    with pytest.raises(NotSupported) as caught:
        get_format("word")
    assert caught.value.hint == f"one of {', '.join(formats().names())}"


def test_entry_points_add_formats_and_cannot_replace_built_in_ones(tmp_path: Path) -> None:
    known = Formats([Point("other"), Point("codex")])
    assert known.names() == sorted([*BUILT_IN, "other"])
    assert not isinstance(known.get("codex"), Other)
    (tmp_path / "x").write_bytes(b"OTHER\n")
    found = known.detect(tmp_path / "x")
    assert found is not None
    assert found.name == "other"


def test_content_decides_and_not_the_name(shared_dir: Path, tmp_path: Path) -> None:
    tools = {
        "copilot-cli": "copilot",
        "gemini": "gemini-json",
        "gemini-cli": "claude-code",
    }  # two Claude Code files lie in the folder of another tool
    for path in (shared_dir / "data" / "transcripts").rglob("*.json*"):
        if path.name.endswith(".meta.json"):
            continue
        folder = path.relative_to(shared_dir / "data" / "transcripts").parts
        own = folder[1] if folder[0] == "other" else folder[0]
        own = tools.get(own, own)
        with path.open("rb") as file:
            head = file.read(SNIFF_BYTES)
        sure = {known.name: known.sniff(path, head) for known in formats().all()}
        if own in BUILT_IN:
            assert sure.pop(own) >= SURE_ENOUGH, path
        assert set(sure.values()) == {0.0}, (path, sure)
    disguised = tmp_path / "session.jsonl"
    disguised.write_bytes(b"%PDF-1.7\n" * 100)
    assert detect(disguised) is None
    with pytest.raises(FormatError, match="no known format"):
        formats().require(disguised)


FIELDS = ["type", "payload", "id", "role", "content", "uuid", "timestamp", "messages", "parts", "sessionID", "time", "format", "version"]
FIELDS += ["message", "kind", "name", "projectID", "created", "working_dir", "description", "model", "data", "tool_calls", "lc", "kwargs"]
ODD: list[Any] = [None, True, 0, -1, 1.5, "", "user", "message", [], {}, [1], {"a": 1}, [[]], [None], [{}], "2026-01-01T00:00:00Z", "ses_1"]


def odd_value(rng: random.Random, depth: int = 0) -> Any:
    if depth > 3 or rng.random() < 0.4:
        return rng.choice(ODD)
    if rng.random() < 0.6:
        return {rng.choice(FIELDS): odd_value(rng, depth + 1) for _ in range(rng.randint(0, 5))}
    return [odd_value(rng, depth + 1) for _ in range(rng.randint(0, 3))]


def test_any_json_is_looked_at_by_every_format_without_an_error() -> None:
    """One format that raises on another's file would stop the import of every file like it."""
    rng = random.Random(5)
    for _ in range(3000):
        head = b"\n".join(json.dumps(odd_value(rng)).encode() for _ in range(rng.randint(1, 3)))
        for known in formats().all():
            assert 0.0 <= known.sniff(Path("session.json"), head) <= 1.0
