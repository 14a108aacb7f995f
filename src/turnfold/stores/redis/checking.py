"""Looking for damage that the store can see by itself, and facts about the server."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from turnfold.model.query import CheckReport
from turnfold.model.session import SessionKey
from turnfold.stores.redis.address import Address
from turnfold.stores.redis.claims import listed_of
from turnfold.stores.redis.keys import E, H, P, unpack_session
from turnfold.stores.redis.links import command
from turnfold.stores.redis.rows import decode_head
from turnfold.stores.redis.settings import ask_settings, judge
from turnfold.stores.redis.writing import Room

CHUNK: Final = b"500"
Facts = dict[str, str | int | float | bool]


def check_store(room: Room, address: Address) -> CheckReport:
    """Compare each session's head with its log and its list entry, and say what the servers keep."""
    problems: list[str] = []
    kept = judge(ask_settings(room.links), address.durability)
    facts: Facts = {"server": address.name, **_server_facts(room), **kept.facts}
    if kept.worries:
        facts["durability"] = "; ".join(kept.worries)
    session_count = event_count = 0
    for keys in _sessions(room):
        calls = [command(name, room.names.one(key, place), *more) for key in keys for name, place, *more in _LOOKS]
        answers = room.links.all(calls)
        found = [(key, decode_head(answers[3 * at])) for at, key in enumerate(keys) if answers[3 * at] is not None]
        rows = [answers[3 * at + 1 : 3 * at + 3] for at in range(len(keys)) if answers[3 * at] is not None]
        looks = [command(b"ZSCORE", room.names.listing(key.tenant, head.kind), listed_of(key, head).member()) for key, head in found]
        for (key, head), (length, incarnation), score in zip(found, rows, room.links.all(looks), strict=True):
            session_count += 1
            event_count += length
            if length != head.last_seq:
                problems.append(f"session {key.session_id!r}: its head is at seq {head.last_seq}, its log has {length} places")
            if incarnation is None or incarnation.decode() != head.incarnation:
                problems.append(f"session {key.session_id!r}: its head and its rows are of different creations")
            if score is None:
                problems.append(f"session {key.session_id!r}: it is missing in the list of its tenant")
    facts["session_count"], facts["event_count"] = session_count, event_count
    return CheckReport(tuple(problems), facts)


_LOOKS: Final = ((b"GET", H), (b"LLEN", E), (b"HGET", P, b"inc"))


def _sessions(room: Room) -> Iterator[list[SessionKey]]:
    cursor = b"0"
    seen: set[bytes] = set()
    while True:
        cursor, flat = room.links.one(command(b"ZSCAN", room.names.changed, cursor, b"COUNT", CHUNK))
        members = [member for member in flat[::2] if member not in seen]
        seen.update(members)
        yield [unpack_session(member) for member in members]
        if cursor == b"0":
            return


def _server_facts(room: Room) -> Facts:
    """Version, memory and number of masters; nothing where the server does not tell."""
    nodes = room.links.masters()
    facts: Facts = {"node_count": len(nodes)}
    size = 0
    for node in nodes:
        answer = room.links.ask(node, b"INFO")
        if isinstance(answer, Exception):
            return facts
        info = dict(line.split(":", 1) for line in answer.decode(errors="replace").splitlines() if ":" in line)
        size += int(info.get("used_memory", 0))
        name = "valkey_version" if "valkey_version" in info else "redis_version"
        facts[name] = info.get(name, "")
    facts["used_memory_bytes"] = size
    return facts
