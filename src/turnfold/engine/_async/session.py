"""The session handle that users hold."""

from __future__ import annotations

from turnfold.engine._async.state import AsyncStateful


class AsyncSession(AsyncStateful):
    """One session, floating on its active branch or pinned to one.

    Made by ``AsyncClient.open``. Holds no messages: every read asks the store, every write is one commit.
    """
