"""USF 1.0, read and written: the checksum's golden values, every kind of part there and back, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.formats.library_documents import ReadSession, calls_of, make_genuine, read
from turnfold.core.conversation import Conversation, ConversationEntry
from turnfold.errors import FormatError
from turnfold.formats.loss import LossReport
from turnfold.formats.registry import detect
from turnfold.formats.usf import UsfFormat, UsfWriter
from turnfold.formats.usf.document import checksum_of, write_document
from turnfold.model.message import Message
from turnfold.model.parts import (
    BlobPart,
    CompactionPart,
    FilePart,
    OpaquePart,
    Part,
    ReasoningPart,
    RefusalPart,
    ServerToolCallPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
    UriPart,
)
from turnfold.model.session import SessionInfo
from turnfold.model.usage import Usage

USF, WRITER = UsfFormat(), UsfWriter()
AT = "2026-01-01T00:00:00+00:00"
EMPTY: dict[str, Any] = {
    "version": "1.0",
    "session_id": "s",
    "created_at": AT,
    "updated_at": AT,
    "framework_source": "x",
    "messages": [],
    "working_memory": {},
    "entities": [],
    "task_state": [],
    "metadata": {},
}
EVERY_PART: list[Part] = [
    TextPart("Look at this, ünï ✓.", [{"url": "https://example.com"}]),
    ReasoningPart("why", ["short"], signature="sig", provider="anthropic"),
    ToolCallPart("c1", "add", {"a": 1.5, "b": [None, True]}, arguments_raw='{"a":1.5 , "b":[null,true]}'),
    ToolCallPart("c2", "add", {"a": 2}),
    BlobPart("image", "image/png", "iVBORw0KGgo="),
    UriPart("image", "https://example.com/cat.png"),
    FilePart("document", "file-1"),
    ServerToolCallPart("w1", "web_search", {"query": "cats"}),
    RefusalPart("No."),
    CompactionPart("So far."),
    OpaquePart({"type": "new_thing"}),
]


def conversation(*messages: Message, info: SessionInfo | None = None, **more: Any) -> Conversation:
    entries = [
        ConversationEntry(
            seq=2 * n, last_seq=2 * n, at_us=1_767_225_600_000_000 + n, type="message", message=one, is_turn=one.role == "user"
        )
        for n, one in enumerate(messages, 1)
    ]
    about = info or SessionInfo(id="s", agent="codex", created_at_us=1_767_225_600_000_000, updated_at_us=1_767_225_600_000_009)
    return Conversation(info=about, branch="main", entries=entries, **more)


def written(told: Conversation, losses: LossReport | None = None) -> bytes:
    return b"".join(WRITER.write(told, LossReport() if losses is None else losses))


def read_back(data: bytes, folder: Path) -> ReadSession:
    path = folder / "usf.json"
    path.write_bytes(data)
    assert getattr(detect(path), "name", None) == "usf"
    sessions = read(USF, path)
    assert len(sessions) == 1
    return sessions[0]


def plain(message: Message | None) -> Any:
    assert message is not None
    return msgspec.to_builtins(msgspec.structs.replace(message, seq=0))


def test_the_checksum_is_that_of_the_specification() -> None:
    assert checksum_of(EMPTY) == "b4d99051c9ccb5a77591721df6cd8e80d680378b855a8d045dd4aec8cdf43f75"
    assert checksum_of({**EMPTY, "checksum": "anything"}) == checksum_of(EMPTY)


@pytest.mark.parametrize("role", ["system", "developer", "user", "assistant", "tool"])
def test_a_message_of_every_part_comes_back_equal(tmp_path: Path, role: str) -> None:
    message = Message(role, list(EVERY_PART), name="n", finish_reason="stop", model="m", usage=Usage(3, 4), ext={"x": [1]})
    document = written(conversation(message))
    session = read_back(document, tmp_path)
    assert [plain(one) for one in session.messages()] == [plain(message)]
    assert not session.problems
    native = json.loads(document)["messages"][0]
    assert native["role"] == {"developer": "system"}.get(role, role)
    assert native["content"].startswith("Look at this, ünï ✓.\n\n[image image/png]\n\n[image https://example.com/cat.png]")
    assert "TextPart" not in native["content"]


@pytest.mark.parametrize("part", EVERY_PART, ids=lambda part: part.type)
@pytest.mark.parametrize("role", ["user", "assistant"])
def test_each_part_alone_comes_back_equal(tmp_path: Path, part: Part, role: str) -> None:
    session = read_back(written(conversation(Message(role, [part]))), tmp_path)
    assert [plain(one) for one in session.messages()] == [plain(Message(role, [part]))]


def test_parallel_calls_and_their_results_keep_ids_and_arguments(tmp_path: Path) -> None:
    calls = Message("assistant", [ToolCallPart("c1", "add", {"a": 1}), ToolCallPart("c2", "add", {"a": 2})])
    results = Message("tool", [ToolResultPart("c1", "one", False), ToolResultPart("c2", [{"type": "text", "content": "two"}], True)])
    document = written(conversation(calls, results))
    session = read_back(document, tmp_path)
    assert [plain(one) for one in session.messages()] == [plain(calls), plain(results)]
    native = json.loads(document)["messages"]
    assert [call["id"] for call in native[0]["metadata"]["tool_calls"]] == ["c1", "c2"]
    assert [json.loads(call["function"]["arguments"]) for call in native[0]["metadata"]["tool_calls"]] == [{"a": 1}, {"a": 2}]
    assert native[1]["content"] == "one\n\ntwo"


def test_what_usf_says_by_itself_is_not_said_again(tmp_path: Path) -> None:
    messages = [
        Message("user", [TextPart("Two and two?")]),
        Message("assistant", [ToolCallPart("c1", "add", {"a": 2})]),
        Message("tool", [ToolResultPart("c1", "4")]),
        Message("assistant", [TextPart("Four.")], ext={"usf_metadata": {"score": 1}}),
    ]
    document = written(conversation(*messages))
    assert all("turnfold" not in one["metadata"] for one in json.loads(document)["messages"])
    assert [plain(one) for one in read_back(document, tmp_path).messages()] == [plain(one) for one in messages]


def test_times_visibility_and_what_stands_beside_the_messages_come_back(tmp_path: Path) -> None:
    told = conversation(Message("user", [TextPart("one")]), Message("assistant", [TextPart("two")]), Message("user", [TextPart("three")]))
    note = ConversationEntry(
        seq=3, last_seq=3, at_us=1_767_225_600_000_001, type="context", message=Message("user", [TextPart("note")]), visibility="ui"
    )
    told.entries[0].meta["uuid"] = "native"
    summary = {"summary": "one, two", "first_seq": 2, "last_seq": 4, "trigger": "auto"}
    compaction = ConversationEntry(
        seq=7, last_seq=7, at_us=1_767_225_600_000_004, type="compaction", message=Message("user", [TextPart("one, two")]), data=summary
    )
    injected = msgspec.structs.replace(told.entries[2], visibility="model", is_turn=False, actor="guide", run_id="r1", message_id="m1")
    told = msgspec.structs.replace(
        told,
        entries=[told.entries[0], note, told.entries[1], injected, compaction],
        system_prompt="Be brief.",
        state={"k": [1, {"x": None}]},
    )
    session = read_back(written(told), tmp_path)
    back = session.conversation()
    assert back.system_prompt == "Be brief."
    assert session.values("state") == {"k": [1, {"x": None}]}

    def facts(entry: ConversationEntry) -> Any:
        return entry.type, entry.at_us, entry.visibility, plain(entry.message), entry.is_turn, entry.actor, entry.run_id, entry.message_id

    assert [facts(entry) for entry in back.entries] == [facts(entry) for entry in told.entries]
    assert [entry.meta.get("source_uuid") for entry in back.entries] == ["native", None, None, None, None]
    again = json.loads(written(back))
    assert again["messages"] == json.loads(written(told))["messages"]
    assert [plain(entry.message) for entry in back.for_model] == [plain(entry.message) for entry in told.for_model]


def test_a_sessions_facts_come_back(tmp_path: Path) -> None:
    info = SessionInfo(id="s", agent="codex", title="Sums", tags=("a", "b"), metadata={"cwd": "/home/me"}, created_at_us=5, updated_at_us=6)
    session = read_back(written(conversation(Message("user", [TextPart("hi")]), info=info)), tmp_path)
    head = session.head.info
    assert (head.agent, head.title, set(head.tags), head.metadata["cwd"]) == ("codex", "Sums", {"a", "b"}, "/home/me")
    assert (session.info.native_id, head.created_at_us) == ("s", 5)


def test_a_foreign_document_is_written_again_as_it_was(tmp_path: Path) -> None:
    foreign = {
        **EMPTY,
        "messages": [
            {"role": "user", "content": "2+2?", "timestamp": AT, "metadata": {"channel": "web"}},
            {
                "role": "assistant",
                "content": "",
                "timestamp": AT,
                "metadata": {"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{"}}]},
            },
            {"role": "tool", "content": "4", "timestamp": AT, "metadata": {"tool_call_id": "c"}},
        ],
        "working_memory": {"topic": "sums", "deep": {"a": [1.5, None]}},
        "entities": [{"name": "Ada", "entity_type": "person", "value": "Ada L.", "confidence": 0.5}],
        "task_state": [{"task_id": "t", "status": "completed", "progress": 1.0, "result": None}],
        "metadata": {"origin": "elsewhere"},
    }
    data = write_document(foreign)
    session = read_back(data, tmp_path)
    assert calls_of(session.messages()) == [("c", "f", None)]
    told = msgspec.structs.replace(session.conversation(), state=session.values("state"))
    assert written(told) == data


def test_text_that_was_changed_since_wins_over_what_stood_beside_it(tmp_path: Path) -> None:
    document = json.loads(written(conversation(Message("assistant", list(EVERY_PART)))))
    document["messages"][0]["content"] = "[taken out]"
    session = read_back(write_document(document), tmp_path)
    assert session.texts() == ["[taken out]"]
    assert [part.type for part in session.messages()[0].parts if part.type == "blob"] == []
    assert "was changed after turnfold wrote it" in session.problems[0]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": "9.9"}, "USF version '9.9' is not known"),
        ({"version": None}, "USF version None is not known"),
        ({"framework_source": "y"}, "the checksum is not that of the content"),
        (
            {"messages": [{"role": "user", "content": "inserted", "timestamp": AT, "metadata": {}}]},
            "the checksum is not that of the content",
        ),
        ({"checksum": 5}, "the checksum is not that of the content"),
        ({"checksum": []}, "the checksum is not that of the content"),
    ],
)
def test_another_version_or_a_wrong_checksum_is_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    path = tmp_path / "usf.json"
    path.write_text(json.dumps({**EMPTY, "checksum": checksum_of(EMPTY), **change}))
    with pytest.raises(FormatError, match=said):
        list(USF.documents(path))


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b'"x"'])
def test_what_is_no_document_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "usf.json"
    path.write_bytes(data)
    with pytest.raises(FormatError):
        list(USF.documents(path))


def test_a_document_without_a_checksum_is_read_and_reported(tmp_path: Path) -> None:
    session = read_back(json.dumps(EMPTY).encode(), tmp_path)
    assert session.problems == ["usf.json: the document has no checksum: nothing says whether it is complete"]


def test_a_large_document_is_known_by_its_beginning(tmp_path: Path) -> None:
    many = [{"role": "user", "content": "x" * 1000, "timestamp": AT, "metadata": {}}] * 100
    assert len(read_back(write_document({**EMPTY, "messages": many}), tmp_path).messages()) == 100


@pytest.mark.parametrize("value", [None, 5, "x", [], {}, [5], {"a": 1}, True])
def test_hostile_values_never_raise(tmp_path: Path, value: Any) -> None:
    good = {"role": "user", "content": "hi", "timestamp": AT, "metadata": {}}
    hostile = [value, {**good, "metadata": value}, {**good, "content": value}, {**good, "timestamp": value}, {**good, "role": value}]
    hostile += [
        {**good, "metadata": {"turnfold": one}} for one in (value, {"message": value}, {"message": {"parts": value}, "turn": value})
    ]
    facts = {"visibility": value, "usage": value, "actor": value, "meta": value, "run_id": value}
    hostile += [{**good, "role": "assistant", "metadata": {"turnfold": facts, "tool_calls": value, "tool_call_id": value}}]
    hostile += [
        {**good, "role": "assistant", "metadata": {"tool_calls": [value, {"id": value, "function": {"name": "f", "arguments": value}}]}}
    ]
    aside = [
        value,
        {"type": value, "message": value},
        {"type": "context", "message": json.dumps({"parts": [value]})},
        {"type": "compaction", "data": value, "first": value, "keeps": value},
    ]
    metadata = {"turnfold": {"entries": [*aside, {"after": value}], "title": value, "tags": value, "agent": value, "metadata": value}}
    whole = {**EMPTY, "messages": hostile, "metadata": metadata}
    read_back(write_document(whole), tmp_path)
    for name in EMPTY.keys() - {"version"}:
        path = tmp_path / "usf.json"
        path.write_bytes(write_document({**EMPTY, name: value}))
        read(USF, path)


@pytest.mark.slow
def test_the_genuine_package_reads_ours_and_we_read_its_by_way_of_langchain(tmp_path: Path) -> None:
    messages = [
        Message("developer", [TextPart("Be brief.")]),
        Message("user", [TextPart("Look."), UriPart("image", "https://example.com/cat.png")]),
        Message("assistant", [ToolCallPart("c1", "add", {"a": 1}), ToolCallPart("c2", "add", {"a": 2})]),
        Message("tool", [ToolResultPart("c1", "one"), ToolResultPart("c2", "two")]),
        Message("assistant", list(EVERY_PART)),
    ]
    (tmp_path / "ours.json").write_bytes(written(conversation(*messages)))
    make_genuine("make_usf.py", "agent_session_linker", tmp_path)
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "ours.json").read_bytes()
    back = read_back((tmp_path / "back.json").read_bytes(), tmp_path)
    assert [plain(one) for one in back.messages()] == [plain(one) for one in messages]
    chain = json.loads((tmp_path / "langchain.json").read_text())["messages"]
    assert [call["id"] for call in chain[2]["additional_kwargs"]["tool_calls"]] == ["c1", "c2"]
    made = read_back((tmp_path / "made.json").read_bytes(), tmp_path)
    assert calls_of(made.messages()) == [("c1", "add", {"a": 2})]
    told = msgspec.structs.replace(made.conversation(), state=made.values("state"))
    assert written(told) == (tmp_path / "made.json").read_bytes()
