"""Real sessions with lines glued, cut, doubled, turned in circles, blown up and made strange: no crash, no byte and no message lost.

What is checked of each file: it comes back byte for byte, the session verifies, its head is the fold of its log, a second import is a no-op,
and every line that was left as it was still gives the message that it gives in the untouched file.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.importing.sessions import check_session, corpus, events_of, exported, head_of, key_of
from turnfold.engine.importer import Importer
from turnfold.engine.importing.kept import kept_lines
from turnfold.formats.base import DocumentFormat, Format
from turnfold.formats.registry import formats
from turnfold.ports.store import Store
from turnfold.stores.memory import MemoryStore

Lines = list[bytes]
SMALL_BYTES = 200_000
STRANGE: tuple[Any, ...] = (
    2**63,
    -(2**63) - 1,
    2**64,
    10**30,
    10**400,
    1e308,
    -0.0,
    "\ud800 lone",
    "\x00",
    "\x01@" + "0" * 64 + "\x02",
    "x" * 30_000,
    [],
    {},
    [[[[None]]]],
    None,
    True,
    {"type": "text", "text": {"text": []}},
)


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _dump(value: Any) -> bytes:
    return (
        json.dumps(value, separators=(",", ":"), ensure_ascii=random.Random(len(str(value))).random() < 0.5 or _is_lone(value)).encode()
        + b"\n"
    )


def _is_lone(value: Any) -> bool:
    return "\ud800" in repr(value) or "\\ud800" in repr(value)


def _with_objects(lines: Lines, chance: random.Random) -> list[int]:
    return [index for index in chance.sample(range(len(lines)), min(8, len(lines))) if _object(lines[index]) is not None]


# ---- what is done to a file: each changes the lines in place and says what it did by its name --------------------------------------------
def glue(lines: Lines, chance: random.Random) -> None:
    """Two processes appended at once: two objects on one line, or one whole with its newlines after it."""
    for _ in range(3):
        place = chance.randrange(len(lines) - 1)
        lines[place : place + 2] = [lines[place].removesuffix(b"\n") + lines[place + 1]]
        if len(lines) < 3:
            return


def cut(lines: Lines, chance: random.Random) -> None:
    place = chance.randrange(1, len(lines))
    lines[place] = lines[place][: chance.randrange(len(lines[place]))] + b"\n"


def cut_end(lines: Lines, chance: random.Random) -> None:
    lines[-1] = lines[-1][: chance.randrange(1, len(lines[-1]))]


def interrupt(lines: Lines, chance: random.Random) -> None:
    """A writer was killed in the middle of a line, and the next one went on right there."""
    place = chance.randrange(1, len(lines))
    lines.insert(place, lines[place][: chance.randrange(len(lines[place]))] + lines[chance.randrange(len(lines))])


def double(lines: Lines, chance: random.Random) -> None:
    for _ in range(5):
        lines.insert(chance.randrange(1, len(lines) + 1), lines[chance.randrange(1, len(lines))])


def shuffle(lines: Lines, chance: random.Random) -> None:
    rest = lines[1:]
    chance.shuffle(rest)
    lines[1:] = rest


def circle(lines: Lines, chance: random.Random) -> None:
    """Parents that are children of their children, or of themselves."""
    places = [index for index, line in enumerate(lines) if "parentUuid" in (_object(line) or {}) and "uuid" in (_object(line) or {})]
    for place in chance.sample(places, min(6, len(places))):
        value = _object(lines[place]) or {}
        value["parentUuid"] = (_object(lines[chance.choice(places)]) or {})["uuid"]
        lines[place] = _dump(value)


def same_ids(lines: Lines, chance: random.Random) -> None:
    for place in _with_objects(lines, chance):
        value, other = _object(lines[place]) or {}, _object(lines[chance.randrange(len(lines))]) or {}
        for name in ("uuid", "id", "parentUuid", "sessionId"):
            if name in value and name in other:
                value[name] = other[name]
        lines[place] = _dump(value)


def strange_values(lines: Lines, chance: random.Random) -> None:
    for place in _with_objects(lines, chance):
        value: Any = _object(lines[place])
        inner = value
        while isinstance(inner, dict | list) and inner and chance.random() < 0.7:
            key: Any = chance.choice(list(inner)) if isinstance(inner, dict) else chance.randrange(len(inner))
            if not isinstance(inner[key], dict | list) or chance.random() < 0.2:
                inner[key] = chance.choice(STRANGE)
                break
            inner = inner[key]
        lines[place] = _dump(value)


def strange_types(lines: Lines, chance: random.Random) -> None:
    for place in _with_objects(lines, chance):
        value = _object(lines[place]) or {}
        value["type"] = chance.choice(["never seen", "", 7, None, ["user"], "x" * 5_000, "\x00"])
        lines[place] = _dump(value)


def junk(lines: Lines, chance: random.Random) -> None:
    kinds = [b"", b"  ", b"\x00" * 50, b"\xff\xfe\x00", b"null", b"[]", b'"text"', b"0", b"{}", b"{" * 3_000, b"[" * 200_000]
    kinds += [b'{"a":' * 60_000 + b"1" + b"}" * 60_000, b"9" * 5_000, b"NaN", b'{"type":"user"', b"\xef\xbb\xbf{}", b"}{", b"\r"]
    for _ in range(4):
        lines.insert(chance.randrange(1, len(lines) + 1), chance.choice(kinds) + b"\n")


def windows(lines: Lines, chance: random.Random) -> None:
    lines[:] = [line.removesuffix(b"\n") + b"\r\n" for line in lines]


def huge(lines: Lines, chance: random.Random) -> None:
    """A line of ten megabytes: one long text, or very many short ones."""
    for place in _with_objects(lines, chance)[:1]:
        value = _object(lines[place]) or {}
        value["more"] = chance.choice(["y\x01" * 5_000_000, [{"k": "v" * 30}] * 250_000])
        lines[place] = _dump(value)


CHANGES: tuple[Callable[[Lines, random.Random], None], ...] = (
    glue, cut, cut_end, interrupt, double, shuffle, circle, same_ids, strange_values, strange_types, junk, windows,
)  # fmt: skip


# ---- what is checked ---------------------------------------------------------------------------------------------------------------------
def shown(store: Store, session_id: str) -> Counter[bytes]:
    """What each line with a message says: the line without its end, and the message. One without parts only ends what other lines said."""
    found: Counter[bytes] = Counter()
    lines = kept_by_seq(store, session_id)
    for event in events_of(store, session_id):
        if event.type == "message" and event.seq in lines and event.data.get("parts"):
            found[lines[event.seq].rstrip(b"\r\n") + b"\n" + said(event.data)] += 1
    return found


def said(message: dict[str, Any]) -> bytes:
    """The content of a message, without what a reader knows from other lines."""
    parts = [{name: value for name, value in part.items() if name not in {"provider", "model"}} for part in message["parts"]]
    return json.dumps([message["role"], parts], sort_keys=True).encode()


def kept_by_seq(store: Store, session_id: str) -> dict[int, bytes]:
    seqs = [event.seq for event in events_of(store, session_id) if event.source is not None]
    return dict(zip(seqs, kept_lines(store, key_of(session_id), None), strict=True))


@cache
def clean(path: Path) -> dict[bytes, Counter[bytes]]:
    """Return what each line of the untouched file says, by the line."""
    store = MemoryStore()
    by_line: dict[bytes, Counter[bytes]] = {}
    (session_id,) = Importer(store).import_file(path, format=_format_of(path).name).session_ids[:1]
    for entry, number in shown(store, session_id).items():
        line, _, message = entry.partition(b"\n")
        by_line.setdefault(line, Counter())[message] = number
    return by_line


def check(path: Path, original: Path, fmt: Format, store: Store, *, in_order: bool = True) -> None:
    """Import a changed file, and look at everything that must hold; out of order a message may lack what another line says already."""
    (file, *_) = Importer(store).import_file(path, format=fmt.name).files
    assert file.outcome == "imported", file.reason
    assert file.session_id is not None
    data = path.read_bytes()
    assert exported(store, file.session_id) == data
    check_session(store, file.session_id)
    assert Importer(store).import_file(path, format=fmt.name).files[0].outcome == "unchanged"
    said_now: dict[bytes, Counter[bytes]] = {}
    for entry, number in shown(store, file.session_id).items():
        line, _, message = entry.partition(b"\n")
        said_now.setdefault(line, Counter())[message] = number
    known = clean(original)
    everything = {said(event.data) for event in events_of(store, file.session_id) if event.type == "message" and event.data.get("parts")}
    for line in {line.rstrip(b"\r\n") for line in data.split(b"\n")}:
        if line in known:
            assert line in said_now, (path.name, "a message is missing", line[:300])
            assert not in_order or set(known[line]) <= set(said_now[line]), (
                path.name,
                "it says something else",
                line[:300],
                known[line],
                said_now[line],
            )
        else:
            glued = next(((one, line[len(one) :]) for one in known if line.startswith(one)), ())
            for message in {message for one in glued if len(glued) == 2 and glued[1] in known for message in known[one]}:
                assert message in everything, (path.name, "a glued message is missing", message[:300])


def _format_of(path: Path) -> Format:
    found = formats().detect(path)
    assert found is not None
    return found


def line_files(shared_dir: Path) -> list[Path]:
    """Files of every line format that the shared data has a file of, small ones."""
    others = sorted((shared_dir / "data" / "transcripts" / "other").rglob("*.jsonl"))
    candidates = [path for path in [*corpus(shared_dir), *others] if path.stat().st_size < SMALL_BYTES]
    found = [path for path in candidates if (fmt := formats().detect(path)) is not None and not isinstance(fmt, DocumentFormat)]
    return [path for path in found if path.read_bytes().count(b"\n") > 3]


def fuzz(seed: int, shared_dir: Path, folder: Path, count: int) -> None:
    chance = random.Random(seed)
    by_format: dict[str, list[Path]] = {}
    for path in line_files(shared_dir):
        by_format.setdefault(_format_of(path).name, []).append(path)
    assert {"claude-code", "codex"} <= set(by_format)
    for index in range(count):
        original = chance.choice(by_format[sorted(by_format)[index % len(by_format)]])
        lines = original.read_bytes().splitlines(keepends=True)
        lines[-1] = lines[-1].removesuffix(b"\n") + b"\n"
        changes = [chance.choice(CHANGES) for _ in range(chance.randint(1, 4))]
        for change in changes:
            change(lines, chance)
        path = folder / original.name
        path.write_bytes(b"".join(lines))
        try:
            check(path, original, _format_of(original), MemoryStore(), in_order=shuffle not in changes)
        except BaseException as error:
            error.add_note(f"seed {seed}, file {original}, {[change.__name__ for change in changes]}")
            raise


@pytest.mark.parametrize("seed", range(8))
def test_files_that_were_damaged_lose_nothing(seed: int, shared_dir: Path, tmp_path: Path) -> None:
    fuzz(seed, shared_dir, tmp_path, 6)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(100, 110))
def test_many_files_that_were_damaged_lose_nothing(seed: int, shared_dir: Path, tmp_path: Path) -> None:
    fuzz(seed, shared_dir, tmp_path, 60)


@pytest.mark.parametrize("seed", range(4))
def test_damaged_files_that_grow_end_as_if_they_had_come_at_once(seed: int, shared_dir: Path, tmp_path: Path) -> None:
    chance = random.Random(seed)
    for original in chance.sample(line_files(shared_dir), 4):
        lines = original.read_bytes().splitlines(keepends=True)
        lines[-1] = lines[-1].removesuffix(b"\n") + b"\n"
        for change in (chance.choice(CHANGES), chance.choice(CHANGES)):
            change(lines, chance)
        data, path, store = b"".join(lines), tmp_path / original.name, MemoryStore()
        session_id = ""
        ends = sorted(chance.sample(range(len(lines[0]) + 1, len(data)), 5))
        for end in [*ends, len(data)]:
            path.write_bytes(data[:end])
            (file, *_) = Importer(store).import_file(path, format=_format_of(original).name).files
            assert file.outcome in {"imported", "updated"}, (original, file.reason)
            session_id = str(file.session_id)
            assert exported(store, session_id) == data[:end]
        check_session(store, session_id)
        whole = MemoryStore()
        Importer(whole).import_file(path, format=_format_of(original).name)
        one, other = (head_of(each, session_id).info for each in (store, whole))
        assert (one.message_count, one.turn_count, one.usage) == (other.message_count, other.turn_count, other.usage), (seed, original)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("change", [huge])
def test_lines_of_ten_megabytes_lose_nothing(change: Callable[[Lines, random.Random], None], shared_dir: Path, tmp_path: Path) -> None:
    chance = random.Random(5)
    for name in ("claude-code", "codex"):
        original = chance.choice([path for path in line_files(shared_dir) if _format_of(path).name == name])
        for _ in range(2):
            lines = original.read_bytes().splitlines(keepends=True)
            lines[-1] = lines[-1].removesuffix(b"\n") + b"\n"
            change(lines, chance)
            path = tmp_path / original.name
            path.write_bytes(b"".join(lines))
            assert path.stat().st_size > 9_000_000
            check(path, original, _format_of(original), MemoryStore())
