"""A client's transcripts: sessions that another program keeps here entry by entry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from turnfold.engine.bridge_async import AsyncBridge
from turnfold.engine.context import Context
from turnfold.engine.importing.batch import Target
from turnfold.engine.transcripts import TranscriptKeeper, TranscriptKey

if TYPE_CHECKING:
    from turnfold.model.session import SessionInfo


class AsyncTranscripts:
    """Transcripts of the Claude Agent SDK; made by ``transcripts()`` of a client.

    Each is named by a project, a session id and, for a subagent's, a subpath. Its entries are lines of Claude Code's session files.
    """

    def __init__(self, context: Context[AsyncBridge]) -> None:
        """Bind a client's store and scope."""
        self._context = context
        target = Target(store=context.store, tenant=context.tenant, owner=context.owner, hmac_key=context.key)
        self._transcripts = TranscriptKeeper(target)

    async def append(self, project: str, session_id: str, entries: Sequence[Mapping[str, Any]], *, subpath: str = "") -> None:
        """Append entries; those whose ``uuid`` is there already are left out.

        Raises:
            InvalidInput: An entry is no JSON object.
            SessionClosed: The session takes no more events.
        """
        await self._context.bridge.call(self._transcripts.append, TranscriptKey(project, session_id, subpath), entries)
        self._context.upkeep.touched()

    async def load(self, project: str, session_id: str, *, subpath: str = "") -> list[dict[str, Any]] | None:
        """Return a transcript's entries in order. A session of that id that came another way is written as such; None where there is none."""
        return await self._context.bridge.call(self._transcripts.load, TranscriptKey(project, session_id, subpath))

    async def sessions(self, project: str) -> list[SessionInfo]:
        """Return the sessions of a project's main transcripts; ``native["id"]`` is the id that the other program knows."""
        return await self._context.bridge.call(self._transcripts.sessions, project)

    async def subpaths(self, project: str, session_id: str) -> list[str]:
        """Return the subpaths of a transcript's subagents."""
        return await self._context.bridge.call(self._transcripts.subpaths, project, session_id)

    async def delete(self, project: str, session_id: str, *, subpath: str = "") -> None:
        """Delete a transcript, a main one with its subagents'. A session that came another way stays; deleting nothing is no error."""
        await self._context.bridge.call(self._transcripts.delete, TranscriptKey(project, session_id, subpath))
