"""The genuine Claude Agent SDK keeps its sessions in a Turnfold store, and resumes any session out of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from tools.genuine.clis import CLAUDE_TOOLS
from tools.genuine.script import DONE
from tools.genuine.sent import sent_of
from tools.genuine.server import ScriptedModel

from tests.genuine.conftest import new_claude
from tests.genuine.sessions import CODEX, as_objects, carried, compared, corpus_file, session_in
from turnfold import AsyncClient, connect_async
from turnfold.engine.converting import convert
from turnfold.formats.claude_code.writer import ClaudeCodeWriter
from turnfold.formats.loss import LossReport
from turnfold.integrations.claude_agent_sdk import TurnfoldSessionStore

pytestmark = pytest.mark.genuine
PROMPT = "And now, what is left?"
URLS = {"memory": "memory://", "sqlite": "sqlite:///{}/s.db", "files": "files:///{}/store"}


@pytest.mark.parametrize("kind", URLS)
def test_the_sdks_own_suite_of_contracts_holds(kind: str, tmp_path: Path) -> None:
    testing = pytest.importorskip("claude_agent_sdk.testing")

    async def run() -> None:
        async with AsyncExitStack() as stack:
            count = 0

            async def fresh() -> TurnfoldSessionStore:
                nonlocal count
                count += 1
                folder = tmp_path / str(count)
                folder.mkdir()
                return TurnfoldSessionStore(await stack.enter_async_context(connect_async(URLS[kind].format(folder))))

            await testing.run_session_store_conformance(fresh)
            assert count >= 14  # a store for each contract: none was left out

    asyncio.run(run())


@pytest.mark.parametrize("part", CODEX)
def test_the_sdk_resumes_a_session_of_codex_and_what_it_adds_is_in_the_store(
    part: str, shared_dir: Path, model: ScriptedModel, tmp_path: Path
) -> None:
    sdk = pytest.importorskip("claude_agent_sdk")
    cli = new_claude(model, tmp_path)

    async def run(client: AsyncClient) -> str:
        imported = await client.import_files([corpus_file(shared_dir, "codex", part)])
        session_id = imported.session_ids[0]
        store = TurnfoldSessionStore(client)
        options = sdk.ClaudeAgentOptions(
            session_store=store,
            resume=session_id,
            cwd=cli.project,
            cli_path=cli.program,
            env=cli.environ,
            allowed_tools=CLAUDE_TOOLS.split(),
        )
        ended = [message async for message in said(sdk, options) if isinstance(message, sdk.ResultMessage)]
        assert [(one.is_error, one.session_id) for one in ended] == [(False, session_id)]
        assert not list((cli.home / ".claude").rglob(f"{session_id}.jsonl")), "a file was left in the tool's folder"
        (listed,) = await client.transcripts().sessions(sdk.project_key_for_directory(str(cli.project)))
        assert (listed.parent or {})["session_id"] == session_id
        texts = [message.text for message in await (await client.open(listed.id, create=False)).messages() if not message.synthetic]
        assert texts[texts.index(PROMPT) :] == [PROMPT, DONE]
        (info,) = await sdk.list_sessions_from_store(store, directory=str(cli.project))
        assert info.session_id == session_id
        return session_id

    async def whole() -> None:
        async with connect_async("memory://") as client:
            session = session_in(client.store, await run(client))
            losses = LossReport()
            b"".join(convert(ClaudeCodeWriter(), session.conversation, losses))
            expected = as_objects(carried(session, losses, "claude-code"))
            assert compared(expected, sent_of(model.conversations()[0])).faults == []

    asyncio.run(whole())


async def said(sdk: Any, options: Any) -> AsyncIterator[Any]:
    """Ask the one prompt of these tests."""
    async for message in sdk.query(prompt=PROMPT, options=options):
        yield message
