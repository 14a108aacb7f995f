"""Imports that are killed, and imports of large files."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.importing.sessions import check_session, codex_file, content_of, corpus, exported, key_of, opener
from tests.support import ROOT
from turnfold.engine.exporter import Exporter
from turnfold.engine.importer import Importer
from turnfold.engine.importing import batch
from turnfold.ports.store import Store
from turnfold.stores.registry import open_store

SCRIPT = Path(__file__).with_name("importing_process.py")


def start(url: str, path: Path, batch_events: int) -> subprocess.Popen[str]:
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, str(SCRIPT), url, str(path), str(batch_events)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ)


@pytest.fixture(params=["sqlite", "files"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the URL of an empty store that outlives a process."""
    pytest.importorskip(f"turnfold.stores.{request.param}")
    return f"{request.param}:///{tmp_path / 'store'}?durability=normal"


def reopened(url: str) -> Iterator[Store]:
    store = open_store(url)
    yield store
    store.close()


@pytest.mark.crash
@pytest.mark.timeout(180)
def test_a_killed_import_goes_on_and_ends_as_if_it_had_not_been(
    url: str, shared_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = codex_file(shared_dir, "019f36b8")
    chance = random.Random(11)
    kills = 0
    for _ in range(12):
        with start(url, path, 60) as process:
            assert process.stdout is not None
            process.stdout.readline()  # the first batch of this run is in
            time.sleep(chance.random() * 0.05)
            process.send_signal(signal.SIGKILL)
            rest = process.stdout.read()
        kills += "done" not in rest
    assert kills >= 6
    with start(url, path, 60) as process:
        assert process.stdout is not None
        assert "done" in process.stdout.read()

    whole = opener("memory", tmp_path)()
    monkeypatch.setattr(batch, "IMPORT_BATCH_EVENTS", 60)
    (session_id,) = Importer(whole).import_file(path).session_ids
    for store in reopened(url):
        assert exported(store, session_id) == path.read_bytes()
        assert content_of(store, session_id) == content_of(whole, session_id)
        check_session(store, session_id)
        assert Importer(store).import_tree([path]).outcomes() == {"unchanged": 1}


@pytest.mark.crash
def test_two_processes_importing_the_same_file_import_it_once(url: str, shared_dir: Path) -> None:
    path = codex_file(shared_dir, "019f0675")
    with start(url, path, 50) as one, start(url, path, 50) as other:
        outputs = [process.communicate(timeout=50)[0] for process in (one, other)]
    assert all("done" in output for output in outputs), outputs
    for store in reopened(url):
        session_id = "019f0675-387a-79c2-9e8d-ceb8a30657c9"
        assert exported(store, session_id) == path.read_bytes()
        check_session(store, session_id)


def test_an_interrupt_leaves_what_was_committed(store: Store, shared_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "IMPORT_BATCH_EVENTS", 20)
    path = next(path for path in corpus(shared_dir) if "tool_heavy" in path.name)

    def interrupt(_progress: object) -> None:
        raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            Importer(store).import_file(path, progress=interrupt)
    (session_id,) = Importer(store).import_file(path).session_ids
    assert exported(store, session_id) == path.read_bytes()
    check_session(store, session_id)


def test_threads_importing_the_same_files_do_not_double_them(store: Store, shared_dir: Path) -> None:
    folder = shared_dir / "data" / "transcripts" / "codex" / "generated"
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(Importer(store).import_tree, [folder]) for _ in range(4)]:
            assert not done.result().skipped
    for path in folder.rglob("*.jsonl"):
        (session_id,) = Importer(store).import_file(path).session_ids
        assert exported(store, session_id) == path.read_bytes()
        check_session(store, session_id)


def enlarge(path: Path, target: Path, size: int) -> None:
    """Repeat a session with other ids until it has that size."""
    data = path.read_bytes()
    with target.open("wb") as file:
        number = 0
        while file.tell() < size:
            file.write(data.replace(b'"call_', b'"call_%d_' % number).replace(b'"toolu_', b'"toolu_%d_' % number))
            number += 1


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_large_file_streams_with_bounded_memory(url: str, shared_dir: Path, tmp_path: Path) -> None:
    large = tmp_path / "rollout.jsonl"
    enlarge(codex_file(shared_dir, "019ed99c"), large, 200 << 20)
    with start(url, large, 0) as process:
        assert process.stdout is not None
        last = process.stdout.read().splitlines()[-1].split()
    assert last[0] == "done"
    assert int(last[2]) < 150, "MiB of memory"
    for store in reopened(url):
        (session_id,) = store.last_seqs([key_of("019ed99c-d00d-7613-b2e7-d2f512f78afd")])
        with large.open("rb") as file:
            for chunk in Exporter(store).native(session_id.session_id):
                assert file.read(len(chunk)) == chunk
            assert file.read() == b""
