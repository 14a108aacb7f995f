"""The same journey on each store that keeps what it is given: import, read, fork, go back, find, check, export."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import SRC, Program
from tests.places import NAMES, PLACES

FILE = next((SRC / "turnfold" / "data" / "sample" / "codex").glob("*.jsonl"))
ID = "019cb0d4-7e21-7a63-9c0f-51d2a6e8b3f4"


@pytest.fixture(params=[name for name in NAMES if name != "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    place = PLACES[request.param](tmp_path / "place")
    place.start()
    try:
        yield place.url
    finally:
        place.stop()


def test_one_session_from_import_to_export(program: Program, url: str) -> None:
    program.store = program.env["TURNFOLD_STORE"] = url
    assert program.json("import", str(FILE))["outcomes"] == {"imported": 1}
    assert program.json("import", str(FILE))["outcomes"] == {"unchanged": 1}
    messages = program.jsonl("show", ID)
    assert program.run("export", ID, "--format", "codex").stdout_bytes == FILE.read_bytes()

    program.run("checkpoint", ID, "done")
    program.run("fork", ID, "--at", str(messages[3]["seq"]), "--name", "other")
    program.run("branch", "switch", ID, "other")
    assert program.jsonl("show", ID) == messages[:4]
    program.run("restore", ID, "done")
    assert program.jsonl("show", ID) == messages
    program.run("tag", ID, "kept")

    assert [info["id"] for info in program.jsonl("ls", "--tag", "kept")] == [ID]
    assert {hit["session_id"] for hit in program.jsonl("search", "readings", "null")} == {ID}
    assert program.json("usage")["total"]["total_tokens"] == 19_209
    assert program.json("verify", ID)["ok"] is True
    assert program.json("doctor")["ok"] is True
    assert program.run("export", ID, "--format", "codex").stdout_bytes == FILE.read_bytes()
    program.run("delete", ID, "--yes")
    assert program.jsonl("ls") == []
