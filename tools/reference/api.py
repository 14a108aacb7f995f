"""The Python API: which names stand on which page. Sphinx writes their docstrings out."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Final, get_args

import msgspec

import turnfold
from turnfold.errors import TurnfoldError
from turnfold.model import parts

THEMES: Final[dict[str, str]] = {
    "Connecting": "connect connect_async override Settings open_keyring new_keyring Keyring Kms KeyInfo",
    "Clients": "Client AsyncClient",
    "Sessions": "Session AsyncSession",
    "Messages": "user assistant system tool_call tool_result message Message Usage Window",
    "Events": "Event NewEvent Page Cursor payload_of upcaster",
    "What is in a session": "SessionInfo Branch Checkpoint",
    "Importing and exporting": "ImportResult FileImport ExportedFile list_formats FormatInfo",
    "What methods return": "Appended Diff Verified SearchHit UsageRow Lease",
}
MORE: Final = "Everything else"
PARTS: Final = tuple(kind.__name__ for kind in (*get_args(parts.Part), parts.GenericPart))
"""Described on a page of their own."""

# Returned by public methods; imported from where they live.
RETURNED: Final = (
    "turnfold.engine._sync.state.State",
    "turnfold.engine._async.state.AsyncState",
    "turnfold.engine._sync.transcripts.Transcripts",
    "turnfold.engine._async.transcripts.AsyncTranscripts",
    "turnfold.engine.importing.result.Problem",
    "turnfold.engine.importing.result.Progress",
    "turnfold.model.event.Seal",
    "turnfold.model.event.RangeTombstone",
    "turnfold.model.session.Head",
    "turnfold.model.session.Entry",
)
INTEGRATIONS: Final = ("turnfold.integrations.claude_agent_sdk.TurnfoldSessionStore",)
PORT: Final[dict[str, str]] = {
    "turnfold.ports.store": "Store Shredder Watch Clock",
    "turnfold.model.commit": "Commit Committed Genesis HeadChange StatusChange Guard LimitCheck Redact Verbatim",
    "turnfold.model.query": "EventQuery EventPage SessionQuery SearchQuery SearchRow IndexRow ChangedSession CheckReport Compacted MigrationReport",
    "turnfold.model.session": "SessionKey",
    "turnfold.model.run": "Run",
    "turnfold.model.keys": "DataKey",
}
CAPABILITIES: Final = "DURABLE DURABLE_ON_ACK MULTI_PROCESS SEARCH_INDEX ATOMIC_ALSO ENCRYPTED"


def themes() -> dict[str, list[str]]:
    """Return every public name under its theme; errors have a page of their own."""
    out = {theme: names.split() for theme, names in THEMES.items()}
    placed = {name for names in out.values() for name in names}
    rest = [name for name in turnfold.__all__ if name not in placed and not is_error(name) and name not in PARTS]
    return {**out, MORE: rest} if rest else out


def is_error(name: str) -> bool:
    """Whether a public name is an error."""
    value = getattr(turnfold, name)
    return inspect.isclass(value) and issubclass(value, TurnfoldError)


def python_api() -> str:
    """Write the page of the public names."""
    out = [
        (
            "# Python API\n\n"
            "```python\nimport turnfold as tf\n```\n\n"
            "Everything on this page is a name of the package `turnfold`. The sync and the async side have the same methods with\n"
            "the same arguments; on the async side they are awaited, and `follow` is an async iterator. Errors have\n"
            "{doc}`a page of their own <errors>`.\n\n"
        )
    ]
    for theme, names in themes().items():
        out.append(f"## {theme}\n\n" + "".join(directive(f"turnfold.{name}") for name in names))
    out.append("## What these refer to\n\nThese have no name in the package; import them from where they live if you need to.\n\n")
    out += [directive(name) for name in RETURNED]
    out.append("## For other frameworks\n\nImported from where they live; none needs the framework before it is used.\n\n")
    out += [directive(name) for name in INTEGRATIONS]
    errors = ", ".join(f"`{name}`" for name in turnfold.__all__ if is_error(name))
    out.append(f"## Errors\n\nDescribed at {{doc}}`errors`: {errors}.\n")
    return "".join(out)


def message_parts() -> str:
    """Write the page of message parts."""
    out = [
        (
            "# Parts of a message\n\n"
            "A {py:class}`turnfold.Message` has a list of parts. They follow the vocabulary of the OpenTelemetry GenAI\n"
            "conventions. In JSON the field `type` says which part it is.\n"
            'Every part has `ext`, for what a source had and the schema has not, and answers `part["content"]` and\n'
            '`part.get("content")` like a dict.\n\n'
        )
    ]
    for kind in (*get_args(parts.Part), parts.GenericPart):
        out.append(f"## {kind.__name__}\n\n")
        if issubclass(kind, msgspec.Struct):
            out.append(f'In JSON: `"type": "{kind.__struct_config__.tag}"`.\n\n')
        out.append(directive(f"turnfold.{kind.__name__}", members=False))
    return "".join(out).rstrip() + "\n"


def store_port() -> str:
    """Write the page of the store port."""
    port = import_module("turnfold.ports.store")
    source = inspect.getsource(port).splitlines()
    out = ["# The store port\n\n```{eval-rst}\n.. automodule:: turnfold.ports.store\n   :no-members:\n```\n\n## Capabilities\n\n"]
    out.append("What a store may claim in `capabilities`; the contract suite checks what is claimed.\n\n")
    for name in CAPABILITIES.split():
        after = source[next(i for i, line in enumerate(source) if line.startswith(f"{name} =")) + 1]
        text = after.strip('"').replace("``", "`") if after.startswith('"""') else ""
        out.append(f"- `{getattr(port, name)}`{': ' if text else ''}{text}\n")
    out.append("\n## The port and what passes through it\n\n")
    out += [directive(f"{module}.{name}") for module, names in PORT.items() for name in names.split()]
    return "".join(out).rstrip() + "\n"


def directive(name: str, *, members: bool = True) -> str:
    """Return what makes Sphinx document a name."""
    module, _, attribute = name.rpartition(".")
    if not inspect.isclass(getattr(import_module(module), attribute)):
        return f"```{{eval-rst}}\n.. autofunction:: {name}\n```\n\n"
    lines = [f".. autoclass:: {name}"]
    if members:
        lines += ["   :members:", "   :inherited-members: Struct, list, dict, int, tuple, Generic, MutableMapping"]
    return "```{eval-rst}\n" + "\n".join(lines) + "\n```\n\n"
