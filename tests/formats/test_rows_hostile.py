"""Files of the line formats, mutilated: whatever a line says, a reader answers, its events can be stored, and the line comes back."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from tests.formats.rows_driver import Read, physical, read_rows
from tests.formats.test_amp import MESSAGES, THREAD_ID, thread
from turnfold.errors import FormatError
from turnfold.formats.base import DocumentFormat
from turnfold.formats.registry import get_format

FILES = {
    "copilot": "copilot-cli/small.jsonl",
    "gemini": "gemini/large.json",
    "grok": "grok/chat_history.jsonl",
    "kimi": "kimi/assistant_tools.jsonl",
    "pi": "pi/small.jsonl",
}
OTHERS: dict[str, list[Any]] = {
    "amp": [{"amp": {"id": THREAD_ID, "created": 1767865803494}}, *MESSAGES, {"$set": {"title": "T", "v": 3}}],
    "aider": [
        {"aider": "w-1", "started": "2026-03-01 10:00:00"},
        {"kind": "start", "text": "# aider chat started at 2026-03-01 10:00:00\n"},
        {"kind": "tool", "text": "> Model: gpt-5 with diff edit format  \n"},
        {"kind": "user", "text": "#### go  \n"},
        {"kind": "assistant", "text": "I go.\n"},
        {"kind": "tool", "text": "> Tokens: 2.3k sent, 45 received. Cost: $0.0012 message, $0.01 session.  \n"},
    ],
}
"""Lines of formats that the corpus has no file of."""
NAMES = (*FILES, *OTHERS)
WRONG: list[Any] = [
    None,
    True,
    -1,
    0,
    1e300,
    1 << 80,
    "",
    "x",
    "\x00",
    "\ud800",
    "é" * 300,
    [],
    [[]],
    [None, 3],
    {},
    {"type": 1},
    {"a": {"b": []}},
]


def lines_of(shared_dir: Path, name: str) -> list[bytes]:
    if name in OTHERS:
        return [json.dumps(row).encode() + b"\n" for row in OTHERS[name]]
    path = shared_dir / "data" / "transcripts" / "other" / FILES[name]
    if path.suffix == ".jsonl":
        return physical(path.read_bytes())
    documents = get_format("gemini-json")  # no JSON Lines of Gemini in the corpus: the document, said as such
    assert isinstance(documents, DocumentFormat)
    (document,) = documents.documents(path)
    more = [b'{"$set":{"messages":[{"id":"m1"},{"id":"new","type":"user","content":"Sum."}]}}', b'{"$rewindTo":"m5"}']
    return [line + b"\n" for line in [*document.lines, *more]]


def check(name: str, lines: list[bytes]) -> Read:
    read = Read(get_format(name), Path("x.jsonl"), lines)
    assert read.written() == b"".join(lines)
    return read


def mutate(value: Any, rng: random.Random) -> Any:
    """Put something wrong in one place of a value."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(list(value))
        if rng.random() < 0.1:
            return {name: item for name, item in value.items() if name != key}
        return {**value, key: mutate(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.85:
        at = rng.randrange(len(value))
        return [mutate(item, rng) if index == at else item for index, item in enumerate(value)]
    return rng.choice(WRONG)


@pytest.mark.parametrize("name", NAMES)
def test_wrong_values_everywhere(shared_dir: Path, name: str) -> None:
    lines = lines_of(shared_dir, name)
    rng = random.Random(7)
    for _ in range(30):
        wrong = [json.dumps(mutate(json.loads(line), rng)).encode() + b"\n" if rng.random() < 0.5 else line for line in lines]
        check(name, wrong)


@pytest.mark.parametrize("name", NAMES)
def test_lines_cut_glued_doubled_shuffled_and_not_json(shared_dir: Path, name: str) -> None:
    lines = lines_of(shared_dir, name)
    rng = random.Random(11)
    check(name, [line[: rng.randrange(len(line))] + b"\n" for line in lines])
    check(name, [lines[0].rstrip(b"\n") + lines[1], b"\n", b"  \n", b"\xff\xfe\n", b"[1]\n", b'"x"\n', b"null\n", b"\x00\n"])
    check(name, [*lines, *lines])
    check(name, lines[1:])
    check(name, rng.sample(lines, len(lines)))
    check(name, [line.replace(b"\n", b"\r\n") for line in lines])
    check(name, [*lines[:-1], lines[-1].rstrip(b"\n")])


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_deep_and_huge_values(shared_dir: Path, name: str) -> None:
    for line in lines_of(shared_dir, name):
        text = line.decode().rstrip("\n")
        for depth in (200, 900, 100_000):
            deep = "[" * depth + "]" * depth
            check(name, [text.removesuffix("}").encode() + f',"deep":{deep}}}\n'.encode()])
            for field in ("content", "data", "arguments", "message", "event", "kind"):
                at = text.find(f'"{field}":')
                if at >= 0:
                    check(name, [f'{text[:at]}"{field}":{deep},{text[at:]}\n'.encode(), line])
    read = check(name, [line.replace(b'"', b'"' + b"x" * 50_000, 3) for line in lines_of(shared_dir, name)[:4]])
    assert len(read.projected) >= 4


@pytest.mark.parametrize("name", NAMES)
def test_reading_on_from_the_state_gives_the_same_events(shared_dir: Path, name: str) -> None:
    lines = lines_of(shared_dir, name)
    whole = check(name, lines)
    for at in random.Random(3).sample(range(1, len(lines)), min(8, len(lines) - 1)):
        read = Read(get_format(name), Path("x.jsonl"), lines[:at], finish=False)
        read.info = whole.info
        read.feed(lines[at:])
        assert [item.event for item in read.projected] == [item.event for item in whole.projected], at
        assert len(json.dumps(read.state)) < 20_000


def test_a_line_that_stands_for_an_unreadable_record_keeps_its_problem() -> None:
    for name in NAMES:
        read = read_rows(name, [{"turnfold.unreadable": "m3", "problem": "no JSON", "content": "{"}])
        assert read.problems == ["no JSON"]
        assert read.events[0].data == {"native_type": "m3", "problem": "no JSON"}


@pytest.mark.slow
def test_documents_with_something_wrong_in_one_place(shared_dir: Path, tmp_path: Path) -> None:
    gemini = json.loads((shared_dir / "data" / "transcripts" / "other" / FILES["gemini"]).read_bytes())
    rng = random.Random(5)
    for name, value in (
        ("gemini-json", gemini),
        ("gemini-json", {"history": [{"role": "user", "parts": [{"text": "x"}]}]}),
        ("amp", thread(MESSAGES)),
    ):
        documents = get_format(name)
        assert isinstance(documents, DocumentFormat)
        for _ in range(150):
            path = tmp_path / "x.json"
            path.write_text(json.dumps(mutate(value, rng)))
            try:
                found = list(documents.documents(path))
            except FormatError:
                continue
            for document in found:
                assert document.native_id
                assert 0 <= (document.settled_count or 0) <= len(document.lines)
                read = Read(documents, path, document.lines)
                assert read.written() == b"".join(document.lines)
