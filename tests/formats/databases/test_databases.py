"""What holds for every database: nothing is written, nobody waits, what was just written is seen, and formats do not mistake each other."""

from __future__ import annotations

import json
import os
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.formats.databases.kit import Session, ask, known, recorded, sessions_of, sniffed
from turnfold.errors import FormatError
from turnfold.formats.databases.tables import at_of, json_value, session_id_of
from turnfold.formats.documents import line_of

FILES = {
    "adk": "adk",
    "adk_v0": "adk",
    "goose": "goose",
    "langgraph": "langgraph",
    "openai_agents": "openai-agents",
    "opencode": "opencode",
}
TOUCH = {
    "adk": "UPDATE events SET event_data = replace(event_data, 'Bob', 'Ada')",
    "adk_v0": "UPDATE events SET content = replace(content, 'Old', 'New')",
    "goose": "UPDATE messages SET content_json = replace(content_json, 'Bergen', 'Oslo')",
    "langgraph": "UPDATE checkpoints SET checkpoint = CAST(replace(CAST(checkpoint AS BLOB), X'4F736C6F', X'526F6D65') AS BLOB)",
    "openai_agents": "UPDATE agent_messages SET message_data = replace(message_data, 'Oslo', 'Rome')",
    "opencode": "UPDATE part SET data = replace(data, 'look', 'peek')",
}


@pytest.mark.parametrize(("name", "fmt"), FILES.items())
def test_each_file_is_known_by_its_own_format_alone(name: str, fmt: str, tmp_path: Path) -> None:
    assert list(sniffed(recorded(tmp_path, name))) == [fmt]


@pytest.mark.parametrize(("name", "fmt"), FILES.items())
def test_reading_writes_nothing(name: str, fmt: str, tmp_path: Path) -> None:
    path = recorded(tmp_path, name)
    before = {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in tmp_path.iterdir()}
    assert sessions_of(fmt, path)
    assert {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in tmp_path.iterdir()} == before


@contextmanager
def writing(path: Path) -> Iterator[sqlite3.Connection]:
    """A program that has the database open in WAL mode and in its hands."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        assert connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] == "wal"
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        yield connection


@pytest.mark.parametrize(("name", "fmt"), FILES.items())
def test_rows_in_the_log_are_seen_and_those_not_committed_are_not(name: str, fmt: str, tmp_path: Path) -> None:
    path = recorded(tmp_path, name)

    def lines() -> list[bytes]:
        return [line for session in sessions_of(fmt, path).values() for line in session.document.lines]

    old = lines()
    with writing(path) as connection:
        main = path.read_bytes()
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(TOUCH[name])
        assert lines() == old
        connection.execute("COMMIT")
        assert lines() != old
        assert path.read_bytes() == main


@contextmanager
def unable_to_write(folder: Path) -> Iterator[None]:
    """Be somebody who may read the folder and nothing more."""
    mode = folder.stat().st_mode
    opened = [parent for parent in (folder, *folder.parents) if parent != Path("/") and not parent.stat().st_mode & 0o005]
    modes = {parent: parent.stat().st_mode for parent in opened}
    user = os.geteuid()
    for parent in opened:
        parent.chmod(modes[parent] | 0o055)
    folder.chmod(0o555)
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        if user == 0:
            os.seteuid(0)
        for parent in opened:
            parent.chmod(modes[parent])
        folder.chmod(mode)


def test_a_database_in_wal_mode_is_read_from_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "backup").mkdir()
    path = recorded(tmp_path / "backup", "goose")
    with writing(path):
        pass
    path.chmod(0o444)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    with unable_to_write(path.parent):
        assert len(list(known("goose").documents(path))) == 2
        assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(("name", "fmt"), FILES.items())
def test_a_writer_is_not_kept_waiting_between_sessions(name: str, fmt: str, tmp_path: Path) -> None:
    path = recorded(tmp_path, name)
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as writer:
        for document in known(fmt).documents(path):
            writer.execute("BEGIN EXCLUSIVE")
            writer.execute("ROLLBACK")
            assert document.lines


@pytest.mark.parametrize(("name", "fmt"), FILES.items())
def test_a_file_with_a_damaged_page_is_read_or_refused(name: str, fmt: str, tmp_path: Path) -> None:
    path = recorded(tmp_path, name)
    whole = path.read_bytes()
    rng = random.Random(7)
    outcomes = set()
    for _ in range(60):
        place = rng.randrange(100, len(whole) - 600)
        path.write_bytes(whole[:place] + rng.randbytes(rng.choice((1, 4, 400))) + whole[place + 400 :])
        outcomes.add(outcome(path, fmt))
    assert {said.partition(": ")[0] for said in outcomes} == {"read", str(path)}


def outcome(path: Path, fmt: str) -> str:
    """``read``, or what the refusal says."""
    sniffed(path)
    try:
        for document in known(fmt).documents(path):
            session = Session(known(fmt), path, document)
            assert session.written() == [line + b"\n" for line in document.lines]
    except FormatError as error:
        return str(error)
    return "read"


@pytest.mark.parametrize(("name", "fmt"), FILES.items())
def test_missing_tables_are_said(name: str, fmt: str, tmp_path: Path) -> None:
    """Without any one of its tables a file is read without it, or refused by name, and never mistaken."""
    made = recorded(tmp_path, name)
    tables = [row[0] for row in ask(made, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'")]
    for table in tables:
        (tmp_path / "one").mkdir(exist_ok=True)
        path = tmp_path / "one" / f"{table}.db"
        path.write_bytes(made.read_bytes())
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f'DROP TABLE "{table}"')
            connection.commit()
        said = outcome(path, fmt)
        if said == "read":
            assert all(session.problems == [] for session in sessions_of(fmt, path).values())
        else:
            assert sniffed(path) == {}
            assert said.startswith(f"{path}: ")


COLUMNS = {
    "adk": ("events.event_data", "sessions.state"),
    "adk_v0": ("events.content", "events.usage_metadata"),
    "goose": ("messages.content_json", "messages.metadata_json", "sessions.extension_data"),
    "openai_agents": ("agent_messages.message_data",),
    "opencode": ("message.data", "part.data", "session.model"),
}
ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    1e300,
    float("nan"),
    "",
    "x",
    "\ud800",
    "\x00",
    [],
    {},
    [1],
    {"a": 1},
    [None],
    1 << 60,
    "a" * 30_000,
]


def changed(value: Any, rng: random.Random) -> Any:
    """Put something odd in place of a few of the values of a JSON value."""
    if rng.random() < 0.04:
        return rng.choice(ODD)
    if isinstance(value, dict):
        return {key: changed(item, rng) for key, item in value.items() if rng.random() > 0.02}
    return [changed(item, rng) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("name", COLUMNS)
def test_values_of_any_type_are_survived(name: str, tmp_path: Path) -> None:
    path = recorded(tmp_path, name)
    whole = path.read_bytes()
    rng = random.Random(11)
    for _ in range(20):
        path.write_bytes(whole)
        with closing(sqlite3.connect(path)) as connection, connection:
            for table, _, column in (place.partition(".") for place in COLUMNS[name]):
                for row, text in connection.execute(f"SELECT rowid, {column} FROM {table} WHERE {column} IS NOT NULL").fetchall():
                    odd = json.dumps(changed(json.loads(text), rng))
                    connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (odd, row))
        assert sessions_of(FILES[name], path)


def test_times_and_ids_of_any_kind() -> None:
    assert at_of("2030-01-01 00:00:00") == at_of(1893456000) == at_of(1893456000.0) == at_of(1893456000_000) == at_of(1893456000_000_000)
    bad: list[Any] = ["never", None, True, -1, 0, [], float("nan"), float("inf"), 1 << 70]
    assert [at_of(value) for value in bad] == [None] * 9
    assert session_id_of("trip 42") == "trip 42"
    assert session_id_of(7) == "7"
    strange: list[Any] = ["", " ", "a\nb", "a\x00", "x" * 2000, None, b"x", 1.5, "\ud800"]
    odd = [session_id_of(value) for value in strange]
    assert all(name.startswith("unnamed-") for name in odd)
    assert len(set(odd)) == len(odd)


def test_json_stays_the_json_that_it_was() -> None:
    for text in ('{"a": 1.50, "b": 123456789012345678901234567890}', '{"a":\n [1,\r\n 2]}', '"\\ud800"', "NaN", "[1e999]", "5"):
        line = line_of({"value": json_value(text)})
        assert b"\n" not in line
        assert line.startswith(b'{"value":')
    assert line_of({"value": json_value('{"a": "\\u00e9\\u2013"}')}) == '{"value":{"a":"é–"}}'.encode()
    assert line_of({"value": json_value('{"a": 1.50}')}) == b'{"value":{"a": 1.50}}'
    assert json_value("{") == "{"
    assert json_value(b"\xff") == b"\xff"
