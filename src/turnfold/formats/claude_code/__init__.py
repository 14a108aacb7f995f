"""Claude Code's session files (``~/.claude/projects/*/<session>.jsonl``) and their subagents' files."""

from turnfold.formats.claude_code.format import ClaudeCodeFormat

__all__ = ["ClaudeCodeFormat"]
