"""The content model as JSON Schema, and what is wrong with a value that is to be content.

The schema is generated from the structs that read and write the content, so it cannot say anything else than the code; what a struct cannot
say (which roles there are, that the payload depends on the type, what a field means) is added here and in ``schema_texts``. It has a version
of its own: a new optional field or part type raises the minor number, anything that makes valid content invalid the major one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple, get_args

import msgspec

from turnfold.model.event import VISIBILITIES, Visibility
from turnfold.model.event_types import PAYLOADS
from turnfold.model.message import ROLES, Message
from turnfold.model.parts import Part
from turnfold.model.schema_texts import FIELDS, INTRODUCTION
from turnfold.model.usage import Usage

NAME = "turnfold.content"
VERSION = "1.0"
FILE_NAME = f"content-{VERSION}.json"
SCHEMA_ID = f"urn:{NAME.replace('.', ':')}:{VERSION}"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
INPUT_KINDS = ("json", "text")
_PARTS: dict[str, type[Any]] = {kind.__struct_config__.tag: kind for kind in get_args(Part)}
_path_in_message = re.compile(r" - at `\$([^`]*)`$")
_encode = msgspec.json.Encoder().encode


class Event(msgspec.Struct, kw_only=True):
    """One record of a session's log, as ``turnfold export --format jsonl`` writes it and an import of it takes it."""

    type: str
    data: Any
    seq: int = 0
    id: str | None = None
    version: int = 1
    branch: str = ""
    at: datetime | None = None
    recorded_at: datetime | None = None
    run_id: str | None = None
    actor: str | None = None
    causation_id: str | None = None
    correlation_id: str | None = None
    message_id: str | None = None
    block_index: int | None = None
    parent_id: str | None = None
    visibility: Visibility = "both"
    visible_to: list[str] | None = None
    hidden_from: list[str] | None = None
    token_count: int = 0
    usage: Usage = Usage()
    redacted: bool = False
    meta: dict[str, Any] | None = None


class Problem(NamedTuple):
    """What is wrong with a value: where (a path like ``$.parts[0].content``) and what."""

    path: str
    text: str


def content_schema() -> dict[str, Any]:
    """Return the schema of messages and events, JSON Schema draft 2020-12."""
    _, definitions = msgspec.json.schema_components([Message, Event, *PAYLOADS.values()], ref_template="#/$defs/{name}")
    for name, definition in definitions.items():
        _describe(name, definition)
    _open_parts(definitions)
    definitions["Message"]["properties"]["role"]["enum"] = sorted(ROLES)
    del definitions["Message"]["properties"]["seq"]["default"]
    definitions["ToolCallPart"]["properties"]["input_kind"]["enum"] = list(INPUT_KINDS)
    definitions["Event"]["allOf"] = [_payload_rule(name, payload.__name__) for name, payload in PAYLOADS.items()]
    return {
        "$schema": DIALECT,
        "$id": SCHEMA_ID,
        "title": f"{NAME}/{VERSION}",
        "description": INTRODUCTION,
        "anyOf": [{"$ref": "#/$defs/Event"}, {"$ref": "#/$defs/Message"}],
        "$defs": dict(sorted(definitions.items())),
    }


def _describe(name: str, definition: dict[str, Any]) -> None:
    text = definition.get("description", "")
    definition["description"] = " ".join(text.partition("\n\n")[0].split()).replace("``", "")
    for field, schema in definition["properties"].items():
        if field == "type" and "enum" in schema:
            definition["properties"][field] = {"const": schema["enum"][0]}
        else:
            described = FIELDS[name].get(field) or FIELDS["*"][field]
            definition["properties"][field] = {"description": described, **schema}


def _open_parts(definitions: dict[str, Any]) -> None:
    """A part of a type that this version does not know is valid with all its fields; msgspec's discriminator would refuse it."""
    known = [{"$ref": f"#/$defs/{kind.__name__}"} for kind in _PARTS.values()]
    definitions["Message"]["properties"]["parts"]["items"] = {"anyOf": [*known, {"$ref": "#/$defs/OtherPart"}]}
    definitions["OtherPart"] = {
        "title": "OtherPart",
        "description": "A part of a type unknown to this version, kept with all its fields.",
        "type": "object",
        "properties": {"type": {"type": "string", "not": {"enum": list(_PARTS)}}},
        "required": ["type"],
    }


def _payload_rule(event_type: str, name: str) -> dict[str, Any]:
    typed = {"type": {"const": event_type}, "version": {"const": 1}, "redacted": {"const": False}}
    return {"if": {"properties": typed}, "then": {"properties": {"data": {"$ref": f"#/$defs/{name}"}}}}


def problems_of(value: Any) -> list[Problem]:
    """Return what is wrong with a message or an event (plain JSON types); empty where it is valid."""
    if not isinstance(value, dict):
        return [Problem("$", "neither a message nor an event: no JSON object")]
    if "type" in value and ("data" in value or "role" not in value):
        return list(_event_problems(value))
    if "role" in value:
        return list(_message_problems(value, "$"))
    return [Problem("$", "neither a message (it has no `role`) nor an event (it has no `type`)")]


def _event_problems(value: dict[str, Any]) -> Iterator[Problem]:
    yield from _struct_problems(value, Event, "$")
    payload = PAYLOADS.get(value["type"]) if isinstance(value["type"], str) else None
    if payload is None or "data" not in value or value.get("version", 1) != 1 or value.get("redacted", False):
        return
    if payload is Message:
        yield from _message_problems(value["data"], "$.data")
    else:
        yield from _struct_problems(value["data"], payload, "$.data")


def _message_problems(value: Any, path: str) -> Iterator[Problem]:
    rest = {**value, "parts": []} if isinstance(value, dict) else value
    yield from _struct_problems(rest, Message, path)
    if not isinstance(value, dict):
        return
    role, parts = value.get("role"), value.get("parts", [])
    if isinstance(role, str) and role not in ROLES:
        yield Problem(f"{path}.role", f"{role!r} is none of {', '.join(sorted(ROLES))}")
    if not isinstance(parts, list):
        yield Problem(f"{path}.parts", "Expected `array`")
        return
    for index, part in enumerate(parts):
        yield from _part_problems(part, f"{path}.parts[{index}]")


def _part_problems(part: Any, path: str) -> Iterator[Problem]:
    kind = part.get("type") if isinstance(part, dict) else None
    if not isinstance(kind, str):
        yield Problem(path, "a part is an object with a `type`")
        return
    known = _PARTS.get(kind)
    if known is None:
        return
    yield from _struct_problems(part, known, path)
    if kind == "tool_call" and isinstance(part.get("input_kind", "json"), str) and part.get("input_kind", "json") not in INPUT_KINDS:
        yield Problem(f"{path}.input_kind", f"{part['input_kind']!r} is none of {', '.join(INPUT_KINDS)}")


def _struct_problems(value: Any, kind: type[Any], path: str) -> Iterator[Problem]:
    """At most one: the first that a strict reading meets. It reads JSON text, as everything that comes in is read."""
    try:
        msgspec.json.decode(_encode(value), type=kind)
    except msgspec.ValidationError as error:
        text = str(error)
        place = _path_in_message.search(text)
        yield Problem(path + (place[1] if place else ""), text[: place.start()] if place else text)
    except (msgspec.MsgspecError, RecursionError, TypeError, ValueError, OverflowError) as error:
        yield Problem(path, f"cannot be read: {error}")


assert set(VISIBILITIES) == set(get_args(Visibility))
