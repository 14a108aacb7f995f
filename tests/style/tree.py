"""Which files the style tests look at, and what they report."""

import ast
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

GENERATED_MARK = "generated, do not edit"


@dataclass(frozen=True)
class Violation:
    """One broken rule: where, and what to do instead."""

    path: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


@dataclass(frozen=True)
class Module:
    """A parsed Python file below a root."""

    path: str
    text: str
    tree: ast.Module

    def violation(self, node: ast.stmt | ast.expr, message: str) -> Violation:
        return Violation(self.path, node.lineno, message)


def own_files(root: Path) -> list[Path]:
    """List the files that are or would be tracked, relative to ``root`` and sorted.

    Asks git, so that ignored files do not count and new ones do; a tree without git (an unpacked sdist) is walked.
    """
    if (root / ".git").exists():
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        output = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
        candidates = [Path(name) for name in output.split("\0") if name]
    else:
        candidates = [path.relative_to(root) for path in root.rglob("*")]
    return sorted({path for path in candidates if (root / path).is_file() and "__pycache__" not in path.parts})


def python_modules(root: Path, folder: str = ".") -> list[Module]:
    """Parse every own Python file of ``folder``."""
    files = [path for path in own_files(root) if path.suffix == ".py" and (folder == "." or path.is_relative_to(folder))]
    return [_parsed(path.as_posix(), (root / path).read_text(encoding="utf-8")) for path in files]


@cache
def _parsed(name: str, text: str) -> Module:
    return Module(name, text, ast.parse(text, name))


def report(violations: list[Violation]) -> str:
    """Give one line per violation, or the empty string; tests assert that it is empty."""
    return "\n".join(str(violation) for violation in violations)
