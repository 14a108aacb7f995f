"""Documents that hold several sessions: JSON files and databases."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.importing.documents import WRITERS, Chat, DatabaseChats, JsonChats, chat, formats_with_chats, write_json
from tests.importing.sessions import check_session, codex_session, content_of, events_of, head_of, key_of, opener
from tests.support import ROOT
from turnfold.client import Client
from turnfold.core.transcript import messages_of
from turnfold.engine.exporter import Exporter
from turnfold.engine.importer import Importer, ImportResult
from turnfold.engine.importing import batch
from turnfold.engine.importing.kept import kept_lines
from turnfold.errors import NotSupported
from turnfold.model.message import user
from turnfold.ports.store import Store
from turnfold.stores.registry import open_store

SCRIPT = Path(__file__).with_name("documents_process.py")


class Place:
    """A document under change, and the store that it is brought into."""

    def __init__(self, store: Store, path: Path) -> None:
        self.store = store
        self.path = path
        self._write = WRITERS[path.name]
        self._fmt = JsonChats() if path.suffix == ".json" else DatabaseChats()

    def bring(self, *chats: Any) -> ImportResult:
        """Write the document and import it; check that every session is what the document says now."""
        self.write(*chats)
        result = self.again()
        for document in self._fmt.documents(self.path):
            lines = list(kept_lines(self.store, key_of(document.native_id), None))
            assert lines == [line + b"\n" for line in document.lines]
            check_session(self.store, document.native_id)
        return result

    def write(self, *chats: Any) -> None:
        self._write(self.path, list(chats))

    def again(self) -> ImportResult:
        return self.importer().import_tree([self.path])

    def importer(self) -> Importer:
        return Importer(self.store, known_formats=formats_with_chats())

    def texts(self, session_id: str) -> list[str]:
        branch = head_of(self.store, session_id).info.active_branch
        return [message.text for message in messages_of(e for e in events_of(self.store, session_id) if e.branch == branch)]

    def counts(self, session_id: str) -> tuple[int, int, int]:
        info = head_of(self.store, session_id).info
        return info.message_count, info.turn_count, info.usage.output_tokens


@pytest.fixture(params=sorted(WRITERS))
def place(request: pytest.FixtureRequest, store: Store, tmp_path: Path) -> Place:
    """Give an empty store and a document to be written."""
    return Place(store, tmp_path / request.param)


def test_each_session_of_a_document_becomes_a_session(place: Place) -> None:
    result = place.bring(chat("c1", ["one", "two"], title="First"), chat("c2", ["three"]))
    assert [(file.path, file.outcome, file.session_id) for file in result.files] == [
        (f"{place.path}#c1", "imported", "c1"),
        (f"{place.path}#c2", "imported", "c2"),
    ]
    assert place.texts("c1") == ["one?", "one!", "two?", "two!"]
    assert place.counts("c1") == (4, 2, 40)
    info = head_of(place.store, "c1").info
    assert info.title == "First"
    assert info.native == {"format": result.files[0].format, "id": "c1", "path": str(place.path)}


def test_a_second_run_is_a_no_op_and_does_not_read_the_document(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.bring(chat("c1", ["one"], open_text="I am"), chat("c2", ["two"], title="T"))
    before = [content_of(place.store, name) for name in ("c1", "c2")]

    def refuse(*_: Any) -> Any:
        raise AssertionError("the document was read")

    for kind in (JsonChats, DatabaseChats):
        monkeypatch.setattr(kind, "documents", refuse)
    result = place.again()
    assert result.outcomes() == {"unchanged": 2}
    assert result.session_ids == ["c1", "c2"]
    assert [content_of(place.store, name) for name in ("c1", "c2")] == before


def test_a_touched_document_is_read_and_nothing_is_written(place: Place) -> None:
    place.bring(chat("c1", ["one"], open_text="I am"), chat("c2", ["two"], title="T"))
    before = [content_of(place.store, name) for name in ("c1", "c2")]
    os.utime(place.path, (5, 5))
    assert place.again().outcomes() == {"unchanged": 2}
    assert [content_of(place.store, name) for name in ("c1", "c2")] == before


def test_growth_adds_what_is_new(place: Place) -> None:
    place.bring(chat("c1", ["one"]), chat("c2", ["other"]))
    result = place.bring(chat("c1", ["one", "two"]), chat("c2", ["other"]), chat("c3", ["new"]))
    assert result.outcomes() == {"imported": 1, "unchanged": 1, "updated": 1}
    assert result.files[0].line_count == 2
    assert place.texts("c1") == ["one?", "one!", "two?", "two!"]
    assert [event.type for event in events_of(place.store, "c1")].count("retract") == 0


def test_an_end_that_changed_is_taken_back_and_read_again(place: Place) -> None:
    place.bring(chat("c1", ["one"], title="Old", open_text="I am"))
    assert place.texts("c1") == ["one?", "one!", "I am"]
    for text in ("I am thinking", "I am thinking aloud"):
        assert place.bring(chat("c1", ["one"], title="New", open_text=text)).outcomes() == {"updated": 1}
        assert place.texts("c1") == ["one?", "one!", text]
        assert place.counts("c1") == (3, 1, 30)
    info = head_of(place.store, "c1").info
    assert (info.title, info.active_branch) == ("New", "main")
    assert place.bring(chat("c1", ["one", "two"], title="New")).outcomes() == {"updated": 1}
    assert place.texts("c1") == ["one?", "one!", "two?", "two!"]
    assert place.counts("c1") == (4, 2, 40)
    assert {model: usage.output_tokens for model, usage in head_of(place.store, "c1").usage_by_model.items()} == {"m0": 20, "m1": 20}


def test_an_end_that_comes_back_as_it_was_is_no_conflict(place: Place) -> None:
    for text in ("first", "other", "first", "other"):
        place.bring(chat("c1", ["one"], open_text=text))
        assert place.texts("c1") == ["one?", "one!", text]


def test_an_end_that_only_goes_on_is_not_taken_back(place: Place) -> None:
    one = chat("c1", ["one"], open_text="answer")
    place.bring(one)
    one["entries"].append({"id": "u9", "from": "me", "text": "more?", "done": True})
    assert place.bring(one).outcomes() == {"updated": 1}
    assert [event.type for event in events_of(place.store, "c1")].count("retract") == 0
    one["entries"][2]["text"] = "answer, longer"
    place.bring(one)
    assert place.texts("c1") == ["one?", "one!", "answer, longer", "more?"]
    assert place.counts("c1") == (4, 2, 40)


def test_what_was_taken_back_is_not_found_by_the_reader(place: Place) -> None:
    one = chat("c1", ["one"], open_text="draft")
    draft = one["entries"][-1]
    place.bring(one)
    draft["text"] = "final"
    one["entries"].append({"id": "u9", "from": "me", "text": "so?", "parent": draft["id"], "done": True})
    place.bring(one)
    events = {event.meta.get("uuid"): event for event in events_of(place.store, "c1") if event.type == "message"}
    assert events["u9"].meta["parent_seq"] == events[draft["id"]].seq
    one["entries"] = [entry for entry in one["entries"] if entry is not draft]
    place.bring(one)
    events = {event.meta.get("uuid"): event for event in events_of(place.store, "c1") if event.type == "message"}
    assert events["u9"].meta["parent_seq"] is None


def test_a_settled_line_that_changed_replaces_the_session(place: Place) -> None:
    place.bring(chat("c1", ["one", "two"], open_text="x"), chat("c2", ["other"]))
    (replaced, other) = place.bring(chat("c1", ["uno", "two"], open_text="x"), chat("c2", ["other"])).files
    assert (replaced.outcome, other.outcome) == ("replaced", "unchanged")
    assert place.texts("c1") == ["uno?", "uno!", "two?", "two!", "x"]
    assert place.counts("c1") == (5, 2, 50)
    assert place.bring(chat("c1", ["uno"])).files[0].outcome == "replaced"
    assert place.texts("c1") == ["uno?", "uno!"]


def test_a_record_that_cannot_be_read_is_kept_and_reported(place: Place) -> None:
    one = chat("c1", ["one"])
    one["entries"].insert(1, {"id": "bad", "blob": "\u0000\ud800"})
    (problem,) = place.bring(one).problems
    assert (problem.path, problem.line) == (f"{place.path}#c1", 3)
    assert "entry 1: it has no text" in problem.text
    assert place.texts("c1") == ["one?", "one!"]
    assert any(b"ud800" in line for line in kept_lines(place.store, key_of("c1"), None))


def test_a_bad_session_does_not_stop_the_others(place: Place) -> None:
    place.write(chat("a", ["one"]), chat("b" * 2000, ["bad"]), chat("c" * 3000, ["bad"]), chat("d", ["two"]))
    result = place.again()
    assert [file.outcome for file in result.files] == ["imported", "skipped", "skipped", "imported"]
    assert "invalid_input" in str(result.files[1].reason)
    assert place.again().outcomes() == {"skipped": 2, "unchanged": 2}  # what was left out is tried again


def test_an_id_that_a_document_has_twice_keeps_both(store: Store, tmp_path: Path) -> None:
    place = Place(store, tmp_path / "chats.json")
    place.write(chat("c1", ["one"]), chat("c1", ["two"]))
    assert place.again().session_ids == ["c1", "c1~2"]
    assert place.texts("c1~2") == ["two?", "two!"]
    os.utime(place.path, (5, 5))
    assert place.again().outcomes() == {"unchanged": 2}


def test_a_deleted_session_comes_again_with_its_document(place: Place) -> None:
    place.bring(chat("c1", ["one"]), chat("c2", ["two"]))
    place.store.delete_session(key_of("c1"))
    assert place.again().outcomes() == {"imported": 1, "unchanged": 1}
    assert place.again().outcomes() == {"unchanged": 2}


def test_a_damaged_document_says_so_and_keeps_what_came_before(store: Store, tmp_path: Path) -> None:
    place = Place(store, tmp_path / "chats.json")
    place.write(chat("c1", ["one"]), "damaged", chat("c2", ["two"]))
    good, bad = place.again().files
    assert (good.outcome, bad.outcome) == ("imported", "skipped")
    assert "the rest is damaged" in str(bad.reason)
    assert bad.path == str(place.path)
    place.path.write_text('{"chatter": 1, "chats": [')
    (file,) = place.again().files
    assert (file.outcome, file.format) == ("skipped", "json-chats")
    assert "format_error" in str(file.reason)


def test_a_damaged_database_is_skipped_with_its_reason(store: Store, tmp_path: Path) -> None:
    place = Place(store, tmp_path / "chats.db")
    place.write(*(chat(f"c{number:03d}", ["x" * 400] * 20) for number in range(50)))
    data = bytearray(place.path.read_bytes())
    for page in range(4096, len(data) - 4096, 8192):
        data[page : page + 4096] = os.urandom(4096)
    place.path.write_bytes(data)
    result = place.importer().import_file(place.path, format="database-chats")
    assert result.skipped[-1].path == str(place.path)
    assert "malformed" in str(result.skipped[-1].reason) or "not a database" in str(result.skipped[-1].reason)


def test_an_empty_document_has_no_sessions(place: Place) -> None:
    place.write()
    (file,) = place.again().files
    assert (file.outcome, file.reason) == ("skipped", "it has no sessions")


def test_folders_are_walked_and_covered_files_are_left_out(store: Store, tmp_path: Path) -> None:
    place = Place(store, tmp_path / "chats.db")
    place.write(chat("c1", ["one"]))
    write_json(tmp_path / "chats.db-notes.json", [chat("hidden", ["x"])])
    (tmp_path / "deeper").mkdir()
    write_json(tmp_path / "deeper" / "noname", [chat("c2", ["two"])])
    (tmp_path / "readme.md").write_text("# hello\n")
    for _ in range(2):
        assert place.importer().import_tree([tmp_path]).session_ids == ["c1", "c2"]


def test_a_store_in_the_folder_that_is_imported_keeps_its_locks(tmp_path: Path) -> None:
    """Closing a descriptor of a file takes a process's locks on it: then another process's look would clear the store's log away under it."""
    (tmp_path / "a.jsonl").write_bytes(codex_session("s1", ["one"]))
    look = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT count(*) FROM event').fetchall(); c.close()"
    store = open_store(f"sqlite:///{tmp_path / 'agent.db'}")
    for _ in range(2):
        Importer(store, known_formats=formats_with_chats()).import_tree([tmp_path])
        (skipped,) = Importer(store).import_file(tmp_path / "agent.db", format="codex").files
        assert (skipped.outcome, skipped.reason) == ("skipped", "it is a database, and codex reads none")
        log = (tmp_path / "agent.db-wal").stat()
        subprocess.run([sys.executable, "-c", look, str(tmp_path / "agent.db")], check=True)
        assert (tmp_path / "agent.db-wal").stat().st_ino == log.st_ino
    store.close()


def test_documents_are_discovered(store: Store, tmp_path: Path) -> None:
    (tmp_path / ".chatter").mkdir()
    place = Place(store, tmp_path / ".chatter" / "chats.json")
    place.write(chat("c1", ["one"]))
    found = [(known.name, path) for known, path in place.importer().discover(tmp_path, {}) if known.name == "json-chats"]
    assert found == [("json-chats", place.path)]


def test_a_copy_is_not_imported_twice_and_a_moved_document_goes_on(place: Place) -> None:
    place.bring(chat("c1", ["one", "two"], title="T"))
    copy = Place(place.store, place.path.with_name("copy") / place.path.name)
    copy.path.parent.mkdir()
    copy.write(chat("c1", ["one"], title="Older"))
    (older,) = copy.again().files
    assert (older.outcome, older.reason) == ("unchanged", f"an older copy of {place.path}")
    moved = Place(place.store, place.path.with_name("moved") / place.path.name)
    moved.path.parent.mkdir()
    place.path.rename(moved.path)
    assert moved.again().outcomes() == {"unchanged": 1}
    assert moved.bring(chat("c1", ["one", "two", "three"], title="T")).outcomes() == {"updated": 1}
    copy.write(chat("c1", ["different"]))
    (second,) = copy.again().session_ids
    assert second.startswith("c1~")
    assert place.texts(second) == ["different?", "different!"]
    assert place.texts("c1")[-1] == "three!"


def test_another_owner_gets_sessions_of_their_own(place: Place) -> None:
    place.write(chat("c1", ["one"]))
    for owner, expected in (("alice", "imported"), ("bob", "imported"), ("alice", "unchanged")):
        importer = Importer(place.store, owner=owner, known_formats=formats_with_chats())
        assert importer.import_tree([place.path]).outcomes() == {expected: 1}


def test_what_was_redacted_in_the_end_does_not_come_back(place: Place) -> None:
    place.bring(chat("c1", ["one"], title="Old", open_text="my secret is here"))
    (seq,) = [event.seq for event in events_of(place.store, "c1") if b"secret" in event.data_raw]
    with Client(place.store, close_store=False) as client:
        client.open("c1").redact(seq, reason="pii")
    place.write(chat("c1", ["one"], title="New", open_text="my secret is here"))
    assert place.again().outcomes() == {"updated": 1}
    assert not any(b"secret" in event.data_raw for event in events_of(place.store, "c1"))
    assert head_of(place.store, "c1").info.title == "New"


def test_documents_are_read_and_not_written(place: Place, tmp_path: Path) -> None:
    (file,) = place.bring(chat("c1", ["one"])).files
    exporter = Exporter(place.store, known_formats=formats_with_chats())
    assert file.format is not None
    with pytest.raises(NotSupported, match="read but not written") as raised:
        exporter.write("c1", tmp_path / "out.json", file.format)
    assert "bundle" in str(raised.value.hint)
    assert not (tmp_path / "out.json").exists()


def test_a_bundle_carries_a_documents_session_and_it_goes_on_there(place: Place, tmp_path: Path) -> None:
    place.bring(chat("c1", ["one"], title="T", open_text="dra"))
    Exporter(place.store).bundle(["c1"], tmp_path / "x.turnfold")
    other = Place(opener("memory", tmp_path)(), place.path)
    other.importer().import_file(tmp_path / "x.turnfold")
    assert content_of(other.store, "c1") == content_of(place.store, "c1")
    assert other.again().outcomes() == {"unchanged": 1}
    other.bring(chat("c1", ["one", "two"], title="T"))
    assert other.texts("c1") == ["one?", "one!", "two?", "two!"]


def test_a_large_session_is_spooled_and_taken_back_across_batches(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from turnfold.engine.importing import document

    monkeypatch.setattr(batch, "IMPORT_BATCH_EVENTS", 10)
    monkeypatch.setattr(document, "SPOOL_BYTES_MAX", 1000)
    one = chat("c1", [f"text {number}" for number in range(60)])
    for entry in one["entries"][20:]:
        entry["done"] = False
    place.bring(one)
    one["entries"][50]["text"] = "changed"
    assert place.bring(one).outcomes() == {"updated": 1}
    assert place.texts("c1") == [entry["text"] for entry in one["entries"]]
    assert place.counts("c1") == (120, 60, 1200)
    del one["entries"][30:]
    place.bring(one)
    assert place.counts("c1") == (30, 15, 300)


def test_another_writers_events_stay_when_the_end_is_taken_back(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "IMPORT_BATCH_EVENTS", 10)
    one = chat("c1", [f"text {number}" for number in range(20)])
    for entry in one["entries"]:
        entry["done"] = False
    place.write(one)
    with Client(place.store, close_store=False) as client:
        said = ["from us", "again from us"]

        def interfere(_: Any) -> None:
            if said:
                client.open("c1").append(user(said.pop()))

        place.importer().import_tree([place.path], progress=interfere)
        one["entries"][5]["text"] = "changed"
        place.bring(one)
    shown = place.texts("c1")
    assert {"from us", "again from us"} <= set(shown)
    assert [text for text in shown if not text.endswith("from us")] == [entry["text"] for entry in one["entries"]]
    assert place.counts("c1")[0] == 42


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_any_series_of_changes_ends_as_the_last_document_says(seed: int, place: Place) -> None:
    chance = random.Random(seed)
    chats: list[Chat] = []
    for step in range(25):
        how = chance.randrange(6)
        if how == 0 or not chats:
            chats.append(chat(f"c{step}", [f"s{step}"], title=chance.choice(["", "t"])))
        one = chance.choice(chats)
        if how == 1:
            one["entries"].append({"id": f"n{step}", "from": "me", "text": f"new {step}", "done": chance.random() < 0.5})
        elif how == 2:
            one["title"] = chance.choice(["", f"title {step}"])
        elif how == 3 and one["entries"]:
            chance.choice(one["entries"])["text"] = f"changed {step}"
        elif how == 4 and one["entries"]:
            del one["entries"][chance.randrange(len(one["entries"]))]
        elif how == 5:
            for entry in one["entries"]:
                entry["done"] = True
        place.bring(*chats)
        for each in chats:
            assert place.texts(each["id"]) == [entry["text"] for entry in each["entries"]]
            assert place.counts(each["id"])[0] == len(each["entries"])


@pytest.mark.crash
@pytest.mark.timeout(180)
@pytest.mark.parametrize("scheme", ["sqlite", "files"])
@pytest.mark.parametrize("name", sorted(WRITERS))
def test_a_killed_import_of_a_document_goes_on(scheme: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"{scheme}:///{tmp_path / 'store'}?durability=normal"
    chats = [chat(f"c{number:02d}", [f"text {index}" for index in range(150)], open_text="still") for number in range(12)]
    WRITERS[name](tmp_path / name, chats)
    chance = random.Random(3)
    kills = 0
    for _ in range(8):
        with _start(url, tmp_path / name) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(chance.random() * 0.05)
            process.send_signal(signal.SIGKILL)
            kills += "done" not in process.stdout.read()
    assert kills >= 3
    with _start(url, tmp_path / name) as process:
        assert process.stdout is not None
        assert "done" in process.stdout.read()
    monkeypatch.setattr(batch, "IMPORT_BATCH_EVENTS", 40)
    whole = Place(opener("memory", tmp_path)(), tmp_path / name)
    whole.again()
    killed = Place(open_store(url), tmp_path / name)
    for one in chats:
        assert content_of(killed.store, one["id"]) == content_of(whole.store, one["id"])
        check_session(killed.store, one["id"])
    assert killed.again().outcomes() == {"unchanged": 12}
    killed.store.close()


def _start(url: str, path: Path) -> subprocess.Popen[str]:
    environ = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    return subprocess.Popen([sys.executable, str(SCRIPT), url, str(path), "40"], stdout=subprocess.PIPE, text=True, env=environ)
