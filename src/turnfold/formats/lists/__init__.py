"""Message lists of model APIs and SDKs, as applications keep them: a JSON array, an envelope around one, or one item per line."""

from __future__ import annotations

from turnfold.formats.lists.anthropic import AnthropicShape
from turnfold.formats.lists.format import ListFormat, ListLinesFormat
from turnfold.formats.lists.langchain import LangChainShape
from turnfold.formats.lists.openai import OpenAiShape
from turnfold.formats.lists.responses import ResponsesShape
from turnfold.formats.lists.vercel import VercelShape


def openai() -> ListFormat:
    """Documents of OpenAI chat messages."""
    return ListFormat(OpenAiShape())


def openai_lines() -> ListLinesFormat:
    """OpenAI chat messages, one per line."""
    return ListLinesFormat(OpenAiShape())


def openai_responses() -> ListFormat:
    """Documents of Responses items."""
    return ListFormat(ResponsesShape())


def openai_responses_lines() -> ListLinesFormat:
    """Responses items, one per line."""
    return ListLinesFormat(ResponsesShape())


def anthropic() -> ListFormat:
    """Documents of Anthropic messages."""
    return ListFormat(AnthropicShape())


def anthropic_lines() -> ListLinesFormat:
    """Anthropic messages, one per line."""
    return ListLinesFormat(AnthropicShape())


def vercel() -> ListFormat:
    """Documents of UI messages of the Vercel AI SDK."""
    return ListFormat(VercelShape())


def vercel_lines() -> ListLinesFormat:
    """UI messages of the Vercel AI SDK, one per line."""
    return ListLinesFormat(VercelShape())


def langchain() -> ListFormat:
    """Documents of LangChain messages."""
    return ListFormat(LangChainShape())


def langchain_lines() -> ListLinesFormat:
    """LangChain messages, one per line."""
    return ListLinesFormat(LangChainShape())
