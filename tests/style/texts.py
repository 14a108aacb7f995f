"""Rules on texts: changelog form, the README's two commands, traces of a machine, marks of unfinished work."""

import re
from itertools import pairwise
from pathlib import Path

from tests.style.tree import Violation, own_files

CHANGELOG_SECTIONS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
RELEASE = re.compile(r"## \[(\d+)\.(\d+)\.(\d+)\] - (\d{4}-\d{2}-\d{2})")

# Home, temporary and work folders of a real machine. Made-up people of examples may have a home.
MACHINE_PATH = re.compile(
    r"(?<![\w.~*})>-])/(?:root/|work/|tmp/\w|var/folders/|home/(?!(?:user|alice|robin|bob|me|you|dev)\b)\w"
    r"|Users/(?!(?:user|alice|robin|bob|me|you|dev)\b)\w)"
)
FENCED = re.compile(r"^```[^\n`]*\n(?P<body>.*?)\n?^```\s*$", re.MULTILINE | re.DOTALL)
UNFINISHED = re.compile(r"\b(?:TO" + "DO|FIX" + r"ME)\b")
UNFINISHED_SUFFIXES = frozenset({".py", ".md", ".toml", ".yaml", ".yml", ".sql", ".sh", ".css", ".js", ".ts", ""})


def changelog_violations(text: str, name: str = "CHANGELOG.md") -> list[Violation]:
    """Check the form of Keep a Changelog: Unreleased first, then releases downwards, known sections, bullets."""
    lines = list(enumerate(text.splitlines(), start=1))
    found = [] if text.startswith("# Changelog\n") else [Violation(name, 1, "begin with '# Changelog'")]
    heads = [(number, line) for number, line in lines if line.startswith("## ")]
    if not heads or heads[0][1] != "## [Unreleased]":
        found.append(Violation(name, heads[0][0] if heads else 1, "the first release is '## [Unreleased]'"))
    releases = [(number, line, RELEASE.fullmatch(line)) for number, line in heads if line != "## [Unreleased]"]
    found += [Violation(name, n, f"write '## [1.2.3] - 2030-12-31', not {line!r}") for n, line, match in releases if not match]
    versions = [(number, tuple(map(int, match.groups()[:3]))) for number, _, match in releases if match]
    found += [Violation(name, later[0], "newest release first") for earlier, later in pairwise(versions) if earlier[1] <= later[1]]
    titles = [(number, line[4:]) for number, line in lines if line.startswith("### ")]
    found += [
        Violation(name, number, f"sections are {', '.join(CHANGELOG_SECTIONS)}, not {title}")
        for number, title in titles
        if title not in CHANGELOG_SECTIONS
    ]
    return found + _changelog_body_violations(lines, name)


def _changelog_body_violations(lines: list[tuple[int, str]], name: str) -> list[Violation]:
    """Below a section there are bullets, their continuation lines, blank lines and link targets."""
    found: list[Violation] = []
    in_section = False
    for number, line in lines:
        if line.startswith("#"):
            in_section = line.startswith("### ")
        elif in_section and line and not line.startswith(("- ", "  ", "[")):
            found.append(Violation(name, number, "an entry is a bullet: '- …', continued with two spaces"))
    return found


def fenced_blocks(text: str) -> list[str]:
    """Give the contents of the fenced blocks of a Markdown text, without the closing newline."""
    return [match["body"] for match in FENCED.finditer(text)]


def readme_violations(readme: str, ci_run: str) -> list[Violation]:
    """Check that the first two fenced blocks are one command each, and that CI runs the second, word for word."""
    blocks = fenced_blocks(readme)
    if len(blocks) < 2:
        return [Violation("README.md", 1, "the first two fenced blocks are: install and run; set up and test")]
    found = [
        Violation("README.md", 1, f"fenced block {place} is {len(block.splitlines())} lines, not one command")
        for place, block in enumerate(blocks[:2], start=1)
        if len(block.splitlines()) != 1 or not block.strip()
    ]
    code = [line.strip() for line in ci_run.splitlines() if not line.lstrip().startswith("#")]
    if not any(blocks[1] in line for line in code):
        found.append(Violation(".ci/run", 1, f"does not run the README's test command: {blocks[1]}"))
    return found


def machine_path_violations(root: Path) -> list[Violation]:
    """Find paths of the machine somebody worked on in any own text file."""
    return _matches(root, MACHINE_PATH, "a path of one machine: use a relative path or a made-up one", None)


def unfinished_violations(root: Path) -> list[Violation]:
    """Find marks of unfinished work in code and documents."""
    return _matches(root, UNFINISHED, "finish it, or open an issue", UNFINISHED_SUFFIXES)


def _matches(root: Path, pattern: re.Pattern[str], message: str, suffixes: frozenset[str] | None) -> list[Violation]:
    found: list[Violation] = []
    for path in own_files(root):
        if suffixes is not None and path.suffix not in suffixes:
            continue
        try:
            lines = (root / path).read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue  # not a text
        found += [
            Violation(path.as_posix(), number, f"{match.group()!r}: {message}")
            for number, line in enumerate(lines, start=1)
            if (match := pattern.search(line))
        ]
    return found
