"""The session's title: what the user called it, else what the tool did, else the last summary of this very conversation, else its first prompt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from turnfold.formats.lines import title_of

PENDING_MAX = 32
"""Summaries whose leaf has not been seen; most belong to other files."""
TITLE_CHARS_MAX = 500
_RANKS = {"summary": ("summary", 1), "ai-title": ("aiTitle", 2), "custom-title": ("customTitle", 3)}


class Titles:
    """The best title so far."""

    def __init__(self, state: dict[str, Any]) -> None:
        self._rank: int = state.get("rank", 0)
        self._pending: dict[str, str] = dict(state.get("pending", ()))
        self._late: str | None = state.get("late")
        self._prompt: str | None = state.get("prompt")

    def state(self) -> dict[str, Any]:
        """Plain JSON types to begin with another time."""
        return {"rank": self._rank, "pending": list(self._pending.items()), "late": self._late, "prompt": self._prompt}

    def read(self, kind: str, line: dict[str, Any], place: Callable[[str], Any]) -> str | None:
        """Return the title that a line gives the session, or None if another one is better or the line is about another file."""
        field, rank = _RANKS[kind]
        title = line.get(field)
        if type(title) is not str or rank < self._rank:
            return None
        if kind == "summary":
            leaf = line.get("leafUuid")
            if type(leaf) is not str:
                return None
            if place(leaf) is None:
                self._pending.pop(leaf, None)
                self._pending[leaf] = title
                if len(self._pending) > PENDING_MAX:
                    del self._pending[next(iter(self._pending))]
                return None
        self._rank, self._late = rank, None
        return title[:TITLE_CHARS_MAX]

    def saw(self, uuid: str) -> None:
        """Notice a line that an earlier summary was about."""
        if self._pending and uuid in self._pending:
            title = self._pending.pop(uuid)
            if self._rank <= 1:
                self._late = title

    def typed(self, text: str) -> None:
        """Notice a prompt; the first with words of its own is the title where there is no other."""
        if self._prompt is None and not text.startswith("<"):
            self._prompt = title_of(text)

    def take(self) -> str | None:
        """Return a title that no line gave: a summary's whose line came after it, or the first prompt; each once."""
        title, self._late = self._late, None
        if title is not None:
            self._rank = 1
            return title[:TITLE_CHARS_MAX]
        if self._rank == 0 and self._prompt:
            title, self._prompt = self._prompt, ""
        return title
