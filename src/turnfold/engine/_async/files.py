"""Files in and out: what a client does with other tools' sessions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from time import monotonic
from typing import TYPE_CHECKING

from turnfold.engine.bridge_async import AsyncBridge
from turnfold.engine.context import Context
from turnfold.ids import check_session_id
from turnfold.limits import FOLLOW_FILES_STEP_S

if TYPE_CHECKING:  # what a client needs only when it is asked for it is imported there
    from pathlib import Path

    from turnfold.engine._async.transcripts import AsyncTranscripts
    from turnfold.engine.exporter import ExportedFile
    from turnfold.engine.importer import FileImport, Importer, ImportResult, ProgressCallback


class AsyncFiles:
    """The part of a client that reads and writes files."""

    _context: Context[AsyncBridge]

    async def import_files(
        self,
        paths: Iterable[Path | str] | None = None,
        *,
        format: str | None = None,
        tags: Iterable[str] = (),
        progress: ProgressCallback | None = None,
    ) -> ImportResult:
        """Bring in other tools' session files; what is there already is not brought in twice.

        Args:
            paths: Files and folders; None takes what ``discover_files`` finds.
            format: Read all files as this format, e.g. ``codex``; None looks at each file's content.
            tags: Of new sessions.
            progress: Called after each batch, in the thread that reads.

        Raises:
            NotSupported: There is no such format.
        """
        result = await self._context.bridge.call(self._importer(tags).import_tree, paths, format, progress)
        self._context.upkeep.touched()
        return result

    async def follow_files(
        self,
        paths: Iterable[Path | str] | None = None,
        *,
        format: str | None = None,
        tags: Iterable[str] = (),
        wait_s: float | None = None,
        note: Callable[[str], None] | None = None,
    ) -> AsyncIterator[FileImport]:
        """Bring in other tools' session files, and then what is written to them, as it is written.

        Of several processes that follow the same files on a machine one does it; the next takes over when it ends.

        Args:
            paths: Files and folders, there or not yet; None follows the folders where installed tools keep their sessions.
            format: Read all files as this format; None looks at each file's content.
            tags: Of new sessions.
            wait_s: End when nothing came for so long; None goes on for ever.
            note: Told who follows, when that changes; in the thread that reads.

        Raises:
            NotSupported: There is no such format.
        """
        follower = await self._context.bridge.call(self._importer(tags).follow, paths, format, note)
        quiet_since = monotonic()
        try:
            while wait_s is None or monotonic() - quiet_since < wait_s:
                for file in await self._context.bridge.call(follower.next, FOLLOW_FILES_STEP_S):
                    yield file
                    quiet_since = monotonic()
                    self._context.upkeep.touched()
        finally:
            await self._context.bridge.call(follower.close)

    async def discover_files(self) -> list[tuple[str, Path]]:
        """Return (format, path) of the session files that installed tools have left in their usual places."""
        found = await self._context.bridge.call(self._importer(()).discover)
        return [(known.name, path) for known, path in found]

    async def export(
        self,
        session_id: str,
        path: Path | str,
        *,
        format: str = "bundle",
        branch: str = "",
        owner: str | None = None,
        overwrite: bool = False,
    ) -> list[ExportedFile]:
        """Write a session to a file; its events and what belongs to them, never a half-written file.

        Args:
            session_id: The session.
            path: The file; for a tool's format also a folder, which gets the subagents' files too, named as the tool names them.
            format: ``bundle`` (lossless, with subagents' sessions), ``jsonl``, the tool's format that the session came from (it comes out as
                it came in), or another format to write it in; what that cannot hold is in ``ExportedFile.losses``.
            branch: The branch that is written in another format; empty is the active one.
            owner: Whose session.
            overwrite: Replace files that are there.

        Raises:
            NotSupported: The session did not come from that format, and it is none that others can be written in.
            AlreadyExists: A file is there already.
        """
        from pathlib import Path

        from turnfold.engine.exporter import Exporter

        context = self._context
        exporter = Exporter(context.store, context.tenant, context.scope(owner))
        return await context.bridge.call(
            exporter.write, check_session_id(session_id), Path(path), format, branch=branch, overwrite=overwrite
        )

    def transcripts(self) -> AsyncTranscripts:
        """Return what keeps sessions of the Claude Agent SDK here; keep it for as long as they go on, it remembers their ends."""
        from turnfold.engine._async.transcripts import AsyncTranscripts

        return AsyncTranscripts(self._context)

    def _importer(self, tags: Iterable[str]) -> Importer:
        from turnfold.engine.importer import Importer

        context = self._context
        return Importer(context.store, context.tenant, context.owner, hmac_key=context.key, tags=tags)
