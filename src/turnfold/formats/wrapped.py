"""Takes off the tags that tools put around commands, their output and images, where a user's text is made of nothing else."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_SAID: Final = frozenset({"command-name", "command-args", "bash-input"})
_OUTPUT: Final = frozenset({"bash-stdout", "bash-stderr", "local-command-stdout", "local-command-stderr"})
_REPEATED: Final = frozenset({"command-message"})
"""Says the command's name once more."""
_OPENING = re.compile(rf"\s*<({'|'.join(sorted(_SAID | _OUTPUT | _REPEATED))})>")


class Wrapped(NamedTuple):
    """What was in the tags: what was typed, and what was printed; None where there were no tags of that kind."""

    typed: str | None
    output: str | None


def unwrap(text: str) -> Wrapped | None:
    """Return the content of a message that is all tags of this kind, else None."""
    said: list[str] = []
    printed: list[str] = []
    seen: set[str] = set()
    place = 0
    while (opening := _OPENING.match(text, place)) is not None:
        tag = opening[1]
        end = text.find(f"</{tag}>", opening.end())
        if end < 0:
            return None
        inner = text[opening.end() : end].strip("\n")
        seen.add(tag)
        if tag in _SAID and inner.strip():
            said.append(f"! {inner}" if tag == "bash-input" else inner)
        elif tag in _OUTPUT and inner.strip():
            printed.append(inner)
        place = end + len(tag) + 3
    if place == 0 or text[place:].strip():
        return None
    return Wrapped(" ".join(said) if seen & _SAID else None, "\n".join(printed) if seen & _OUTPUT else None)


_IMAGE = re.compile(r'<image(?: name=\[([^\]\n]{0,200})\])?(?: path="([^"\n]{0,2000})")?>|</image>')


def image_caption(text: str) -> str | None:
    """Return what a text says that is only the tag around an image: its name and path, empty for the closing tag; None for other text."""
    found = _IMAGE.fullmatch(text.strip())
    return None if found is None else ", ".join(said for said in found.groups() if said)
