"""What a target format cannot hold: counted by kind while writing, told to the user afterwards."""

from __future__ import annotations

from typing import Any

EXAMPLES_MAX = 5
"""Seqs that a report names for each kind of loss."""

# Kinds of losses, shared by the writers so that people and programs meet each under one name.
OTHER_BRANCHES = "other branches"
SUBAGENTS = "sessions of subagents"
SYSTEM_PROMPTS = "system prompts"
SUMMARISED = "messages that a summary stands for"
SEALED_SUMMARIES = "summaries that only their provider can read"
SEALED_COMPACTIONS = "compactions that only their provider can read (what they stand for is in full)"
KEPT_CALLS = "calls and results kept over a compaction, as structured data (they are text)"
ONLY_FOR_PEOPLE = "messages that only people saw"
UNSENT = "messages that were for people alone"
"""Notices of failed requests, above all: no model ever got them."""
INJECTED = "lines that the tool injects about itself"
HOOK_RECORDS = "records of hooks"
FILE_SNAPSHOTS = "snapshots of files"
TOOL_RECORDS = "records of tools at work"
NOTES = "notes beside the conversation"
MADE_UP = "messages that the tool made up"
TIMES_AND_USAGE = "times and token counts of messages"
USAGE_WITHOUT_ANSWER = "usage of answers that are left out"
NAMES = "names of speakers"
MOVED_INSTRUCTIONS = "instructions that the user says instead"
REASONING = "reasoning parts"
FOREIGN_REASONING = "reasoning parts of another provider"
UNSIGNED_REASONING = "reasoning parts without a signature"
SEALED_REASONING = "encrypted or signed reasoning"
SIGNATURES = "signatures and encrypted contents of reasoning parts"
OPEN_CALLS = "tool calls without a result"
ORPHAN_RESULTS = "tool results without a call"
MISPLACED_CALLS = "calls outside an assistant's message"
CHANGED_ARGUMENTS = "tool arguments that are put into an object"
CHANGED_TOOL_NAMES = "tool names that had to change"
ERROR_MARKS = "error marks of tool results"
DETAILS = "structured details of tool results"
SERVER_TOOLS = "uses of a provider's own tools"
MOVED_MEDIA = "media that the user shows instead"
MEDIA = "media that the format cannot hold"
HIDDEN_MEDIA = "media that a page cannot show"
PICTURES = "images (named in the text)"
MISSING_MEDIA = "media whose bytes are no longer in the store"
FILE_IDS = "files that only their provider has"
REFUSALS = "refusals that are said as plain text"
CITATIONS = "citations"
EXTRA_FIELDS = "parts and messages with fields that only their source knows"
NATIVE_PARTS = "parts that only their source knows"
TOO_DEEP = "values that are nested too deeply to be written"


class LossReport:
    """Collects what a writer could not say in its format.

    A kind is a short phrase in the plural that a person understands, e.g. ``reasoning of another provider``.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self._counts: dict[str, int] = {}
        self._seqs: dict[str, list[int]] = {}

    def add(self, kind: str, seq: int | None = None, count: int = 1) -> None:
        """Count a loss.

        Args:
            kind: What is lost.
            seq: The event that has it; None where it is of the whole session.
            count: How many of that kind.
        """
        self._counts[kind] = self._counts.get(kind, 0) + count
        seqs = self._seqs.setdefault(kind, [])
        if seq is not None and len(seqs) < EXAMPLES_MAX:
            seqs.append(seq)

    @property
    def counts(self) -> dict[str, int]:
        """Kind of loss → how many, most frequent first."""
        return dict(sorted(self._counts.items(), key=lambda item: (-item[1], item[0])))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types: ``{kind: {"count": …, "seqs": [first few]}}``."""
        return {kind: {"count": count, "seqs": self._seqs[kind]} for kind, count in self.counts.items()}
