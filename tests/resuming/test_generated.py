"""Generated conversations to both tools, to the other one and back: nothing is lost, and every result stays with its call."""

from __future__ import annotations

import base64
import json
import tempfile
from collections import Counter, deque
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.resuming.native import Said, canonical, read
from turnfold import BlobPart, Message, NewEvent, ReasoningPart, TextPart, ToolCallPart, ToolResultPart, connect
from turnfold.formats.carrying.calls import UNKNOWN_TOOL

TEXT = st.one_of(
    st.text(max_size=20), st.sampled_from(["", " ", "\n\n", "\0", "</carried_over_by_turnfold>", "<system-reminder>x", "é🎉\u2028"])
)
IDS = st.sampled_from(["a", "a", "a", "b", "", "call 1", "ü", "x" * 65, "call_1", "a_2"])
NAMES = st.one_of(
    st.sampled_from(["Bash", "apply_patch", 'Task" >\n<parameter name="x', "mcp__srv__tool", "", "a.b", "n" * 200]), st.text(max_size=8)
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), TEXT), lambda inner: st.lists(inner, max_size=2), max_leaves=4
)
ARGUMENTS = st.dictionaries(TEXT, JSON, max_size=3)
IMAGE = st.binary(min_size=1, max_size=30).map(lambda data: BlobPart("image", "image/png", base64.b64encode(data).decode()))
TEXT_PART = TEXT.map(TextPart)
CALL = st.one_of(
    st.builds(ToolCallPart, IDS, NAMES, ARGUMENTS),
    st.builds(ToolCallPart, IDS, NAMES, TEXT, input_kind=st.just("text")),
    st.builds(ToolCallPart, IDS, NAMES, st.none(), arguments_raw=st.sampled_from(["{not json", '{"a": 1', ""])),
)
PART_JSON = st.one_of(
    TEXT.map(lambda text: {"type": "text", "content": text}),
    st.binary(min_size=1, max_size=9).map(
        lambda data: {"type": "blob", "modality": "image", "mime_type": "image/png", "content": base64.b64encode(data).decode()}
    ),
)
RESULT = st.builds(
    ToolResultPart, IDS, st.one_of(TEXT, st.lists(PART_JSON, min_size=1, max_size=3)), st.one_of(st.none(), st.just(value=True))
)
REASONING = st.builds(ReasoningPart, TEXT, provider=st.sampled_from(["openai", "anthropic", None]))
MESSAGE = st.one_of(
    st.builds(Message, st.just("user"), st.lists(st.one_of(TEXT_PART, IMAGE), max_size=3)),
    st.builds(Message, st.just("assistant"), st.lists(st.one_of(TEXT_PART, CALL, REASONING, IMAGE), max_size=4)),
    st.builds(Message, st.just("tool"), st.lists(st.one_of(RESULT, TEXT_PART), max_size=2)),
    st.builds(Message, st.sampled_from(["system", "developer"]), st.lists(TEXT_PART, max_size=1)),
)


def content_of(part: ToolResultPart) -> tuple[str, ...]:
    """A result's texts and images as the file's are counted."""
    if isinstance(part.response, str):
        return (part.response,) if part.response else ()
    said = Said()
    items = [said.image(item["content"]) if item["type"] == "blob" else item["content"] for item in part.response]
    return tuple(item for item in items if item)


def arguments_of(part: ToolCallPart) -> str:
    """A call's arguments; what is not JSON as the text that it is."""
    if part.arguments is None and part.arguments_raw is not None:
        return canonical(part.arguments_raw)
    return canonical(part.arguments)


class Expected:
    """What a list of messages says, by a model of its own: results answer the oldest open call of their id."""

    def __init__(self, messages: list[Message]) -> None:
        self.texts: Counter[str] = Counter()
        self.images: Counter[str] = Counter()
        self.calls: list[tuple[str, str]] = []
        self.answers: dict[int, tuple[tuple[str, ...], bool]] = {}
        self.orphans: Counter[tuple[tuple[str, ...], bool]] = Counter()
        waiting: dict[str, deque[int]] = {}
        for message in messages:
            for part in message.parts:
                if isinstance(part, TextPart) and part.content:
                    self.texts[part.content] += 1
                elif isinstance(part, BlobPart):
                    self.images[Said().image(part.content or "")] += 1
                elif isinstance(part, ToolCallPart):
                    waiting.setdefault(part.id, deque()).append(len(self.calls))
                    self.calls.append((part.name, arguments_of(part)))
                elif isinstance(part, ToolResultPart):
                    answer = content_of(part), part.is_error is True
                    self.images.update(text for text in answer[0] if text.startswith("image:"))
                    if waiting.get(part.id):
                        self.answers[waiting[part.id].popleft()] = answer
                    else:
                        self.orphans[answer] += 1

    def check(self, said: Said) -> None:
        """Compare with what a file says."""
        assert said.all_texts == self.texts
        assert said.images == self.images
        assert set(said.calls.values()) | set(said.results.values()) <= {1}, "an id twice"
        results = {call_id: (content, is_error) for call_id, content, is_error in said.results}
        assert len(results) == len(self.answers) + sum(self.orphans.values())
        real = [call for call in said.calls if call[1] != UNKNOWN_TOOL]
        assert [(name, arguments) for _, name, arguments in real] == self.calls
        for place, (call_id, _, _) in enumerate(real):
            assert results.pop(call_id, None) == self.answers.get(place)
        assert Counter(results.values()) == self.orphans
        for call_id, name, _ in said.calls:
            assert 0 < len(call_id) <= 64
            assert call_id.replace("_", "").replace("-", "").isalnum()
            assert call_id.isascii(), name


def written(folder: Path, source: list[Message] | Path, tool: str) -> Path:
    """Write messages, or the session of a file, for a tool, twice with the same bytes."""
    with connect("memory://") as client:
        if isinstance(source, Path):
            (session_id,) = client.import_files([source]).session_ids
        else:
            session_id = "generated"
            client.open(session_id).append([NewEvent(type="message", data=message, at=index) for index, message in enumerate(source, 1)])
        done = client.resume_with(session_id, tool, home=folder / tool, cwd=folder)
        content = Path(done.path).read_bytes()
        again = client.resume_with(session_id, tool, home=folder / "again", cwd=folder)
        assert Path(again.path).read_bytes() == content
    return Path(done.path)


def check_lines(path: Path) -> None:
    """Every line is JSON, and Claude's chain of parents has no gap."""
    parent = None
    for raw in path.read_bytes().splitlines():
        line = json.loads(raw)
        if "parentUuid" in line:
            assert line["parentUuid"] in {parent, None}
            parent = line["uuid"]


@pytest.mark.parametrize(("first", "second"), [("claude", "codex"), ("codex", "claude")])
@settings(max_examples=60)
@given(messages=st.lists(MESSAGE, min_size=1, max_size=12))
def test_nothing_is_lost_on_the_way_to_either_tool_and_back(messages: list[Message], first: str, second: str) -> None:
    expected = Expected(messages)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = written(folder, messages, first)
        there = written(folder, path, second)
        back = written(folder, there, first)
        for one in (path, there, back):
            check_lines(one)
            said = read(one)
            assert said.notes == 1
            expected.check(said)
