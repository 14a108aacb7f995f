"""The published schema: current, complete, and the same as what the code takes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.importing.sessions import corpus
from turnfold.engine.exporter import Exporter, read_jsonl
from turnfold.engine.importer import Importer
from turnfold.engine.prepare import prepare_all
from turnfold.errors import InvalidInput
from turnfold.model.event_types import PAYLOADS
from turnfold.model.message import Message, decode_message
from turnfold.model.schema import FILE_NAME, content_schema, problems_of
from turnfold.model.schema_texts import FIELDS
from turnfold.stores.memory import MemoryStore

GOLDEN = Path(__file__).parent / "golden"
VALID = sorted((GOLDEN / "valid").glob("*.json"))
INVALID = sorted((GOLDEN / "invalid").glob("*.json"))


def _oracle() -> Any:
    """The schema as an independent validator reads it."""
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed: no other validator is asked")
    schema = content_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_valid_content_has_no_problems_and_is_taken(path: Path) -> None:
    value = json.loads(path.read_text())
    assert problems_of(value) == []
    if "role" in value:
        assert decode_message(json.dumps(value).encode()).role == value["role"]
    elif not value.get("redacted") and value.get("version", 1) == 1:
        assert prepare_all(list(read_jsonl([json.dumps(value).encode()])))[0][0].type == value["type"]


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_invalid_content_is_named_by_its_path(path: Path) -> None:
    golden = json.loads(path.read_text())
    assert [problem.path for problem in problems_of(golden["value"])] == [golden["path"]]


def test_another_validator_agrees_about_the_golden_files() -> None:
    oracle = _oracle()
    for path in VALID:
        assert list(oracle.iter_errors(json.loads(path.read_text()))) == [], path
    for path in INVALID:
        assert list(oracle.iter_errors(json.loads(path.read_text())["value"])), path


_cached = lru_cache(_oracle)
keys = st.sampled_from(
    ["role", "parts", "type", "content", "data", "id", "name", "arguments", "usage", "input_tokens", "ext", "summary", "title"]
)
leaves = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["user", "tool", "text", "tool_call", "message", "title", "both", "x"])
)
parts = st.dictionaries(keys, leaves | st.dictionaries(keys, leaves, max_size=2), max_size=3).map(lambda part: {"type": "text", **part})
values = st.fixed_dictionaries(
    {}, optional={"role": leaves, "type": leaves, "parts": st.lists(parts | leaves, max_size=2) | leaves, "name": leaves}
) | (
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(["message", "title", "state.set", "compaction", "x.y"]),
            "data": st.dictionaries(keys, leaves, max_size=3) | leaves,
        },
        optional={
            "version": st.integers(1, 2),
            "visibility": leaves,
            "redacted": st.booleans(),
            "seq": leaves,
            "usage": st.dictionaries(keys, leaves),
        },
    )
)


@settings(max_examples=400, deadline=None)
@given(value=values)
def test_another_validator_agrees_about_any_content(value: Any) -> None:
    assert (problems_of(value) == []) is _cached().is_valid(value), value


@settings(max_examples=200, deadline=None)
@given(value=values)
def test_what_is_valid_can_be_appended(value: Any) -> None:
    if "data" in value and problems_of(value) == [] and value.get("version", 1) == 1 and not value.get("redacted"):
        try:
            prepare_all(list(read_jsonl([json.dumps(value).encode()])))
        except InvalidInput as error:
            pytest.fail(f"valid by the schema, refused by the store: {error}")


def test_every_field_has_a_meaning_and_no_meaning_is_left_over() -> None:
    definitions = content_schema()["$defs"]
    described = {(name, field) for name, texts in FIELDS.items() for field in texts}
    for name, definition in definitions.items():
        assert definition["description"], name
        for field, schema in definition["properties"].items():
            assert schema.get("description") or field == "type", (name, field)
            described -= {(name, field), ("*", field)}
    assert described == set()
    assert {payload.__name__ for payload in PAYLOADS.values()} <= set(definitions)


def test_the_shipped_schema_is_that_of_the_code() -> None:
    assert json.loads(files("turnfold.data").joinpath(FILE_NAME).read_text()) == content_schema()


def _events(shared_dir: Path) -> Iterator[tuple[str, Any]]:
    store = MemoryStore()
    for path in corpus(shared_dir):
        if path.stat().st_size < 1_500_000:
            for session_id in Importer(store).import_file(path).session_ids:
                yield from ((session_id, json.loads(line)) for line in Exporter(store).jsonl(session_id))


def test_every_event_of_real_sessions_is_valid(shared_dir: Path) -> None:
    number = 0
    for session_id, event in _events(shared_dir):
        assert problems_of(event) == [], (session_id, event["seq"])
        number += 1
    assert number > 2_000


def test_a_message_says_in_json_what_the_schema_says() -> None:
    known = set(content_schema()["$defs"]["Message"]["properties"])
    assert known == {field.encode_name for field in msgspec.structs.fields(Message)}
