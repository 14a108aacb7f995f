"""Kimi Code's session files (``~/.kimi-code/sessions/<project>/<session>/agents/<agent>/wire.jsonl``)."""

from turnfold.formats.kimi.format import KimiFormat

__all__ = ["KimiFormat"]
