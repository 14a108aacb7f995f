"""What the scripted model answers. A scene is a list of answers for the prompt that holds its marker; the newest marker in a request wins.

The state is a count of answers given per marker, so a program may interleave the scenes (a subagent inside a turn) as it likes. Requests
without tools are the program's side business (titles, summaries, probes): they never use up a scene.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

DONE = "Nothing is left to do."
SUMMARY = "<summary>The user asked for the scenario; every step of it ran.</summary>"


@dataclass(frozen=True)
class Call:
    """A tool call, by the tool's own name. A text as ``arguments`` makes it a free-text call where the API has them."""

    name: str
    arguments: dict[str, Any] | str
    namespace: str = ""


@dataclass(frozen=True)
class Search:
    """A search for tools that are not offered, by the API's own kind of call (OpenAI alone has one)."""

    query: str


@dataclass(frozen=True)
class Shell:
    """A shell command, said with whatever shell tool the program offers."""

    command: str


@dataclass(frozen=True)
class Answer:
    """One answer of the model: reasoning, then text, then calls.

    Attributes:
        text: What it says.
        calls: What it calls, all at once.
        reasoning: What it thought; signed or encrypted as the API does it.
        input_tokens: What it claims to have read. A large number makes the program compact.
    """

    text: str = ""
    calls: tuple[Call | Shell | Search, ...] = ()
    reasoning: str = ""
    input_tokens: int = 1_000


class Script:
    """Scenes by marker."""

    def __init__(self, scenes: Mapping[str, Sequence[Answer]] | None = None) -> None:
        """Take the scenes; without one every request is answered with a closing text."""
        self._scenes = dict(scenes or {})
        self._given: dict[str, int] = {}
        self._lock = threading.Lock()

    def answer(self, prompts: Sequence[str], *, has_tools: bool) -> Answer:
        """Return the next answer.

        Args:
            prompts: The user's texts in the request, oldest first.
            has_tools: Whether the request offers tools.
        """
        newest = next((text for text in reversed(prompts) if text.strip()), "")
        if "summar" in newest.lower():
            return Answer(SUMMARY)
        marker = self._marker(prompts) if has_tools else None
        if marker is None:
            return Answer(DONE)
        with self._lock:
            place = self._given.get(marker, 0)
            self._given[marker] = place + 1
        answers = self._scenes[marker]
        return answers[place] if place < len(answers) else Answer(DONE)

    def _marker(self, prompts: Sequence[str]) -> str | None:
        for text in reversed(prompts):
            found = [(text.rfind(marker), marker) for marker in self._scenes if marker in text]
            if found:
                return max(found)[1]
        return None

    def left(self) -> dict[str, int]:
        """How many answers of each scene were never asked for; empty when the script was played to its end."""
        with self._lock:
            rests = {marker: len(answers) - self._given.get(marker, 0) for marker, answers in self._scenes.items()}
        return {marker: rest for marker, rest in rests.items() if rest > 0}
