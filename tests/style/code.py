"""Rules on code that ruff has not: lengths without docstrings, banned names with their replacement."""

import ast
from collections.abc import Iterator
from pathlib import PurePosixPath

from tests.style.tree import Module, Violation

FILE_LINES_MAX = 500
FUNCTION_LINES_MAX = 80  # aim for 40; the docstring does not count

Function = ast.FunctionDef | ast.AsyncFunctionDef

CLOCK = "take the time as an argument, or from the Clock port at the edge"
BANNED: dict[str, str] = {
    "datetime.datetime.now": CLOCK,
    "datetime.datetime.utcnow": CLOCK,
    "datetime.datetime.today": CLOCK,
    "datetime.date.today": CLOCK,
    "time.time": CLOCK,
    "time.time_ns": CLOCK,
    "dataclasses.asdict": "it copies deeply; name the fields, or encode with codec.jsonio",
    "msgspec.structs.asdict": "name the fields, or encode with codec.jsonio",
    "print": "write through a face: cli/ prints, everything else returns or raises",
}
# The one place of each banned name, relative to src/turnfold.
ALLOWED: dict[str, frozenset[str]] = {
    "time.time_ns": frozenset({"ports/clock.py", "ids.py"}),
    "print": frozenset({"cli/"}),
}


def file_length_violations(modules: list[Module]) -> list[Violation]:
    """Find files longer than a reader's patience."""
    lengths = [(module, module.text.count("\n")) for module in modules]
    return [
        Violation(module.path, length, f"{length} lines, at most {FILE_LINES_MAX}: split by theme")
        for module, length in lengths
        if length > FILE_LINES_MAX
    ]


def function_length_violations(modules: list[Module]) -> list[Violation]:
    """Find functions that do not fit a screen, the docstring left out of the count."""
    return [
        module.violation(node, f"{node.name} has {length} lines, at most {FUNCTION_LINES_MAX}: name its parts")
        for module in modules
        for node in _functions(module)
        if (length := _length(node)) > FUNCTION_LINES_MAX
    ]


def banned_violations(modules: list[Module]) -> list[Violation]:
    """Find uses of banned names, called or passed on, under whatever name they were imported."""
    found: list[Violation] = []
    for module in modules:
        aliases = _aliases(module)
        for node, name in _references(module):
            first, _, rest = name.partition(".")
            full = ".".join(part for part in (aliases.get(first, first), rest) if part)
            if full in BANNED and not _allowed(module.path, full):
                found.append(module.violation(node, f"{full} is banned: {BANNED[full]}"))
    return found


def _functions(module: Module) -> Iterator[Function]:
    return (node for node in ast.walk(module.tree) if isinstance(node, Function))


def _length(node: Function) -> int:
    first = node.body[0]
    total = (node.end_lineno or node.lineno) - node.lineno + 1
    if ast.get_docstring(node, clean=False) is None:
        return total
    return total - ((first.end_lineno or first.lineno) - first.lineno + 1)


def _aliases(module: Module) -> dict[str, str]:
    """Map local names to what they were imported as: ``from time import time as now`` gives now → time.time."""
    names: dict[str, str] = {}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            names.update({alias.asname: alias.name for alias in node.names if alias.asname})
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})
    return names


def _references(module: Module) -> Iterator[tuple[ast.expr, str]]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute | ast.Name) and (name := _dotted(node)):
            yield node, name


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (base := _dotted(node.value)):
        return f"{base}.{node.attr}"
    return ""


def _allowed(path: str, name: str) -> bool:
    parts = PurePosixPath(path).parts
    inside = "/".join(parts[parts.index("turnfold") + 1 :])
    return any(inside.startswith(place) for place in ALLOWED.get(name, frozenset()))
