"""Deterministic agent conversations: turns of a user text, a tool call, its result and an answer, with the sizes that real sessions have.

User texts take 50 to 500 bytes, answers 200 to 3,000, tool calls 60 to 900, tool results 100 to 16,384 with a log-normal tail; an item is
about 1.2 KB as compact JSON. One to two per cent of the words are not ASCII.
"""

from __future__ import annotations

import json
import random
from functools import lru_cache
from typing import Any, Literal

import msgspec

Kind = Literal["user", "call", "result", "answer"]

_SYLLABLES = [
    "an",
    "ar",
    "be",
    "ca",
    "de",
    "el",
    "fo",
    "ga",
    "hi",
    "in",
    "jo",
    "ka",
    "lu",
    "me",
    "no",
    "or",
    "pa",
    "qui",
    "ro",
    "sa",
    "te",
    "ur",
    "vi",
    "wo",
    "xe",
    "yo",
    "zu",
    "str",
    "pla",
    "ion",
    "est",
    "ing",
]
_FOREIGN = ("naïve", "größer", "café", "niño", "東京", "данные", "→", "🙂", "≤", "„so“")
_TOOLS = ("read_file", "grep", "run_tests", "fetch_url", "query_db", "list_folder", "apply_patch")


class Item(msgspec.Struct, frozen=True):
    """One neutral item; every contestant turns it into its own message before the clock starts, and back after it stopped."""

    kind: Kind
    text: str = ""
    call_id: str = ""
    tool: str = ""
    value: Any = None


@lru_cache(maxsize=1)
def _words() -> tuple[str, ...]:
    dice = random.Random(20)
    return tuple(sorted({"".join(dice.choices(_SYLLABLES, k=dice.randint(1, 4))) for _ in range(3_000)}))


def _prose(dice: random.Random, size_bytes: int) -> str:
    words = _words()
    out: list[str] = []
    size = 0
    while size < size_bytes:
        kind = dice.random()
        word = dice.choice(words)
        if kind < 0.014:
            word = dice.choice(_FOREIGN)
        elif kind < 0.03:
            word = f"`{word}()`"
        elif kind < 0.05:
            word += ".\n"
        elif kind < 0.06:
            word = f'"{word}"'
        out.append(word)
        size += len(word.encode()) + 1
    return " ".join(out).encode()[:size_bytes].decode("utf-8", "ignore")


def _found(dice: random.Random, size_bytes: int) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    size = 40
    while size < size_bytes:
        row = {
            "path": f"src/{dice.choice(_words())}.py",
            "line": dice.randint(1, 5_000),
            "score": round(dice.random(), 4),
            "text": _prose(dice, min(max(20, size_bytes - size - 70), dice.randint(40, 160))),
        }
        rows.append(row)
        size += len(json.dumps(row, ensure_ascii=False).encode())
    return {"ok": True, "exit_code": 0, "matches": rows}


@lru_cache(maxsize=4)
def conversation(count: int, seed: int = 1) -> tuple[Item, ...]:
    """Make the first ``count`` items of a conversation; a shorter one of the same seed is its beginning."""
    dice = random.Random(seed)
    items: list[Item] = []
    while len(items) < count:
        call_id = f"call_{dice.getrandbits(96):024x}"
        tool = dice.choice(_TOOLS)
        arguments = {"path": f"src/{dice.choice(_words())}", "query": _prose(dice, dice.randint(20, 400)), "limit": dice.randint(1, 100)}
        result_bytes = int(min(16_384, max(100, dice.lognormvariate(7.35, 0.95))))
        items += (
            Item("user", _prose(dice, dice.randint(50, 500))),
            Item("call", call_id=call_id, tool=tool, value=arguments),
            Item("result", call_id=call_id, tool=tool, value=_found(dice, result_bytes)),
            Item("answer", _prose(dice, int(min(3_000, max(200, dice.lognormvariate(6.85, 0.7)))))),
        )
    return tuple(items[:count])


def repeated(count: int) -> list[Item]:
    """Items for runs longer than anybody wants to hold in memory: a conversation of 2,000 over and over."""
    base = conversation(min(count, 2_000))
    return [base[index % len(base)] for index in range(count)]


def note(writer: int, index: int) -> Item:
    """The ``index``-th short user text of a writer, recognisable again by its first word."""
    dice = random.Random(writer * 1_000_003 + index)
    return Item("user", f"w{writer}:{index} {_prose(dice, dice.randint(50, 300))}")


def openai_items(items: list[Item] | tuple[Item, ...]) -> list[dict[str, Any]]:
    """The items in the shape of the OpenAI Responses API, which two of the peers take."""
    out: list[dict[str, Any]] = []
    for index, item in enumerate(items):
        if item.kind == "user":
            out.append({"role": "user", "content": item.text})
        elif item.kind == "answer":
            content = [{"type": "output_text", "text": item.text, "annotations": []}]
            out.append({"id": f"msg_{index:08x}", "type": "message", "role": "assistant", "status": "completed", "content": content})
        elif item.kind == "call":
            arguments = json.dumps(item.value, ensure_ascii=False)
            out.append({"type": "function_call", "call_id": item.call_id, "name": item.tool, "arguments": arguments, "status": "completed"})
        else:
            output = json.dumps(item.value, ensure_ascii=False)
            out.append({"type": "function_call_output", "call_id": item.call_id, "output": output})
    return out


def from_openai(stored: list[dict[str, Any]]) -> list[Item]:
    """The items again; a result takes its tool's name from its call, where the call was read too."""
    tools: dict[str, str] = {}
    out: list[Item] = []
    for entry in stored:
        kind = entry.get("type")
        if kind == "function_call":
            tools[entry["call_id"]] = entry["name"]
            out.append(Item("call", call_id=entry["call_id"], tool=entry["name"], value=json.loads(entry["arguments"])))
        elif kind == "function_call_output":
            tool = tools.get(entry["call_id"], "")
            out.append(Item("result", call_id=entry["call_id"], tool=tool, value=json.loads(entry["output"])))
        elif kind == "message":
            out.append(Item("answer", entry["content"][0]["text"]))
        else:
            out.append(Item("user", entry["content"]))
    return out


def equal(got: list[Item], want: list[Item] | tuple[Item, ...]) -> bool:
    """Whether what was read is what was written; the tool's name of a result is compared only where it was kept."""
    if len(got) != len(want):
        return False
    return all(
        mine == other or (not mine.tool and msgspec.structs.replace(other, tool="") == mine) for mine, other in zip(got, want, strict=True)
    )
