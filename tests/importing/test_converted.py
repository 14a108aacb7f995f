"""Every Claude Code and Codex session of the corpus in every other shape, and back."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.formats.written import TO_READ_BACK, Stock, read_back
from tests.importing.sessions import codex_session, corpus, key_of
from turnfold.core.conversation import COMPACTION, CONTEXT, Conversation
from turnfold.engine.converting import conversation_of, convert
from turnfold.engine.exporter import Exporter
from turnfold.engine.importer import Importer
from turnfold.formats import loss
from turnfold.formats.loss import LossReport
from turnfold.formats.registry import formats
from turnfold.formats.writers.anthropic import OPENING
from turnfold.formats.writers.turns import messages_in
from turnfold.model.message import Message
from turnfold.model.parts import TextPart
from turnfold.stores.memory import MemoryStore


@pytest.fixture(scope="module")
def conversations(request: pytest.FixtureRequest) -> list[Conversation]:
    """Give every session of the corpus as a conversation."""
    shared_dir: Path = request.getfixturevalue("shared_dir")
    store = MemoryStore()
    ids = [session_id for path in corpus(shared_dir) for session_id in Importer(store).import_file(path).session_ids]
    return [conversation_of(store, key_of(session_id), losses=LossReport()) for session_id in dict.fromkeys(ids)]


def _for_model(conversation: Conversation) -> Iterator[Message]:
    """The messages, and before them the session's instructions, which every writer has a place for."""
    if conversation.system_prompt:
        yield Message("system", [TextPart(conversation.system_prompt)])
    for entry in conversation.for_model:
        if entry.type != CONTEXT:  # what a tool tells its model besides: no message of a list
            yield from messages_in(entry, LossReport())


def _uncompacted(conversation: Conversation) -> Conversation:
    entries = [entry for entry in conversation.entries if entry.type != COMPACTION]
    return msgspec.structs.replace(conversation, entries=entries)


@pytest.mark.parametrize("name", TO_READ_BACK)
@pytest.mark.parametrize("whole", [True, False], ids=["whole", "next"])
def test_every_real_session_keeps_its_texts_calls_answers_and_images(name: str, whole: bool, conversations: list[Conversation]) -> None:  # noqa: FBT001
    totals = {"texts": 0, "calls": 0, "pairs": 0, "images": 0}
    for conversation in map(_uncompacted, conversations) if whole else conversations:
        losses = LossReport()
        value = json.loads(b"".join(convert(formats().writer(name), conversation, losses)))
        before, after = Stock(list(_for_model(conversation))), Stock(read_back(name, value))
        if losses.counts.get(loss.MEDIA):  # an image whose type a fixture has trimmed away, a file that is only a path: only named
            assert "stage0" in conversation.info.id
            continue
        if name == "anthropic":
            leading = str(value.get("system", ""))
            before.texts = Counter({text: count for text, count in before.texts.items() if text not in leading})
            after.texts = Counter({text: count for text, count in after.texts.items() if text != OPENING and text not in leading})
        for kind, total in totals.items():
            assert getattr(after, kind) == getattr(before, kind), (conversation.info.id, kind)
            totals[kind] = total + getattr(before, kind).total()
    assert len(conversations) >= 40
    assert totals["calls"] > (2_200 if whole else 1_300), totals
    assert totals["pairs"] > (2_200 if whole else 1_300), totals
    assert totals["images"] > 10, totals


def test_every_real_session_is_a_trace(conversations: list[Conversation]) -> None:
    for conversation in conversations:
        value = json.loads(b"".join(convert(formats().writer("otel"), conversation, LossReport())))
        spans = value["resourceSpans"][0]["scopeSpans"][0]["spans"]
        texts = "".join(item["value"].get("stringValue", "") for span in spans for item in span["attributes"])
        said = [entry.message for entry in conversation.entries if entry.for_model and entry.type == "message" and entry.message]
        calls = [call.id for message in said if not message.synthetic for call in message.tool_calls]
        assert texts.count('"type":"tool_call",') >= len(calls)
        assert len({span["spanId"] for span in spans}) == len(spans)


def test_an_export_names_its_losses_and_its_file(tmp_path: Path) -> None:
    path = tmp_path / "rollout.jsonl"
    path.write_bytes(codex_session("s1", ["one"]))
    store = MemoryStore()
    Importer(store).import_file(path)
    for name in ("openai", "openai-responses", "anthropic", "langchain", "otel"):
        (tmp_path / name).mkdir()
        (file,) = Exporter(store).write("s1", tmp_path / name, name)
        assert Path(file.path).name == ("s1.otlp.json" if name == "otel" else "s1.json")
        assert "one (assistant)" in Path(file.path).read_text()
        assert isinstance(file.losses, dict)
