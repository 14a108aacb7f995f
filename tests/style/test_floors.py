from pathlib import Path

import pytest

from tests.style.floors import EXTERNAL, FLOOR_OF, floor_violations
from tests.style.tree import python_modules, report
from tests.support import ROOT

pytestmark = pytest.mark.xdist_group("style")  # the tree is parsed once in a process


def test_imports_keep_to_their_floors() -> None:
    assert report(floor_violations(python_modules(ROOT, "src/turnfold"))) == ""


def test_every_name_of_the_externals_has_a_floor() -> None:
    assert {name.split("/")[0] for name in EXTERNAL} <= FLOOR_OF.keys()


def found_in(root: Path, path: str, line: str) -> str:
    """Plant one line in a small tree and give the report."""
    package = root / "src/turnfold"
    for other in (
        "errors.py",
        "model/event.py",
        "stores/sqlite.py",
        "stores/memory.py",
        "stores/sql/rows.py",
        "stores/_paths.py",
        "core/fold.py",
    ):
        (package / other).parent.mkdir(parents=True, exist_ok=True)
        (package / other).touch()
    (package / path).parent.mkdir(parents=True, exist_ok=True)
    (package / path).write_text(f"{line}\n", encoding="utf-8")
    return report(floor_violations(python_modules(root, "src/turnfold")))


@pytest.mark.parametrize(
    ("path", "line", "says"),
    [
        ("model/event.py", "from turnfold.core import fold", "model (F0) may import F0"),
        ("model/event.py", "from ..core.fold import fold", "not core.fold (F1)"),
        ("core/window.py", "import turnfold.stores.memory", "core (F1)"),
        ("core/window.py", "from turnfold import connect", "not __init__ (F6)"),
        ("core/window.py", "import time", "core is pure"),
        ("core/window.py", "from random import choice", "core is pure"),
        ("ports/store.py", "from turnfold.core.fold import Head", "ports (F3)"),
        ("engine/hub.py", "from turnfold.stores.sqlite import Store", "not stores.sqlite (F4)"),
        ("engine/hub.py", "if TYPE_CHECKING:\n    from turnfold.stores.sqlite import Store", "not stores.sqlite (F4)"),
        ("engine/hub.py", "def late():\n    from turnfold import stores", "not stores (F4)"),
        ("engine/hub.py", "import_module('turnfold.stores.sqlite')", "not stores.sqlite (F4)"),
        ("stores/files.py", "from turnfold.stores.sqlite import rows", "never import each other (files → sqlite)"),
        ("stores/files.py", "from . import sqlite", "never import each other (files → sqlite)"),
        ("stores/sql/rows.py", "from turnfold.stores import sqlite", "never import each other (sql → sqlite)"),
        ("stores/files.py", "from turnfold.stores import open_store", "knows all adapters"),
        (
            "stores/files.py",
            "from turnfold.artifacts import local",
            "an adapter (stores) never imports another (artifacts)",
        ),
        ("stores/files.py", "import psycopg", "stores may not import psycopg"),
        ("cli/main.py", "from turnfold.core.fold import fold", "cli (F7)"),
        ("cli/main.py", "from turnfold.ports.store import Store", "cli (F7)"),
        ("cli/main.py", "import requests", "cli may not import requests"),
        ("client.py", "import turnfold.cli", "client (F6)"),
        ("helpers.py", "", "turnfold.helpers has no floor"),
    ],
)
def test_a_planted_import_is_found(tmp_path: Path, path: str, line: str, says: str) -> None:
    assert says in found_in(tmp_path, path, line)


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("model/event.py", "import msgspec\nimport turnfold.errors"),
        ("core/window.py", "from turnfold.model.event import Event\nfrom turnfold.core.fold import fold"),
        ("stores/sqlite.py", "import sqlite3\nfrom turnfold.stores.sql.rows import decode"),
        ("stores/sqlite.py", "from turnfold.stores._paths import resolve\nfrom turnfold.core.fold import fold"),
        ("stores/registry.py", "from turnfold.stores import memory, sqlite"),
        ("stores/postgres/__init__.py", "import psycopg\nfrom turnfold.stores.postgres.commit import commit"),
        (
            "cli/main.py",
            "import click\nimport turnfold as tf\nfrom turnfold import user\nfrom turnfold.errors import Error",
        ),
        ("testing/clock.py", "from turnfold.ports.clock import Clock"),
        ("__init__.py", "from turnfold.connecting import connect\nfrom turnfold.errors import TurnfoldError"),
        ("integrations/some.py", "import some_framework"),
    ],
)
def test_what_the_table_allows_passes(tmp_path: Path, path: str, line: str) -> None:
    assert found_in(tmp_path, path, line) == ""
