"""Bundles: lossless from and to every store, checked, and refused when damaged or too new."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import zipfile
from pathlib import Path

import pytest

from tests.importing.sessions import SCHEMES, OpenStore, check_session, codex_session, corpus, events_of, exported, head_of, key_of, opener
from turnfold.client import Client
from turnfold.codec.seal import leaf
from turnfold.core.fold import change_of
from turnfold.engine.bundle import write_bundle
from turnfold.engine.exporter import Exporter
from turnfold.engine.importer import Importer
from turnfold.engine.prepare import prepare
from turnfold.engine.reading import read_pages
from turnfold.engine.unbundling import read_bundle
from turnfold.engine.verify import verify_session
from turnfold.errors import FormatError, IntegrityError, PermissionDenied, SchemaTooNew, TurnfoldError
from turnfold.model.commit import Commit
from turnfold.model.event import NewEvent, RangeTombstone
from turnfold.model.message import assistant, user
from turnfold.model.parts import BlobPart
from turnfold.model.usage import Usage
from turnfold.ports.store import Store


def fill(store: Store) -> str:
    """A session with everything that a bundle must carry: redactions, a pruned range, seals, branches, state, parts, odd payloads."""
    with Client(store, close_store=False) as client:
        session = client.open("full", owner="alice", agent="support", tags=["vip"])
        session.append([user("one"), assistant("two", usage=Usage(input_tokens=7, output_tokens=3, model="m1"))])
        session.append(user(BlobPart("image", "image/png", "A" * 40_000)))
        mark = session.checkpoint("mark")
        session.state["step"] = 3
        session.update(title="Everything", metadata={"k": [1, 2]})
        other = session.fork("side", at=mark)
        other.append(user("on the side"))
        session.append([NewEvent(type="odd.newline", data=b'{"a":\n 1}'), NewEvent(type="odd.null", data=b"null"), NewEvent(type="odd.ü")])
        deltas = session.append([NewEvent(type="message.delta", data={"n": n}) for n in range(5)])
        session.append(user("secret"))
        session.redact(session.messages()[-1].seq, reason="pii")
        client.seal("full")
        prune(store, "full", deltas.first_seq, deltas.last_seq)
        session.append(user("after the seal"))
        assert store.read_seals(key_of("full"))
    return "full"


def prune(store: Store, session_id: str, first: int, last: int) -> None:
    """Put a range tombstone in the place of finished deltas."""
    events = [event for event in events_of(store, session_id) if first <= event.seq <= last]
    tombstone = RangeTombstone(first, last, tuple(e.id for e in events), b"".join(leaf(e) for e in events), "deltas", 5)
    store.commit(Commit(key=key_of(session_id), prune=(tombstone,), lifecycle=True))


def picture(store: Store, session_id: str) -> tuple[object, ...]:
    """Everything that must be equal after a round trip."""
    key = key_of(session_id)
    pages = list(read_pages(store, key, with_source=True))
    head = head_of(store, session_id)
    info = json.dumps({**head.info.to_dict(), "incarnation": ""}, sort_keys=True)
    ranges = {item.first_seq: item for page in pages for item in page.ranges}
    events = [event for page in pages for event in page.events]
    return events, ranges, info, head.entries, head.usage_by_model, head.ttl_s, store.read_seals(key), store.list_runs(key)


@pytest.mark.parametrize(("one", "other"), list(itertools.product(SCHEMES, SCHEMES)))
def test_a_bundle_carries_everything_from_any_store_to_any_store(one: str, other: str, tmp_path: Path) -> None:
    for scheme in (one, other):
        pytest.importorskip(f"turnfold.stores.{scheme}")
    source, target = opener(one, tmp_path / "one")(), opener(other, tmp_path / "other")()
    session_id = fill(source)
    path = tmp_path / "all.turnfold"
    manifest = Exporter(source).bundle([session_id], path)
    assert [session.id for session in manifest.sessions] == [session_id]
    (restored,) = read_bundle(target, path, "default")
    assert restored.id == session_id
    assert not restored.repeated
    assert picture(target, session_id) == picture(source, session_id)
    assert verify_session(target, key_of(session_id)) == verify_session(source, key_of(session_id))
    again = tmp_path / "again.turnfold"
    Exporter(target).bundle([session_id], again)
    assert again.read_bytes() == path.read_bytes()
    (repeated,) = read_bundle(target, path, "default")
    assert repeated.repeated
    source.close()
    target.close()


def test_imported_sessions_go_through_a_bundle_with_their_subagents(new_store: OpenStore, shared_dir: Path, tmp_path: Path) -> None:
    (main,) = [path for path in corpus(shared_dir) if path.match("generated/2.1.200/*.jsonl")]
    one, other = new_store(), new_store()
    result = Importer(one).import_file(main)
    path = tmp_path / "x.turnfold"
    Exporter(one).bundle(result.session_ids[:1], path)
    brought = Importer(other).import_file(path)
    assert brought.session_ids == result.session_ids
    assert [file.format for file in brought.files] == ["bundle", "bundle"]
    for file in result.files:
        assert exported(other, str(file.session_id)) == Path(file.path).read_bytes()
        check_session(other, str(file.session_id))
    assert Importer(other).import_tree([main]).outcomes() == {"unchanged": 2}  # the cursors came along
    assert Importer(other).import_file(path).outcomes() == {"unchanged": 2}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a small bundle."""
    folder = tmp_path_factory.mktemp("bundle")
    (folder / "rollout.jsonl").write_bytes(codex_session("s1", ["one", "two", "three"]))
    store = opener("memory", folder)()
    Importer(store, owner="alice").import_file(folder / "rollout.jsonl")
    Exporter(store).bundle(["s1"], folder / "good.turnfold")
    return folder / "good.turnfold"


def rewrite(bundle: Path, path: Path, change: dict[str, bytes]) -> Path:
    """Copy a bundle with other contents of some members."""
    with zipfile.ZipFile(bundle) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            target.writestr(name, change.get(name, source.read(name)))
    return path


def test_damage_is_found_and_the_member_named(bundle: Path, tmp_path: Path) -> None:
    store = opener("memory", tmp_path)()
    with zipfile.ZipFile(bundle) as archive:
        events = archive.read("sessions/0/events.jsonl")
        manifest = json.loads(archive.read("manifest.json"))
    changed = rewrite(bundle, tmp_path / "a.turnfold", {"sessions/0/events.jsonl": events.replace(b"two", b"TWO")})
    with pytest.raises(IntegrityError, match=r"sessions/0/events\.jsonl is damaged: it does not match its checksum"):
        read_bundle(store, changed, "default")

    lied = events.replace(b"two (user)", b"TWO (user)")
    manifest["members"]["sessions/0/events.jsonl"]["sha256"] = hashlib.sha256(lied).hexdigest()
    members = {"sessions/0/events.jsonl": lied, "manifest.json": json.dumps(manifest).encode()}
    with pytest.raises(IntegrityError, match="event 5 does not match its digest"):
        read_bundle(store, rewrite(bundle, tmp_path / "b.turnfold", members), "default")

    manifest["version"] = 2
    newer = rewrite(bundle, tmp_path / "c.turnfold", {"manifest.json": json.dumps(manifest).encode()})
    with pytest.raises(SchemaTooNew, match="version 2"):
        Importer(store).import_file(newer)
    with pytest.raises(IntegrityError, match=r"manifest\.json is damaged"):
        read_bundle(store, rewrite(bundle, tmp_path / "d.turnfold", {"manifest.json": b"{"}), "default")
    with zipfile.ZipFile(tmp_path / "e.zip", "w") as archive:
        archive.writestr("readme", "hello")
    with pytest.raises(FormatError, match="no bundle"):
        read_bundle(store, tmp_path / "e.zip", "default")
    assert store.last_seqs([key_of("s1")]) == {}


def test_any_flipped_byte_of_the_table_of_contents_is_an_error_or_harmless(bundle: Path, tmp_path: Path) -> None:
    data = bundle.read_bytes()
    path = tmp_path / "x.turnfold"
    refused = 0
    for place in range(data.index(b"PK\x01\x02"), len(data)):
        for bit in (0, 3, 6, 7):
            path.write_bytes(data[:place] + bytes([data[place] ^ (1 << bit)]) + data[place + 1 :])
            try:
                read_bundle(opener("memory", tmp_path)(), path, "default")
            except TurnfoldError:
                refused += 1
    assert refused > 100


def test_any_flipped_or_lost_byte_is_an_error_or_harmless(bundle: Path, tmp_path: Path) -> None:
    data = bundle.read_bytes()
    chance = random.Random(7)
    refused = 0
    reference = opener("memory", tmp_path)()
    read_bundle(reference, bundle, "default")
    for number in range(150):
        place = chance.randrange(len(data))
        damaged = data[:place] if number % 3 == 0 else data[:place] + bytes([data[place] ^ (1 << chance.randrange(8))]) + data[place + 1 :]
        path = tmp_path / "x.turnfold"
        path.write_bytes(damaged)
        store = opener("memory", tmp_path)()
        try:
            read_bundle(store, path, "default")
        except (IntegrityError, FormatError, SchemaTooNew):
            assert store.last_seqs([key_of("s1")]) == {}
            refused += 1
        else:  # a byte of the zip that nobody reads (times, attributes)
            assert picture(store, "s1") == picture(reference, "s1")
    assert refused > 100


def test_a_bundle_keeps_its_owner_and_needs_its_key(bundle: Path, tmp_path: Path) -> None:
    store = opener("memory", tmp_path)()
    with pytest.raises(PermissionDenied, match="another owner"):
        read_bundle(store, bundle, "default", owner="bob")
    with pytest.raises(IntegrityError) as caught:
        read_bundle(store, bundle, "default", hmac_key=b"k")
    assert "another key" in caught.value.hint
    read_bundle(store, bundle, "default", owner="alice")
    assert head_of(store, "s1").info.owner == "alice"


def test_an_interrupted_export_leaves_no_file(store: Store, tmp_path: Path) -> None:
    fill(store)
    path = tmp_path / "x.turnfold"
    with pytest.raises(TurnfoldError):
        write_bundle(store, [key_of("full"), key_of("missing")], path)
    assert list(tmp_path.glob("x.*")) == []


def test_a_session_that_went_on_is_not_overwritten_by_its_bundle(store: Store, tmp_path: Path) -> None:
    fill(store)
    Exporter(store).bundle(["full"], tmp_path / "a.turnfold")
    events = (prepare(user("later"), None, []),)
    store.commit(Commit(key=key_of("full"), events=events, change=change_of(events)))
    read_bundle(store, tmp_path / "a.turnfold", "default")
    assert events_of(store, "full")[-1].data["parts"][0]["content"] == "later"
