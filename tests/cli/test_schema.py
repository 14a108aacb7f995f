"""``turnfold schema``."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Program
from turnfold.model.schema import content_schema


def test_the_schema_is_printed(program: Program) -> None:
    assert json.loads(program.text("schema")) == content_schema()
    assert program.json("schema") == content_schema()


def test_problems_are_named_by_file_line_path_and_what_is_wrong(program: Program, tmp_path: Path) -> None:
    lines, array = tmp_path / "lines.jsonl", tmp_path / "array.json"
    lines.write_text(
        '{"role":"user","parts":[]}\n\n{"role":"user","parts":[{"type":"text","content":1}]}\nnonsense\n{"type":"x","data":1}\n'
    )
    array.write_text('[\n  {"role": "user"},\n  {\n    "role": "robot"\n  },\n  7\n]\n')
    result = program.run("schema", "--check", str(lines), str(array), status=2)
    assert result.stdout.splitlines() == [
        f"{lines}:3: $.parts[0].content: Expected `str`, got `int`",
        f"{lines}:4: $: not JSON: Expecting value",
        f"{array}:3: $.role: 'robot' is none of assistant, developer, system, tool, user",
        f"{array}:6: $: neither a message nor an event: no JSON object",
    ]
    assert "4 problems with turnfold.content/1.0" in result.stderr
    told = json.loads(program.run("schema", "--check", str(lines), "--json", status=2).stdout)
    assert told["ok"] is False
    assert told["files"][0]["record_count"] == 4
    assert told["files"][0]["problems"][0] == {"line": 3, "path": "$.parts[0].content", "text": "Expected `str`, got `int`"}


def test_what_turnfold_exports_is_in_order(program: Program, tmp_path: Path) -> None:
    program.run("import", str(Path(__file__).resolve().parents[2] / "src" / "turnfold" / "data" / "sample"))
    session_id = program.jsonl("ls")[0]["id"]
    out = tmp_path / "events.jsonl"
    program.run("export", session_id, "--format", "jsonl", "-o", str(out))
    assert program.json("schema", "--check", str(out))["ok"] is True


def test_bad_files_and_wrong_uses(program: Program, tmp_path: Path) -> None:
    bad = tmp_path / "bad.json"
    bad.write_bytes(b"\xff\xfe{}")
    assert "not UTF-8" in program.run("schema", "--check", str(bad), status=2).stdout
    bad.write_text('{"role": "user", "parts": [NaN]}')
    assert "NaN is no JSON number" in program.run("schema", "--check", str(bad), status=2).stdout
    bad.write_text("[" * 100_000)
    program.run("schema", "--check", str(bad), status=2)
    program.run("schema", "--check", str(tmp_path / "none.json"), status=2)
    program.run("schema", "--check", status=2)
    program.run("schema", str(bad), status=2)
