"""The newest programs: out of their Python packages, or by npm where that is there and has a newer one."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tools.genuine.clis import ClaudeCli, CodexCli, find_cli

INSTALL_TIMEOUT_S = 900
_ARCHITECTURES = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}


def by_npm(folder: Path) -> tuple[dict[str, Path], str]:
    """Install the programs by npm in a folder.

    The package of the platform is named itself: it is the program alone, and asks for no version of node.

    Returns:
        What is there then, and what went wrong, if anything.
    """
    npm = shutil.which("npm")
    if npm is None:
        return {}, "there is no npm"
    system = f"{sys.platform}-{_ARCHITECTURES.get(platform.machine().lower(), platform.machine())}"
    packages = [f"@anthropic-ai/claude-code-{system}@latest", "@openai/codex@latest"]
    command = [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", "--ignore-scripts", "--force", *packages]
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S, check=False)
    found = {
        "claude": folder / "node_modules" / "@anthropic-ai" / f"claude-code-{system}" / "claude",
        "codex": next((folder / "node_modules" / "@openai").glob("codex-*/vendor/*/bin/codex"), Path()),
    }
    problem = f"npm: {done.stderr.strip()[-500:]}" if done.returncode else ""
    return {name: path for name, path in found.items() if path.is_file()}, problem


def newest(environ: Mapping[str, str], npm_folder: Path | None, scratch: Path) -> tuple[dict[str, Path], list[str]]:
    """Return the newest of each program that can be had, and what went wrong.

    Args:
        environ: Names programs by TURNFOLD_CLAUDE and TURNFOLD_CODEX; a named one is taken as it is.
        npm_folder: Where npm installs; None leaves npm out.
        scratch: An empty folder to ask versions in.
    """
    others, problem = ({}, "") if npm_folder is None else by_npm(npm_folder)
    found: dict[str, Path] = {}
    for name in ("claude", "codex"):
        candidates = [path for path in (find_cli(name, environ), others.get(name)) if path is not None]
        if candidates:
            named = environ.get(f"TURNFOLD_{name.upper()}")
            found[name] = Path(named) if named else max(candidates, key=lambda path: version_key(_version(path, scratch)))
    missing = [f"{name}: not to be had" for name in ("claude", "codex") if name not in found]
    return found, [*([problem] if problem else []), *missing]


def version_key(version: str) -> tuple[int, ...]:
    """A version's numbers, to compare by."""
    return tuple(map(int, re.findall(r"\d+", version)[:3]))


def _version(path: Path, scratch: Path) -> str:
    make = ClaudeCli if path.name.startswith("claude") else CodexCli
    try:
        return make(path, scratch / "version", "http://127.0.0.1:9").version()
    except (OSError, RuntimeError):
        return "0"


if __name__ == "__main__":  # say what is there
    print(newest(os.environ, None, Path(sys.argv[1])))
