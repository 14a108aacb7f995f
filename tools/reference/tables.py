"""Event types, errors, limits and settings as tables."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from typing import NamedTuple, get_args, get_origin, get_type_hints

import msgspec
from tools.reference.markdown import code, first_paragraph, prose, section, table

import turnfold.errors
import turnfold.limits
from turnfold import connect
from turnfold.config import FILE, PREFIX
from turnfold.model.event_types import ALIASES, KNOWN_TYPES, PAYLOADS
from turnfold.model.settings import Settings


def event_types() -> str:
    """Write the page of event types."""
    out = [
        (
            "# Event types\n\n"
            "Every event has a dotted type. The types below are Turnfold's own; a type that is not here is kept as it comes,\n"
            "with its name and its payload. The envelope of an event (`seq`, `id`, `at`, `branch` …) is described at\n"
            "{py:class}`turnfold.Event`.\n\n## Types with a typed payload\n\n"
            "Fields that are left out have their default. Unknown fields are kept as stored.\n\n"
        )
    ]
    for name, payload in PAYLOADS.items():
        out.append(f"### {name}\n\n{first_paragraph(payload)}\n\n")
        hints = get_type_hints(payload)
        rows = [
            (code(field.encode_name), code(type_name(hints[field.name])), default_of(field)) for field in msgspec.structs.fields(payload)
        ]
        out.append(table(("field", "type", "default"), rows))
    out.append("## Types without a fixed payload\n\nTheir payload is the JSON value that was given.\n\n")
    out += [f"- `{name}`\n" for name in sorted(KNOWN_TYPES - PAYLOADS.keys())]
    out.append("\n## Other names that are accepted\n\nOn input these names stand for Turnfold's own.\n\n")
    out.append(table(("name", "becomes"), [(code(name), code(kind)) for name, kind in ALIASES.items()]))
    return "".join(out).rstrip() + "\n"


def type_name(hint: object) -> str:
    """Return an annotation as people write it; a union of parts is called by its name."""
    arguments = get_args(hint)
    if get_origin(hint) is list and len(get_args(arguments[0])) > 5:
        return "list[Part]"
    text = hint.__name__ if isinstance(hint, type) and not arguments else str(hint)
    return re.sub(r"\b(?:typing|turnfold(?:\.\w+)*|datetime)\.(?=\w)", "", text).replace("NoneType", "None")


def default_of(field: msgspec.structs.FieldInfo) -> str:
    """Return a struct field's default as code."""
    if field.default is not msgspec.NODEFAULT:
        return code(repr(field.default))
    if field.default_factory is not msgspec.NODEFAULT:
        return code(repr(field.default_factory()))
    return "required"


def error_classes() -> list[type[turnfold.errors.TurnfoldError]]:
    """Return all error classes in the order of the module."""
    found = [value for value in vars(turnfold.errors).values() if inspect.isclass(value)]
    return [value for value in found if issubclass(value, turnfold.errors.TurnfoldError)]


def errors() -> str:
    """Write the page of errors."""
    rows = []
    details = []
    for kind in error_classes():
        retry = "yes" if kind.retryable else "no"
        rows.append(
            (
                f"[`{kind.__name__}`](#{kind.__name__.lower()})",
                code(kind.code),
                kind.fault,
                retry,
                str(kind.exit_status),
                str(kind.http_status),
            )
        )
        bases = [base.__name__ for base in kind.__mro__[1:] if base.__module__ == turnfold.errors.__name__]
        lines = [f"## {kind.__name__}\n\n{first_paragraph(kind)}\n"]
        if bases:
            lines.append(f"Is a {' and a '.join(code(base) for base in bases)}.\n")
        if kind.default_hint:
            lines.append(f"Hint: {prose(kind.default_hint)}.\n")
        details.append("\n".join(lines))
    head = (
        "# Errors\n\n"
        "Whatever Turnfold raises on purpose is a `TurnfoldError`. It carries `code` (stable), `fault` (whose it is: the\n"
        "`caller`, a `peer`, the `store`, or `us`), `retryable`, a `hint` where there is something to do, and `details` with\n"
        "the values that a program may want. On the command line an error is two lines on stderr and the exit status below;\n"
        "a server answers with the HTTP status.\n\n"
    )
    names = ("error", "code", "fault", "retryable", "exit status", "HTTP status")
    return head + table(names, rows) + "\n".join(details)


class Limit(NamedTuple):
    """One named limit."""

    theme: str
    name: str
    value: float
    text: str


UNITS = {"BYTES": "bytes", "EVENTS": "events", "S": "seconds", "MS": "milliseconds", "DAYS": "days", "SESSIONS": "sessions"}


def all_limits() -> Iterator[Limit]:
    """Yield the limits in the order of the module, with the docstring that follows each."""
    source = inspect.getsource(turnfold.limits)
    lines = source.splitlines()
    theme = ""
    body = ast.parse(source).body
    for node, following in zip(body, [*body[1:], None], strict=True):
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        for line in lines[: node.lineno]:
            if heading := re.match(r"# -+ (.+?) -+$", line):
                theme = heading[1]
        text = ""
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            text = prose(str(following.value.value))
        if theme:  # what stands before the first theme are units
            yield Limit(theme, node.target.id, getattr(turnfold.limits, node.target.id), text)


def unit_of(name: str) -> str:
    """Return the unit that a limit's name carries."""
    return next((unit for word, unit in UNITS.items() if word in name.split("_")), "count")


def readable(value: float, unit: str) -> str:
    """Return a value with its unit, bytes in the largest unit that divides them."""
    if unit == "bytes":
        for size, name in ((turnfold.limits.MIB, "MiB"), (turnfold.limits.KIB, "KiB")):
            if value % size == 0:
                return f"{value // size} {name}"
    number = f"{value:,g}" if isinstance(value, float) else f"{value:,}"
    return number if unit == "count" else f"{number} {unit}"


def limits() -> str:
    """Write the page of limits."""
    out = [
        (
            "# Limits\n\n"
            "Everything has a limit, and every limit has a name. An error that is due to one names it in\n"
            '`details["limit"]`. The values stand in `turnfold.limits`; limits that you set yourself (turns, branches, time to\n'
            "live …) are {doc}`settings <configuration>`.\n\n"
        )
    ]
    found = list(all_limits())
    for theme in dict.fromkeys(limit.theme for limit in found):
        rows = [(code(x.name), readable(x.value, unit_of(x.name)), x.text) for x in found if x.theme == theme]
        out.append(f"## {theme[0].upper()}{theme[1:]}\n\n" + table(("name", "value", "what it bounds"), rows))
    return "".join(out).rstrip() + "\n"


def configuration() -> str:
    """Write the page of settings."""
    hints = get_type_hints(Settings)
    texts = section(Settings, "Attributes")
    arguments = section(connect, "Args")
    base = [
        ("store", "str", "", "The store's URL. " + arguments["url"]),
        ("tenant", "str", "default", arguments["tenant"]),
        ("owner", "str", "", arguments["owner"]),
        ("integrity_key", "str", "", arguments["integrity_key"]),
        ("keyring", "str", "", arguments["keyring"]),
    ]
    rows = [(code(key), code(PREFIX + key.upper()), code(kind), code(default), text) for key, kind, default, text in base]
    for field in msgspec.structs.fields(Settings):
        name = field.name
        rows.append((code(name), code(PREFIX + name.upper()), code(type_name(hints[name])), default_of(field), texts[name]))
    return (
        "# Configuration\n\n"
        "A setting comes from the first of these that has it: the arguments of `connect`, the environment, the\n"
        f"configuration file, the default. The file is `{FILE}` in the working directory, or the one that\n"
        f"`{PREFIX}CONFIG` names; its keys are the names below, at the top level. An unknown key is an error that names it.\n"
        "`override` changes the settings of the second kind for one context; see {doc}`../how-to/configure`.\n\n"
        + table(("key", "environment", "type", "default", "what it does"), rows)
        + "In the environment a truth is `1`, `true` or `yes`, its opposite `0`, `false` or `no`; an empty variable counts as unset.\n"
    )
