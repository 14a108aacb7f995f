"""aider's chat histories: runs, who says which line, and that no byte is lost."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.formats.rows_driver import Read, read_documents
from turnfold.formats.aider import AiderFormat, records_of, runs_of
from turnfold.formats.registry import detect
from turnfold.model.event import to_us
from turnfold.model.usage import Usage

FIRST = """
# aider chat started at 2026-03-01 10:00:00

> Aider v0.86.2··
> Main model: gpt-5 with diff edit format··
> Added a.py to the chat··

#### add a greeting··
#### in two lines··

Here is the change:

#### A heading of the model
> a quotation of the model

```python
print("hi")
```

> Tokens: 2.3k sent, 1.2k cache write, 812 cache hit, 45 received.
Cost: $0.0012 message, $0.01 session.··
> Commit 1a2b3c4 feat: add greeting··
""".replace("··", "  ")
SECOND = """
# aider chat started at 2026-03-02 11:30:00

#### and now··

Done.

""".replace("··", "  ")


def read(tmp_path: Path, text: str | bytes) -> dict[str, Read]:
    path = tmp_path / "project" / ".aider.chat.history.md"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    found = detect(path)
    assert found is not None
    assert found.name == "aider"
    return read_documents("aider", path)


def joined(data: bytes) -> bytes:
    out = b""
    for started, run in runs_of(data):
        for record in records_of(run, started):
            out += base64.b64decode(record["text_base64"]) if "text_base64" in record else record["text"].encode()
    return out


def test_a_run_is_a_session_with_its_messages(tmp_path: Path) -> None:
    runs = read(tmp_path, FIRST + SECOND)
    assert [name[9:] for name in runs] == ["project-2026-03-01T10-00-00", "project-2026-03-02T11-30-00"]
    assert len({name[:8] for name in runs}) == 2
    first, second = runs.values()
    user, answer = first.messages()
    assert user.text == "add a greeting\nin two lines"
    assert answer.text.startswith("Here is the change:\n\n#### A heading of the model\n> a quotation")
    assert answer.text.endswith('print("hi")\n```')
    assert answer.model == "gpt-5"
    assert first.titles() == ["add a greeting in two lines"]
    notes = [event.data["parts"][0]["content"] for event in first.events if event.type == "context"]
    assert notes[0] == "Aider v0.86.2\nMain model: gpt-5 with diff edit format\nAdded a.py to the chat"
    assert notes[-1].endswith("Commit 1a2b3c4 feat: add greeting")
    assert [message.text for message in second.messages()] == ["and now", "Done."]
    assert first.info.created_us == to_us(datetime.fromisoformat("2026-03-01 10:00:00").astimezone())
    assert first.info.metadata == {"cwd": str(tmp_path / "project")}


def test_usage_is_as_rounded_as_aider_tells_it(tmp_path: Path) -> None:
    (first,) = read(tmp_path, FIRST.replace("received.\n", "received.  \n")).values()
    assert first.usage().numbers() == Usage(2300, 45, 812, 1200, 0, 1200).numbers()


def test_without_aiders_marks_the_prefixes_alone_decide(tmp_path: Path) -> None:
    (run,) = read(tmp_path, "# aider chat started at 2024-01-01 00:00:00\n\n#### hi\n\nHello.\n\n> Tokens: 12 sent, 3 received.\n").values()
    assert [(message.role, message.text) for message in run.messages()] == [("user", "hi"), ("assistant", "Hello.")]
    assert run.usage().numbers()[:2] == (12, 3)


def test_only_the_last_record_of_a_run_may_still_change(tmp_path: Path) -> None:
    path = tmp_path / "project" / ".aider.chat.history.md"
    path.parent.mkdir()
    whole = (FIRST + SECOND).encode()
    before: dict[str, list[bytes]] = {}
    cuts = [0, *(at + 1 for at, byte in enumerate(whole) if byte == 10)]
    for cut in cuts:
        path.write_bytes(whole[:cut])
        for document in AiderFormat().documents(path):
            assert document.settled_count is not None
            settled = before.get(document.native_id, [])
            if not document.native_id.endswith("-before"):  # the beginning of a run's first line, before there was a run
                assert list(document.lines)[: len(settled)] == settled
            before[document.native_id] = list(document.lines)[: document.settled_count]


def test_two_runs_in_the_same_second_and_text_before_the_first(tmp_path: Path) -> None:
    runs = read(tmp_path, "Notes of mine.\n" + SECOND + SECOND)
    assert [name[9:] for name in runs] == ["project-before", "project-2026-03-02T11-30-00", "project-2026-03-02T11-30-00-2"]
    assert [message.text for message in next(iter(runs.values())).messages()] == ["Notes of mine."]


def test_bytes_that_are_no_text_are_kept(tmp_path: Path) -> None:
    data = SECOND.encode() + b"\xff\xfe bad\n"
    (run,) = read(tmp_path, data).values()
    assert "\ufffd bad" in run.messages()[-1].text
    assert joined(data) == data
    texts = [json.loads(line) for line in run.lines[1:]]
    assert base64.b64decode(texts[-1]["text_base64"]).endswith(b"\xff\xfe bad\n")


MARKED = [b"#### hi  \n", b"> note  \n", b"Cost: $0.1 message, $0.2 session.  \n", b"#### crlf  \r\n"]
PLAIN = [b"\n", b"  \n", b"\r\n", b"#### hi\n", b"> note\n", b"text\n", b"no newline", b"\xff\n", b"\x0b\x0c\x85\n"]
STARTS = [b"# aider chat started at 2026-03-01 10:00:00\n", b"# aider chat started at noon\n"]
LINES = st.sampled_from([*MARKED, *PLAIN, *STARTS])


@given(st.lists(LINES | st.binary(max_size=12), max_size=40))
def test_joined_texts_are_the_file(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    assert joined(data) == data


def test_files_are_found_where_a_person_works(tmp_path: Path) -> None:
    project, home = tmp_path / "project", tmp_path / "home"
    for folder in (project, home):
        folder.mkdir()
        (folder / ".aider.chat.history.md").write_text(SECOND)
    found = list(AiderFormat().discover(home, {"PWD": str(project), "AIDER_CHAT_HISTORY_FILE": str(project / ".aider.chat.history.md")}))
    assert sorted(found) == sorted([project / ".aider.chat.history.md", home / ".aider.chat.history.md"])
