"""Has a tool's session format moved on? Run the newest programs, and compare what they write with what is known.

    python -m tools.drift                  run both programs, print what is new
    python -m tools.drift --strict         the same, and fail where something is new or nothing could be run
    python -m tools.drift --update         the same, and take what is new into tools/drift_known.json
    python -m tools.drift FILE…            compare session files that are there; with --update learn from them
    python -m tools.drift --npm FOLDER     install newer programs by npm there, if there is npm

The programs play a scripted session on loopback (``tools.genuine.scenario``). Known are the kinds of lines and their fields in
``tools/drift_known.json``, learned from real and generated session files of many versions. Fields are no danger by themselves, since every
line is kept whole; what the readers make of a kind (``opaque``: kept, but without a meaning) says whether there is something to do.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tools.genuine.clis import ClaudeCli, CodexCli
from tools.genuine.install import newest
from tools.genuine.scenario import COMPACT_AT_TOKENS, claude_script, codex_script, play_claude, play_codex
from tools.genuine.server import ScriptedModel
from tools.genuine.shapes import Shapes, kind_of, merge, news, shapes_of

from turnfold.engine.importer import Importer
from turnfold.engine.importing.kept import kept_lines
from turnfold.engine.reading import read_all
from turnfold.model.session import SessionKey
from turnfold.stores.registry import open_store

KNOWN = Path(__file__).parent / "drift_known.json"
FIELDS_SHOWN_MAX = 12
KEPT_ONLY = {
    "api-request": "what was sent to the API, once more: the messages are there as lines of their own",
    "api-request-blob": "the same",
    "api-request-shape": "the same: system prompt and tools",
    "attachment/deferred_tools_record": "the tools' descriptions",
    "attachment/prompt_snapshot": "the tool's own system prompt",
}
"""Kinds that are left without a meaning on purpose, and why."""


@dataclass
class Found:
    """What one program's files hold.

    Attributes:
        shapes: The kinds of lines with their fields.
        lines: How many lines of each kind.
        becomes: Kind → types of the events that the readers make of it.
        problems: What the readers complained about.
    """

    shapes: Shapes = field(default_factory=dict)
    lines: Counter[str] = field(default_factory=Counter)
    becomes: dict[str, set[str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def add(self, path: Path) -> str | None:
        """Read a session file; return its format, or None where it has none."""
        store = open_store("memory://")
        result = Importer(store).import_file(path)
        imported = next((file for file in result.files if file.path == str(path) and file.session_id is not None), None)
        if imported is None or imported.session_id is None:
            self.problems += (f"{path.name}: {file.reason}" for file in result.files)
            return None
        self.problems += (f"{path.name}:{problem.line}: {problem.text}" for problem in result.problems)
        key = SessionKey("default", imported.session_id)
        merge(self.shapes, shapes_of(path.read_bytes().splitlines()))
        events = [event for event in read_all(store, key, with_source=True) if event.source is not None]
        for event, data in zip(events, kept_lines(store, key, None), strict=True):
            kind = _kind(data)
            self.lines[kind] += 1
            self.becomes.setdefault(kind, set()).add(event.type)
        store.close()
        return imported.format


def _kind(data: bytes) -> str:
    try:
        line = json.loads(data)
    except ValueError:
        return "(no JSON)"
    return kind_of(line) if isinstance(line, dict) else "(no object)"


# ---- what is known -----------------------------------------------------------------------------------------------------------------------


def load_known() -> dict[str, Shapes]:
    """Return what is known: format → shapes."""
    if not KNOWN.exists():
        return {}
    known: dict[str, dict[str, list[str]]] = json.loads(KNOWN.read_text(encoding="utf-8"))
    return {name: {kind: set(paths) for kind, paths in shapes.items()} for name, shapes in known.items()}


def save_known(known: dict[str, Shapes]) -> None:
    """Write what is known, sorted, one kind a line."""
    parts = []
    for name, shapes in sorted(known.items()):
        rows = [f"    {json.dumps(kind)}: {json.dumps(sorted(paths))}" for kind, paths in sorted(shapes.items())]
        parts.append(f"  {json.dumps(name)}: {{\n" + ",\n".join(rows) + "\n  }")
    KNOWN.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


# ---- what is found -----------------------------------------------------------------------------------------------------------------------


def play(programs: dict[str, Path], scratch: Path) -> tuple[dict[str, tuple[str, Found]], list[str]]:
    """Run the programs' scenarios; return format → title and what was found, and what went wrong."""
    out: dict[str, tuple[str, Found]] = {}
    problems: list[str] = []
    for name, program in programs.items():
        for provider in ("scripted", "openai") if name == "codex" else ("",):  # Codex compacts in two ways
            home = scratch / f"{name}{provider}"
            with ScriptedModel() as model:
                cli: ClaudeCli | CodexCli
                if name == "claude":
                    cli = ClaudeCli(program, home, model.url)
                    model.script = claude_script(cli.project)
                else:
                    cli = CodexCli(program, home, model.url, provider=provider, compact_at_tokens=COMPACT_AT_TOKENS)
                    model.script = codex_script(cli.project)
                try:
                    paths = play_claude(cli) if isinstance(cli, ClaudeCli) else play_codex(cli)
                except (RuntimeError, OSError, ValueError) as error:
                    problems.append(f"{name}: the scenario broke off: {error}")
                    paths = sorted(home.rglob("projects/**/*.jsonl")) + sorted(home.rglob("rollout-*.jsonl"))
                problems += (f"{name}: {count} answers of scene {scene} were not asked for" for scene, count in model.script.left().items())
                problems += (f"{name}: {failure}" for failure in model.failures)
                title = f"{'Claude Code' if name == 'claude' else 'Codex'} {cli.version()}"
            _, found = out.setdefault("claude-code" if name == "claude" else "codex", (title, Found()))
            for path in paths:
                found.add(path)
    return out, problems


def read_files(paths: Iterable[Path]) -> dict[str, tuple[str, Found]]:
    """Return what session files hold, by format."""
    out: dict[str, tuple[str, Found]] = {}
    files = [file for path in paths for file in ([path] if path.is_file() else sorted(path.rglob("*.jsonl")))]
    for file in files:
        found = Found()
        name = found.add(file)
        if name is None:
            continue
        _, all_of_it = out.setdefault(name, (f"files of {name}", Found()))
        merge(all_of_it.shapes, found.shapes)
        all_of_it.lines += found.lines
        all_of_it.problems += found.problems
        for kind, types in found.becomes.items():
            all_of_it.becomes.setdefault(kind, set()).update(types)
    return out


# ---- what to say -------------------------------------------------------------------------------------------------------------------------


def report(title: str, found: Found, known: Shapes) -> tuple[list[str], int]:
    """Return what to print about one program, and how many things are new."""
    new = news(known, found.shapes)
    kinds = [kind for kind in new if kind not in known]
    grown = {kind: paths for kind, paths in new.items() if kind in known}
    field_count = sum(map(len, grown.values()))
    lines = [
        f"{title}: {found.lines.total()} lines of {len(found.lines)} kinds; {len(kinds)} kinds and {field_count} fields of known kinds are new"
    ]
    lines += (f"  new kind   {kind} → {_becomes(found, kind)}  {{{_some(new[kind])}}}" for kind in kinds)
    lines += (f"  new fields {kind}  {{{_some(paths)}}}" for kind, paths in grown.items())
    opaque = sorted(kind for kind, types in found.becomes.items() if "opaque" in types and kind not in KEPT_ONLY)
    lines += (f"  without a meaning here: {kind} ({found.lines[kind]})" for kind in opaque)
    kept_only = sum(found.lines[kind] for kind in KEPT_ONLY)
    lines += [f"  kept without a meaning on purpose: {kept_only} lines"] if kept_only else []
    lines += (f"  problem: {problem}" for problem in found.problems)
    return lines, len(kinds) + field_count


def _becomes(found: Found, kind: str) -> str:
    return ", ".join(sorted(found.becomes.get(kind, ()))) or "nothing"


def _some(paths: set[str]) -> str:
    shown = sorted(paths)[:FIELDS_SHOWN_MAX]
    return ", ".join(shown) + (f" and {len(paths) - len(shown)} more" if len(paths) > len(shown) else "")


def main(arguments: Sequence[str]) -> int:
    """Run; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.drift", description="Compare what the newest programs write with what is known.")
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="session files or folders instead of a run")
    parser.add_argument("--strict", action="store_true", help="fail where something is new or could not be run")
    parser.add_argument("--update", action="store_true", help=f"take what is new into {KNOWN.name}")
    parser.add_argument("--npm", type=Path, metavar="FOLDER", help="install newer programs there by npm")
    chosen = parser.parse_args(arguments)
    problems: list[str] = []
    if chosen.files:
        found = read_files(chosen.files)
    else:
        with tempfile.TemporaryDirectory() as scratch:
            programs, problems = newest(os.environ, chosen.npm, Path(scratch))
            found, more = play(programs, Path(scratch))
            problems += more
    known = load_known()
    new_count = 0
    for name, (title, one) in found.items():
        lines, count = report(title, one, known.get(name, {}))
        print("\n".join(lines))
        new_count += count
        merge(known.setdefault(name, {}), one.shapes)
    print("\n".join(f"problem: {problem}" for problem in problems), end="\n" if problems else "")
    if chosen.update:
        save_known(known)
    return 1 if chosen.strict and (new_count or problems) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
