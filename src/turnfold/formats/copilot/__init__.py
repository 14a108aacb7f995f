"""GitHub Copilot CLI's session files (``~/.copilot/session-state/<session>/events.jsonl``)."""

from turnfold.formats.copilot.format import CopilotFormat

__all__ = ["CopilotFormat"]
