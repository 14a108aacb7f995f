"""Numbers, times and long texts as pages say them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from turnfold.core.conversation import Conversation
from turnfold.model.session import SessionInfo
from turnfold.model.visible import visible

LINE_CHARS_MAX: Final = 120
"""A title or a gist on one line."""
_SPACE = re.compile(r"\s+")
_TAG = re.compile(r"</?[a-z][a-z-]{0,40}>")


def one_line(text: str, chars_max: int = LINE_CHARS_MAX) -> str:
    """Return the beginning of a text on one line, without the tags that tools put around what was typed."""
    line = _SPACE.sub(" ", _TAG.sub(" ", visible(text[: chars_max * 20]))).strip()
    return line if len(line) <= chars_max else line[: chars_max - 1].rstrip() + "…"


def data_size(bytes_count: float) -> str:
    """Return bytes in binary units."""
    for unit in ("B", "KiB", "MiB"):
        if bytes_count < 1024:
            return f"{bytes_count:.0f} {unit}" if unit == "B" else f"{bytes_count:.1f} {unit}"
        bytes_count /= 1024
    return f"{bytes_count:.1f} GiB"


def counted(number: int, one: str) -> str:
    """Return ``1 line``, ``2 lines``."""
    return f"{number:,} {one}{'' if number == 1 else 's'}"


def moment(at_us: int) -> str:
    """Return date and time to the second, RFC 3339, UTC; empty for no time or one that no calendar has."""
    try:
        return datetime.fromtimestamp(at_us / 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at_us > 0 else ""
    except (OverflowError, ValueError, OSError):
        return ""


def title_of(info: SessionInfo) -> str:
    """Return a session's title, else its id, on one line."""
    return one_line(info.title or "") or one_line(info.id)


def facts(conversation: Conversation) -> list[tuple[str, str]]:
    """What is known of the session: name and value, those that are known."""
    info, metadata = conversation.info, conversation.info.metadata
    version = next((metadata[name] for name in ("version", "cli_version") if isinstance(metadata.get(name), str)), "")
    models = dict.fromkeys(entry.message.model for entry in conversation.entries if entry.message is not None and entry.message.model)
    models.pop("<synthetic>", None)
    others = [name for name in conversation.branches if name != conversation.branch]
    usage = info.usage
    rows = [
        ("Tool", f"{info.agent} {version}".strip()),
        ("Model", ", ".join(models)),
        ("Begun", moment(info.created_at_us)),
        ("Last event", moment(info.updated_at_us)),
        ("Folder", _fact(metadata.get("cwd"))),
        ("Git branch", _fact(metadata.get("git_branch"))),
        ("Messages", f"{info.message_count:,} in {counted(info.turn_count, 'turn')}" if info.message_count else ""),
        ("Tokens", _tokens(usage.input_tokens, usage.output_tokens, usage.cache_read_input_tokens)),
        ("Cost", f"${usage.cost_microusd / 1_000_000:,.2f}" if usage.cost_microusd > 0 else ""),
        ("Branch", conversation.branch + (f" (not shown: {', '.join(others)})" if others else "")),
        ("Tags", ", ".join(info.tags)),
        ("Status", info.status if info.status != "active" else ""),
        ("Session", info.id),
    ]
    return [(name, one_line(value, 600)) for name, value in rows if value]


def _fact(value: object) -> str:
    return value if isinstance(value, str) else ""


def _tokens(input_count: int, output_count: int, cached_count: int) -> str:
    if input_count <= 0 and output_count <= 0:
        return ""
    return f"{input_count:,} in{f' ({cached_count:,} from cache)' if cached_count > 0 else ''}, {output_count:,} out"
