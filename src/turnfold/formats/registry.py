"""Which formats there are: the built-in ones, and those of other packages through the entry point group ``turnfold.formats``.

An entry point is a class that is a ``Format`` (to read), a ``Writer``, or both. A file's format is found by its content; its name alone never
decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol

from turnfold.errors import FormatError, NotSupported
from turnfold.formats import heads
from turnfold.formats.base import Format, Writer
from turnfold.formats.heads import read_head

SNIFF_BYTES = heads.SNIFF_BYTES
SURE_ENOUGH = 0.5
"""A file is of the format that is at least this sure about it, and surest of all."""
GROUP = "turnfold.formats"

BUILT_IN = {
    "adk": "turnfold.formats.databases.adk:AdkFormat",
    "aider": "turnfold.formats.aider:AiderFormat",
    "amp": "turnfold.formats.amp:AmpFormat",
    "anthropic": "turnfold.formats.lists:anthropic",
    "anthropic-jsonl": "turnfold.formats.lists:anthropic_lines",
    "claude-code": "turnfold.formats.claude_code:ClaudeCodeFormat",
    "codex": "turnfold.formats.codex:CodexFormat",
    "copilot": "turnfold.formats.copilot:CopilotFormat",
    "gemini": "turnfold.formats.gemini:GeminiFormat",
    "gemini-json": "turnfold.formats.gemini:GeminiDocumentFormat",
    "go-session": "turnfold.formats.go_session:GoSessionFormat",
    "goose": "turnfold.formats.databases.goose:GooseFormat",
    "goose-jsonl": "turnfold.formats.databases.goose:GooseLinesFormat",
    "grok": "turnfold.formats.grok:GrokFormat",
    "kimi": "turnfold.formats.kimi:KimiFormat",
    "langchain": "turnfold.formats.lists:langchain",
    "langchain-jsonl": "turnfold.formats.lists:langchain_lines",
    "langgraph": "turnfold.formats.databases.langgraph:LangGraphFormat",
    "lexigram": "turnfold.formats.lexigram:LexigramFormat",
    "openai": "turnfold.formats.lists:openai",
    "openai-agents": "turnfold.formats.databases.openai_agents:OpenAIAgentsFormat",
    "openai-jsonl": "turnfold.formats.lists:openai_lines",
    "openai-responses": "turnfold.formats.lists:openai_responses",
    "openai-responses-jsonl": "turnfold.formats.lists:openai_responses_lines",
    "opencode": "turnfold.formats.databases.opencode:OpenCodeFormat",
    "pi": "turnfold.formats.pi:PiFormat",
    "session-linker": "turnfold.formats.session_linker:SessionLinkerFormat",
    "strands": "turnfold.formats.strands:StrandsFormat",
    "strands-snapshot": "turnfold.formats.strands:StrandsSnapshotFormat",
    "usf": "turnfold.formats.usf:UsfFormat",
    "vercel": "turnfold.formats.lists:vercel",
    "vercel-jsonl": "turnfold.formats.lists:vercel_lines",
}
"""The formats that are read."""
WRITERS: dict[str, str] = {
    "anthropic": "turnfold.formats.writers.anthropic:AnthropicWriter",
    "claude-code": "turnfold.formats.claude_code.writer:ClaudeCodeWriter",
    "codex": "turnfold.formats.codex.writer:CodexWriter",
    "html": "turnfold.formats.html:HtmlWriter",
    "langchain": "turnfold.formats.writers.langchain:LangChainWriter",
    "markdown": "turnfold.formats.markdown:MarkdownWriter",
    "openai": "turnfold.formats.writers.chat:OpenAiWriter",
    "openai-responses": "turnfold.formats.writers.responses:ResponsesWriter",
    "otel": "turnfold.formats.writers.otel:OtelWriter",
    "usf": "turnfold.formats.usf:UsfWriter",
}
"""Those that a session can be written in, wherever it came from."""
ALIASES = {"claude": "claude-code", "claude_code": "claude-code"}


class _EntryPoint(Protocol):
    name: str

    def load(self) -> Any: ...


class Formats:
    """The formats that are installed, each loaded when it is first asked for."""

    def __init__(self, found: Iterable[_EntryPoint] | None = None) -> None:
        """List the built-in formats and ``found`` (None: the installed entry points); a built-in name cannot be taken over."""
        others = {point.name: point.load for point in (entry_points(group=GROUP) if found is None else found)}
        self._readers = _Group(BUILT_IN, others, Format)
        self._writers = _Group(WRITERS, others, Writer)

    def names(self) -> list[str]:
        """The names of the formats that are read, sorted."""
        return self._readers.names()

    def writer_names(self) -> list[str]:
        """The names of the formats that any session can be written in, sorted."""
        return self._writers.names()

    def get(self, name: str) -> Format:
        """Return the format of that name.

        Raises:
            NotSupported: There is none to read; the hint lists those that there are.
        """
        found: Format | None = self._readers.get(ALIASES.get(name, name))
        if found is None:
            raise NotSupported(f"there is no format {name!r} to read", hint=f"one of {', '.join(self.names())}", format=name)
        return found

    def find(self, name: str) -> Format | None:
        """Return the format of that name to read, None where there is none (any more)."""
        found: Format | None = self._readers.get(ALIASES.get(name, name))
        return found

    def writer(self, name: str) -> Writer:
        """Return the writer of that name.

        Raises:
            NotSupported: There is none; the hint lists those that there are.
        """
        found: Writer | None = self._writers.get(ALIASES.get(name, name))
        if found is None:
            raise NotSupported(f"there is no format {name!r} to write", hint=f"one of {', '.join(self.writer_names())}", format=name)
        return found

    def can_write(self, name: str) -> bool:
        """Whether any session can be written in that format."""
        return self._writers.get(ALIASES.get(name, name)) is not None

    def all(self) -> list[Format]:
        """Every format that is read, by name."""
        return [self.get(name) for name in self.names()]

    def detect(self, path: Path) -> Format | None:
        """Return the format that knows the file by its first 64 KiB, or None."""
        return self.detect_head(path, read_head(path))

    def detect_head(self, path: Path, head: bytes, among: Iterable[Format] | None = None) -> Format | None:
        """Return the format that knows a file with that beginning, or None; ``among`` None asks all of them."""
        best, surest = None, SURE_ENOUGH
        for known in self.all() if among is None else among:
            sure = known.sniff(path, head)
            if sure > surest or (best is None and sure >= surest):
                best, surest = known, sure
        return best

    def require(self, path: Path) -> Format:
        """Return the file's format, or raise FormatError naming the file."""
        found = self.detect(path)
        if found is None:
            raise FormatError(f"{path}: no known format", hint=f"name it with --format: {', '.join(self.names())}", path=str(path))
        return found


class _Group:
    """The formats of one direction. Others' entry points are loaded only to see which direction they are of."""

    def __init__(self, built_in: dict[str, str], others: dict[str, Callable[[], Any]], kind: type) -> None:
        self._loaders = {name: _loader(place) for name, place in built_in.items()}
        self._others = {name: load for name, load in others.items() if name not in built_in}
        self._kind = kind
        self._loaded: dict[str, Any] = {}

    def names(self) -> list[str]:
        return sorted([*self._loaders, *(name for name in self._others if self.get(name) is not None)])

    def get(self, name: str) -> Any:
        if name not in self._loaded:
            load = self._loaders.get(name) or self._others.get(name)
            made = None if load is None else load()()
            self._loaded[name] = made if isinstance(made, self._kind) else None
        return self._loaded[name]


def _loader(place: str) -> Callable[[], Any]:
    module, _, name = place.partition(":")
    return lambda: getattr(import_module(module), name)


_formats: list[Formats] = []


def formats() -> Formats:
    """The formats of this process."""
    if not _formats:
        _formats.append(Formats())
    return _formats[0]


def get_format(name: str) -> Format:
    """Return the format of that name, or raise NotSupported listing those that there are."""
    return formats().get(name)


def detect(path: Path) -> Format | None:
    """Return the format that knows the file by its content, or None."""
    return formats().detect(path)
