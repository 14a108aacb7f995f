import ast
from pathlib import Path

import pytest

from tests.style import code
from tests.style.tree import Module, own_files, python_modules, report
from tests.support import ROOT

pytestmark = pytest.mark.xdist_group("style")  # the tree is parsed once in a process


def test_files_are_short() -> None:
    assert report(code.file_length_violations(python_modules(ROOT))) == ""


def test_functions_fit_a_screen() -> None:
    assert report(code.function_length_violations(python_modules(ROOT))) == ""


def test_banned_names_are_absent() -> None:
    assert report(code.banned_violations(python_modules(ROOT, "src/turnfold"))) == ""


def module(text: str, path: str = "src/turnfold/engine/hub.py") -> Module:
    return Module(path, text, ast.parse(text))


@pytest.mark.parametrize(("lines", "violations"), [(code.FILE_LINES_MAX, 0), (code.FILE_LINES_MAX + 1, 1)])
def test_a_long_file_is_found(lines: int, violations: int) -> None:
    assert len(code.file_length_violations([module("x = 1\n" * lines)])) == violations


@pytest.mark.parametrize(("lines", "violations"), [(code.FUNCTION_LINES_MAX, 0), (code.FUNCTION_LINES_MAX + 1, 1)])
def test_a_long_function_is_found_whatever_its_docstring(lines: int, violations: int) -> None:
    docstring = '    """Do it.\n\n    Args: …\n    """\n'
    text = "async def f():\n" + docstring + "    x = 1\n" * (lines - 1)
    assert len(code.function_length_violations([module(text)])) == violations


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("import datetime\ndatetime.datetime.now()", "datetime.datetime.now is banned: take the time"),
        ("import datetime as dt\ndt.datetime.now(dt.UTC)", "datetime.datetime.now"),
        ("from datetime import datetime\ndatetime.utcnow()", "datetime.datetime.utcnow"),
        ("from datetime import datetime as d\nfield(default_factory=d.now)", "datetime.datetime.now"),
        ("import time\ntime.time()", "time.time is banned"),
        ("import time\ntime.time_ns()", "time.time_ns is banned"),
        ("from time import time as now\nnow()", "time.time is banned"),
        ("from dataclasses import asdict\nasdict(x)", "dataclasses.asdict is banned: it copies deeply"),
        ("import msgspec\nmsgspec.structs.asdict(x)", "msgspec.structs.asdict"),
        ("print('x')", "print is banned: write through a face"),
    ],
)
def test_a_banned_name_is_found(text: str, says: str) -> None:
    assert says in report(code.banned_violations([module(text)]))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("src/turnfold/cli/main.py", "print('x')"),
        ("src/turnfold/ports/clock.py", "import time\ntime.time_ns()"),
        ("src/turnfold/ids.py", "from time import time_ns\ntime_ns()"),
        ("src/turnfold/engine/hub.py", "import time\ntime.monotonic()\nself.time.time()\nconsole.print(1)"),
    ],
)
def test_its_one_place_and_likenesses_pass(path: str, text: str) -> None:
    assert report(code.banned_violations([module(text, path)])) == ""


def test_the_repository_is_really_read() -> None:
    assert Path("src/turnfold/__init__.py") in own_files(ROOT)
    assert {"src/turnfold/__init__.py", "tests/style/test_code.py"} <= {item.path for item in python_modules(ROOT)}


def test_a_planted_file_is_read_from_a_tree_without_git(tmp_path: Path) -> None:
    (tmp_path / "src/turnfold").mkdir(parents=True)
    (tmp_path / "src/turnfold/planted.py").write_text("import time\nnow = time.time()\n", encoding="utf-8")
    found = code.banned_violations(python_modules(tmp_path, "src/turnfold"))
    assert [(item.path, item.line) for item in found] == [("src/turnfold/planted.py", 2)]
