"""What the servers are set to do with what they acknowledge. A store claims no more than they say; what cannot be asked is not claimed."""

from __future__ import annotations

import inspect
import warnings
from types import FrameType
from typing import Final

import msgspec

from turnfold.errors import DurabilityWarning
from turnfold.ports.store import DURABLE, DURABLE_ON_ACK
from turnfold.stores.redis.address import Node
from turnfold.stores.redis.links import Links

ASKED: Final = ("appendonly", "appendfsync", "save", "maxmemory", "maxmemory-policy")
UNKNOWN: Final = "unknown"


class Kept(msgspec.Struct, frozen=True):
    """What the servers keep.

    Attributes:
        capabilities: What may be claimed.
        facts: For ``check``.
        worries: What the caller should know, one sentence each, the worst first; each names a setting.
    """

    capabilities: frozenset[str]
    facts: dict[str, str | int | float | bool]
    worries: tuple[str, ...]


def ask_settings(links: Links) -> dict[Node, dict[str, str]]:
    """Ask every master for the settings that matter; what it does not tell is ``unknown``."""
    return {node: {name: _setting(links, node, name) for name in ASKED} for node in links.masters()}


def _setting(links: Links, node: Node, name: str) -> str:
    answer = links.ask(node, b"CONFIG", b"GET", name.encode())
    if isinstance(answer, Exception) or len(answer) < 2:
        return UNKNOWN
    return str(answer[1].decode())


def judge(settings: dict[Node, dict[str, str]], durability: str) -> Kept:
    """Say what may be claimed of servers with these settings, and what falls short of the durability that the caller expects."""
    joined = {name: _joined(settings, name) for name in ASKED}
    log, sync, policy = joined["appendonly"], joined["appendfsync"], joined["maxmemory-policy"]
    capabilities: set[str] = set()
    worries: list[str] = []
    if log == "yes":
        capabilities.add(DURABLE)
        if sync == "always":
            capabilities.add(DURABLE_ON_ACK)
        elif durability == "full":
            worries.append(f"appendfsync is {sync}: a power loss may take the last commits (set appendfsync always)")
    elif log == UNKNOWN and durability != "none":
        worries.append("appendonly is unknown, because the server does not tell its settings (CONFIG GET): durability is not claimed")
    elif durability != "none":
        lost = "what was written since the last snapshot" if joined["save"] not in {"", UNKNOWN} else "everything"
        worries.append(f"appendonly is {log}: a restart loses {lost} (set appendonly yes and appendfsync always)")
    if policy not in {"noeviction", UNKNOWN} and durability != "none":
        worries.append(f"maxmemory-policy is {policy}: a full server throws sessions away (set maxmemory-policy noeviction)")
    facts: dict[str, str | int | float | bool] = {name.replace("-", "_"): value for name, value in joined.items() if name != "save"}
    return Kept(frozenset(capabilities), facts, tuple(worries))


def _joined(settings: dict[Node, dict[str, str]], name: str) -> str:
    """One value for all nodes: theirs where they agree, else all of them."""
    return " / ".join(sorted({values[name] for values in settings.values()}))


def warn(name: str, worries: tuple[str, ...]) -> None:
    """Warn once of all that falls short, at the line outside of this package that opened the store."""
    if worries:
        warnings.warn(f"{name} is not durable: {'; '.join(worries)}", DurabilityWarning, stacklevel=_callers_level())


def _callers_level() -> int:
    frame: FrameType | None = inspect.currentframe()
    level = 0
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] == __package__.partition(".")[0]:
        frame = frame.f_back
        level += 1
    return level
