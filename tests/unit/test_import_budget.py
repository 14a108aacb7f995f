"""What an import loads: a user of the embedded stores pays for msgspec and the standard library, and not for what they do not use."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import turnfold

SOURCE = Path(turnfold.__file__).parent.parent
NEVER = frozenset(
    {"asyncio", "click", "rich", "concurrent", "logging", "http", "ssl", "subprocess", "inspect", "pydantic", "dataclasses", "email"}
)
"""Each of these costs milliseconds, and a sync client on an embedded store needs none of them."""

PROBE = """
import json, sys
before = set(sys.modules)
{code}
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def loaded(code: str) -> set[str]:
    """Modules that the code loads in a fresh interpreter, without ``msgspec`` and what it brings itself."""
    found: list[set[str]] = []
    for text in ("import msgspec", code):
        command = [sys.executable, "-c", PROBE.format(code=text)]
        # Not -I: the interpreter under test finds the package as this one does.
        done = subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(SOURCE)}, timeout=60)
        found.append(set(json.loads(done.stdout)))
    return found[1] - found[0]


def top(names: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in names}


def test_the_package_itself_loads_nothing_but_typing() -> None:
    names = loaded("import turnfold")
    assert {name for name in names if name.startswith("turnfold")} == {"turnfold"}
    assert top(names) - {"turnfold"} <= sys.stdlib_module_names
    assert not top(names) & NEVER


@pytest.mark.parametrize("scheme", ["memory", "sqlite", "files"])
def test_an_open_store_loads_msgspec_and_the_standard_library_alone(scheme: str, tmp_path: Path) -> None:
    url = "memory://" if scheme == "memory" else f"{scheme}:///{tmp_path / 'store'}"
    names = loaded(f"import turnfold; turnfold.connect({url!r}, upkeep=False)")
    assert top(names) - {"turnfold", "msgspec"} <= sys.stdlib_module_names
    assert not top(names) & NEVER
    stores = {"memory", "sqlite", "files"} - {scheme}
    assert not {name for name in names if name.startswith(tuple(f"turnfold.stores.{other}" for other in stores))}
    assert not names & {"turnfold.cli", "turnfold.formats", "turnfold.client_async", "turnfold.engine._async"}
