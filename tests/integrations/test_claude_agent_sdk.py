"""The session store for the Claude Agent SDK, by the SDK's keys, without the SDK."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.integrations.test_transcripts import CODEX_ID, NEW_ID, PROJECT, SAMPLE, said, url_of
from turnfold import connect_async
from turnfold.integrations.claude_agent_sdk import TurnfoldSessionStore

KEY = {"project_key": PROJECT, "session_id": NEW_ID}


def test_keys_and_lists_are_the_sdks(tmp_path: Path) -> None:
    async def run() -> None:
        async with connect_async(url_of("sqlite", tmp_path)) as client:
            store = TurnfoldSessionStore(client)
            assert await store.load(KEY) is None
            await store.append(KEY, [said("One.", "1")])
            await store.append({**KEY, "subpath": "subagents/agent-a"}, [said("Look.", "2")])
            assert await store.load(KEY) == [said("One.", "1")]
            assert await store.list_subkeys(KEY) == ["subagents/agent-a"]
            assert await store.list_sessions(PROJECT) == [{"session_id": NEW_ID, "mtime": 1_798_761_600_000}]
            await store.delete({**KEY, "subpath": "subagents/agent-a"})
            assert await store.list_subkeys(KEY) == []
            await store.delete(KEY)
            assert await store.list_sessions(PROJECT) == []

    asyncio.run(run())


def test_a_session_of_codex_goes_on_under_its_own_id(tmp_path: Path) -> None:
    async def run() -> None:
        async with connect_async(url_of("sqlite", tmp_path)) as client:
            await client.import_files([SAMPLE / "codex"])
            store = TurnfoldSessionStore(client)
            key = {"project_key": PROJECT, "session_id": CODEX_ID}
            loaded = await store.load(key)
            assert loaded
            await store.append(key, [said("Go on.", "1", loaded[-1].get("uuid"))])
            assert await store.load(key) == [*loaded, said("Go on.", "1", loaded[-1].get("uuid"))]
            assert [one["session_id"] for one in await store.list_sessions(PROJECT)] == [CODEX_ID]

    asyncio.run(run())


def test_batches_at_once_are_all_kept(tmp_path: Path) -> None:
    async def run() -> None:
        async with connect_async(url_of("sqlite", tmp_path)) as client:
            store = TurnfoldSessionStore(client)
            batches = [[said(f"{number}", f"{number}"), {"type": "mode", "mode": str(number)}] for number in range(20)]
            await asyncio.gather(*(store.append(KEY, batch) for batch in batches))
            loaded = await store.load(KEY)
            assert loaded is not None
            assert sorted(map(str, loaded)) == sorted(str(entry) for batch in batches for entry in batch)
            for batch in batches:
                place = loaded.index(batch[0])
                assert loaded[place : place + 2] == batch

    asyncio.run(run())
