"""Who may import whom: the table of CONTRIBUTING.md as data, and the reading of import lines.

Every import counts: at the top, inside a function, under TYPE_CHECKING, and ``import_module("turnfold…")``.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import PurePosixPath

from tests.style.tree import Module, Violation

PACKAGE = "turnfold"
ROOT_NAME = "__init__"  # the package itself: the public names

FLOORS: dict[str, frozenset[str]] = {
    "F0": frozenset({"errors", "ids", "inotify", "limits", "model", "objectstorage", "data"}),
    "F1": frozenset({"core"}),
    "F2": frozenset({"codec", "formats"}),
    "F3": frozenset({"ports"}),
    "F4": frozenset({"stores", "artifacts", "providers", "workspace", "sinks"}),
    "F5": frozenset({"engine"}),
    "F6": frozenset({"client_async", "client", "connecting", "copying", "config", ROOT_NAME}),
    "F7": frozenset({"cli", "server", "integrations", "otel", "testing", "__main__"}),
}
MAY_IMPORT: dict[str, frozenset[str]] = {
    "F0": frozenset({"F0"}),
    "F1": frozenset({"F0", "F1"}),
    "F2": frozenset({"F0", "F1", "F2"}),
    "F3": frozenset({"F0", "F3"}),
    "F4": frozenset({"F0", "F1", "F2", "F3"}),
    "F5": frozenset({"F0", "F1", "F2", "F3", "F5"}),
    "F6": frozenset({"F0", "F1", "F2", "F3", "F4", "F5", "F6"}),
    "F7": frozenset({"F0", "F6"}),
}
# The contract suite builds commits as the engine does, without a client; `python -m turnfold` is the command line.
ALSO: dict[str, frozenset[str]] = {"testing": frozenset({"F1", "F2", "F3", "F5"}), "__main__": frozenset({"F7"})}
FLOOR_OF = {name: floor for floor, names in FLOORS.items() for name in names}

# Inside a package of adapters: what adapters share, and what knows them all.
SHARED_ADAPTER_PARTS = frozenset({"sql"})
KNOWS_ALL_ADAPTERS = frozenset({ROOT_NAME, "registry"})

# Packages from outside beside the standard library, by top-level name or by package/adapter.
EXTERNAL_EVERYWHERE = frozenset({"msgspec"})
EXTERNAL: dict[str, frozenset[str]] = {
    "codec": frozenset({"backports", "compression", "cryptography"}),
    "stores/encrypted": frozenset({"keyring"}),
    "stores/postgres": frozenset({"psycopg", "psycopg_pool"}),
    "stores/redis": frozenset({"redis"}),
    "objectstorage": frozenset({"obstore"}),
    "cli": frozenset({"click", "rich"}),
    "server": frozenset({"starlette", "uvicorn", "sse_starlette"}),
    "otel": frozenset({"opentelemetry"}),
    "testing": frozenset({"pytest", "hypothesis", "moto"}),
}
EXTERNAL_FREE = frozenset({"integrations"})  # each integration imports what it integrates
NO_EXTERNAL_RULE = "add it to pyproject.toml and to EXTERNAL in tests/style/floors.py, or do without"

# core decides; these modules act, wait, or differ from call to call.
IMPURE = frozenset(
    {
        "asyncio",
        "concurrent",
        "http",
        "io",
        "logging",
        "multiprocessing",
        "os",
        "random",
        "secrets",
        "selectors",
        "shutil",
        "signal",
        "socket",
        "sqlite3",
        "subprocess",
        "tempfile",
        "threading",
        "time",
        "urllib",
    }
)


def imports(module: Module) -> Iterator[tuple[ast.stmt | ast.expr, str]]:
    """Give every imported dotted name with its node; ``from a import b`` gives ``a.b``."""
    here = PurePosixPath(module.path).with_suffix("").parts
    here = here[here.index(PACKAGE) :] if PACKAGE in here else here
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(here[: len(here) - node.level]) if node.level else ""
            source = ".".join(part for part in (base, node.module) if part)
            yield from ((node, f"{source}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and _is_import_module(node.func) and node.args:
            name = node.args[0]
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                yield node, name.value


def _is_import_module(function: ast.expr) -> bool:
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in {"import_module", "__import__"}


def floor_violations(modules: list[Module]) -> list[Violation]:
    """Check the import lines of ``src/turnfold`` against the table."""
    known = {_dotted(module.path) for module in modules}
    found: list[Violation] = []
    for module in modules:
        parts = _dotted(module.path)[1:] or (ROOT_NAME,)
        if parts[0] not in FLOOR_OF:
            where = f"turnfold.{parts[0]} has no floor: name it in FLOORS of tests/style/floors.py"
            found.append(Violation(module.path, 1, where))
            continue
        for node, name in imports(module):
            message = _refusal(parts, name.split("."), known)
            if message:
                found.append(module.violation(node, message))
    return found


def _dotted(path: str) -> tuple[str, ...]:
    """Turn ``src/turnfold/stores/sql/__init__.py`` into ``("turnfold", "stores", "sql")``."""
    parts = PurePosixPath(path).with_suffix("").parts
    parts = parts[parts.index(PACKAGE) :]
    return parts[:-1] if parts[-1] == "__init__" else parts


def _refusal(importer: tuple[str, ...], target: list[str], known: set[tuple[str, ...]]) -> str | None:
    """Say why ``importer`` (parts below the package) may not import ``target``, None if it may."""
    if target[0] != PACKAGE:
        return _external_refusal(importer, target)
    names = _existing(target, known)
    floor, target_floor = FLOOR_OF[importer[0]], FLOOR_OF.get(names[0])
    if target_floor is None:
        return f"turnfold.{names[0]} has no floor"
    if names[0] == importer[0]:
        return _adapter_refusal(importer, names) if floor == "F4" else None
    if floor == target_floor == "F4":
        if importer[-1] == names[-1] == "registry":  # what puts adapters together by their URLs asks the other registry
            return None
        return f"an adapter ({importer[0]}) never imports another ({names[0]}): pass it in through its port"
    if target_floor not in MAY_IMPORT[floor] | ALSO.get(importer[0], frozenset()):
        allowed = " ".join(sorted(MAY_IMPORT[floor] | ALSO.get(importer[0], frozenset())))
        return f"{importer[0]} ({floor}) may import {allowed}, not {'.'.join(names)} ({target_floor})"
    return None


def _existing(target: list[str], known: set[tuple[str, ...]]) -> tuple[str, ...]:
    """Cut ``a.b.name`` down to the module that exists; parts below the package, the root for public names."""
    dotted = tuple(target)
    kept = 2 if len(dotted) > 1 and dotted[1] in FLOOR_OF else 1
    while len(dotted) > kept and dotted not in known:
        dotted = dotted[:-1]
    return dotted[1:] or (ROOT_NAME,)


def _adapter_refusal(importer: tuple[str, ...], target: tuple[str, ...]) -> str | None:
    """Say why one part of an adapter package may not import another part of it."""
    own = importer[1] if len(importer) > 1 else ROOT_NAME
    other = target[1] if len(target) > 1 else ROOT_NAME
    if own == other or own in KNOWS_ALL_ADAPTERS:
        return None
    if other == ROOT_NAME:
        return f"{target[0]}/__init__ knows all adapters, so none may import it: use {target[0]}/_<name>.py"
    if other in SHARED_ADAPTER_PARTS or other.startswith("_"):
        return None
    return f"adapters never import each other ({own} → {other}): share through {target[0]}/_<name>.py"


def _external_refusal(importer: tuple[str, ...], target: list[str]) -> str | None:
    top = target[0]
    if importer[0] == "core" and top in IMPURE:
        return f"core is pure and may not import {top}: take what it gives as an argument"
    if top in sys.stdlib_module_names or top in EXTERNAL_EVERYWHERE or importer[0] in EXTERNAL_FREE:
        return None
    allowed = EXTERNAL.get(importer[0], frozenset()) | EXTERNAL.get("/".join(importer[:2]), frozenset())
    return None if top in allowed else f"{importer[0]} may not import {top}: {NO_EXTERNAL_RULE}"
