"""A ``SessionStore`` for the Claude Agent SDK.

    options = ClaudeAgentOptions(session_store=TurnfoldSessionStore(client), resume=session_id)

Theory of operation. The SDK loads a session from its store into a temporary folder, lets Claude Code resume it there, and gives the store what
that appends, in batches; a batch that failed comes again. Here a batch becomes the events that an import of the same lines would give. The
id may be that of any Turnfold session: one that came from another tool is loaded as entries of Claude Code, and goes on as a session of its own.

The SDK is not imported for any of this but ``list_session_summaries``, whose content is the SDK's own.
"""

from __future__ import annotations

from collections import OrderedDict
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from turnfold.client_async import AsyncClient
    from turnfold.model.session import SessionInfo

SUMMARIES_MAX = 1000
"""Summaries that are remembered, so that only sessions that have changed are read again."""


class TurnfoldSessionStore:
    """Sessions of the Claude Agent SDK in a Turnfold store, in the client's tenant and owner. It works under asyncio.

    Keys, entries and lists are the SDK's: see its ``SessionStore``.
    """

    def __init__(self, client: AsyncClient) -> None:
        """Bind a client, which the caller closes."""
        self._transcripts = client.transcripts()
        self._summaries: OrderedDict[str, tuple[str, int, dict[str, Any]]] = OrderedDict()

    async def append(self, key: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> None:
        """Append a batch. Entries whose ``uuid`` is there already are left out, so that a batch may come twice."""
        await self._transcripts.append(key["project_key"], key["session_id"], entries, subpath=key.get("subpath") or "")

    async def load(self, key: Mapping[str, Any]) -> list[Any] | None:
        """Return all entries, or None where there is no session of that id."""
        return await self._transcripts.load(key["project_key"], key["session_id"], subpath=key.get("subpath") or "")

    async def list_sessions(self, project_key: str) -> list[Any]:
        """Return the sessions that the SDK keeps here for a project: their ids and the time of their last entry in milliseconds."""
        return [{"session_id": _native_id(info), "mtime": _mtime(info)} for info in await self._transcripts.sessions(project_key)]

    async def list_session_summaries(self, project_key: str) -> list[Any]:
        """Return the SDK's own summaries of those sessions; they follow from the entries, and are made anew where there are new ones."""
        found: list[Any] = []
        for info in await self._transcripts.sessions(project_key):
            data = await self._summary(project_key, info)
            found.append({"session_id": _native_id(info), "mtime": _mtime(info), "data": data})
        return found

    async def delete(self, key: Mapping[str, Any]) -> None:
        """Delete what the SDK keeps here under a key, a main transcript with its subagents'. Sessions that came another way stay."""
        await self._transcripts.delete(key["project_key"], key["session_id"], subpath=key.get("subpath") or "")

    async def list_subkeys(self, key: Mapping[str, Any]) -> list[str]:
        """Return the subpaths of a session's subagents."""
        return await self._transcripts.subpaths(key["project_key"], key["session_id"])

    async def _summary(self, project_key: str, info: SessionInfo) -> dict[str, Any]:
        known = self._summaries.get(info.id)
        if known is None or known[:2] != (info.incarnation, info.last_seq):
            fold = import_module("claude_agent_sdk").fold_session_summary
            key: Any = {"project_key": project_key, "session_id": _native_id(info)}
            entries: Any = await self.load(key) or []
            known = (info.incarnation, info.last_seq, dict(fold(None, key, entries)["data"]))
            self._summaries[info.id] = known
            if len(self._summaries) > SUMMARIES_MAX:
                self._summaries.popitem(last=False)
        return dict(known[2])


def _native_id(info: SessionInfo) -> str:
    return str((info.native or {}).get("id"))


def _mtime(info: SessionInfo) -> int:
    return info.updated_at_us // 1000
