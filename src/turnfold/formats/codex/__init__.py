"""Codex CLI rollouts, from the bare items of 0.8 to the paginated lines of 0.169."""

from turnfold.formats.codex.format import CodexFormat

__all__ = ["CodexFormat"]
