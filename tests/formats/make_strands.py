"""Drives genuine Strands agents, offline, with each of its session managers: ``python make_strands.py FOLDER``.

Needs ``strands-agents``. Without an argument after the folder it writes the layouts; with ``record`` it writes them as the tests' recorded file.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from strands import Agent, tool
from strands.agent.conversation_manager import SlidingWindowConversationManager
from strands.models.model import Model
from strands.session.file_session_manager import FileSessionManager
from strands.session.snapshot_session_manager import SnapshotSessionManager
from strands.storage.local_file_storage import LocalFileStorage

PICTURE = b"\x89PNG\r\n\x1a\n"
CALLS = [("t1", {"city": "Paris"}), ("t2", {"city": "Rome"})]


class Scripted(Model):  # type: ignore[misc]  # the package is not installed where types are checked
    """A model that says what it was told to, in order."""

    def __init__(self) -> None:
        self.turns: list[tuple[list[dict[str, Any]], str]] = [
            ([{"reasoning": "two cities"}, {"text": "I look."}, *({"call": call} for call in CALLS)], "tool_use"),
            ([{"text": "Sunny in both."}], "end_turn"),
            ([{"text": "A picture."}], "end_turn"),
            ([{"text": "Good bye."}], "end_turn"),
        ]

    def update_config(self, **_config: Any) -> None:
        pass

    def get_config(self) -> dict[str, Any]:
        return {"model_id": "scripted"}

    async def structured_output(self, *_args: Any, **_options: Any) -> AsyncGenerator[dict[str, Any], None]:
        yield {}

    async def stream(self, *_args: Any, **_options: Any) -> AsyncGenerator[dict[str, Any], None]:
        blocks, stop = self.turns.pop(0)
        yield {"messageStart": {"role": "assistant"}}
        for block in blocks:
            start = {}
            if "call" in block:
                start = {"toolUse": {"toolUseId": block["call"][0], "name": "weather"}}
            yield {"contentBlockStart": {"start": start}}
            for delta in _deltas(block):
                yield {"contentBlockDelta": {"delta": delta}}
            yield {"contentBlockStop": {}}
        yield {"messageStop": {"stopReason": stop}}
        yield {"metadata": {"usage": {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15}, "metrics": {"latencyMs": 1}}}


def _deltas(block: dict[str, Any]) -> list[dict[str, Any]]:
    if "text" in block:
        return [{"text": block["text"]}]
    if "reasoning" in block:
        return [{"reasoningContent": {"text": block["reasoning"]}}, {"reasoningContent": {"signature": "c2lnbmF0dXJl"}}]
    return [{"toolUse": {"input": json.dumps(block["call"][1])}}]


@tool  # type: ignore[untyped-decorator]
def weather(city: str) -> str:
    """Say what the weather is.

    Args:
        city: Where.
    """
    return f"sunny in {city}"


def agent(name: str, manager: Any, window_size: int = 40) -> Agent:
    return Agent(
        model=Scripted(),
        tools=[weather],
        session_manager=manager,
        conversation_manager=SlidingWindowConversationManager(window_size=window_size),
        agent_id=name,
        state={"language": "fr"},
        system_prompt="Be brief.",
        callback_handler=None,
    )


def talk(one: Agent, turn_count: int = 3) -> None:
    prompts: list[Any] = ["What is the weather?", [{"text": "Look."}, {"image": {"format": "png", "source": {"bytes": PICTURE}}}], "Bye."]
    for prompt in prompts[:turn_count]:
        one(prompt)


def make(folder: Path) -> None:
    """Write one session of each manager; the file manager's has a second agent."""
    manager = FileSessionManager("trip", storage_dir=str(folder / "sessions"))
    talk(agent("guide", manager))
    talk(agent("porter", manager), 1)
    manager = FileSessionManager("guarded", storage_dir=str(folder / "sessions"))
    guarded = agent("default", manager)
    talk(guarded, 2)
    guarded.messages.append({"role": "user", "content": [{"text": "the secret"}]})
    manager.append_message(guarded.messages[-1], guarded)
    manager.redact_latest_message({"role": "user", "content": [{"text": "[taken out]"}]}, guarded)
    storage = LocalFileStorage(str(folder / "snapshots"))
    talk(agent("default", SnapshotSessionManager("trip", storage=storage, snapshot_trigger=lambda **_data: True), window_size=4))
    back = SnapshotSessionManager("went-back", storage=storage, snapshot_trigger=lambda **_data: True)
    one = agent("default", back)
    talk(one)
    ids = asyncio.run(back.list_snapshot_ids(one))
    asyncio.run(back.restore_snapshot(one, snapshot_id=ids[0]))
    one.model.turns = [([{"text": "Another way."}], "end_turn")]
    one("Something else.")


def record(folder: Path, target: Path) -> None:
    files = {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*.json"))}
    target.write_text(json.dumps(files, indent=1) + "\n")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
    if len(sys.argv) > 2:
        record(Path(sys.argv[1]), Path(__file__).parent / "recorded" / "strands.json")
