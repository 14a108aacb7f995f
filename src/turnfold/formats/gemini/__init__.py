"""Gemini CLI's sessions: JSON Lines, and before that one JSON document per session; saved checkpoints of conversations."""

from turnfold.formats.gemini.document import GeminiDocumentFormat
from turnfold.formats.gemini.format import GeminiFormat

__all__ = ["GeminiDocumentFormat", "GeminiFormat"]
