"""Drivers of the genuine programs: each in a home of its own, with dummy keys, telemetry off, and no way out but loopback.

A program is found by its variable (``TURNFOLD_CLAUDE``, ``TURNFOLD_CODEX``: a path), else in the Python package that brings it.
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

RUN_TIMEOUT_S = 120
KEY = "dummy-key-of-a-scripted-model"
CLAUDE_MODEL = "claude-sonnet-4-5"
CODEX_MODEL = "gpt-5.5"
CLAUDE_TOOLS = "Bash Read Edit Write Glob Grep Task Agent TodoWrite"
CODEX_TOKENS_MAX = 100_000_000
"""Window of Codex's scripted model, so that it compacts only where the script wants it."""
_VARIABLES = {"claude": "TURNFOLD_CLAUDE", "codex": "TURNFOLD_CODEX"}
_PACKAGES = {"claude": ("claude_agent_sdk", "_bundled/claude"), "codex": ("codex_cli_bin", "bin/codex")}
_SOURCES = ["cli", "vscode", "exec", "appServer"]
_unsafe = re.compile(r"[^A-Za-z0-9]")


def find_cli(name: str, environ: Mapping[str, str]) -> Path | None:
    """Return the program ``claude`` or ``codex``, or None where it is not installed."""
    named = environ.get(_VARIABLES[name])
    if named:
        return Path(named)
    package, inside = _PACKAGES[name]
    spec = importlib.util.find_spec(package)
    folders = [] if spec is None else [Path(place) for place in spec.submodule_search_locations or ()]
    return next((folder / inside for folder in folders if (folder / inside).is_file()), None)


class Ran(NamedTuple):
    """A run that has ended."""

    command: Sequence[str]
    exit_status: int
    stdout: str
    stderr: str

    def check(self) -> Ran:
        """Return itself.

        Raises:
            RuntimeError: The program failed; says what it printed.
        """
        if self.exit_status:
            said = f"{self.stdout[-2000:]}\n{self.stderr[-2000:]}".strip()
            raise RuntimeError(f"{' '.join(self.command)}: exit status {self.exit_status}\n{said}")
        return self


class _Cli:
    """What both programs share."""

    def __init__(self, program: Path, home: Path, url: str) -> None:
        """Take the program, an empty folder as its home, and the scripted model's address."""
        self.program = program
        self.home = home
        self.url = url
        self.project = home / "project"
        self.project.mkdir(parents=True, exist_ok=True)

    @property
    def environ(self) -> dict[str, str]:
        """The whole environment of the program: nothing of the caller's."""
        return {
            "HOME": str(self.home),
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "TMPDIR": str(self.home),
            # Whoever looks for a way out finds the scripted model, which refuses and remembers.
            "HTTP_PROXY": self.url,
            "HTTPS_PROXY": self.url,
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def version(self) -> str:
        """The program's version, e.g. ``2.1.329``."""
        said = self._run(["--version"]).check().stdout
        match = re.search(r"\d+\.\d+\.\d+[\w.-]*", said)
        return match[0] if match else said.strip()

    def _run(self, arguments: Sequence[str], stdin: str = "") -> Ran:
        command = [str(self.program), *arguments]
        done = subprocess.run(
            command, cwd=self.project, env=self.environ, input=stdin, capture_output=True, text=True, timeout=RUN_TIMEOUT_S, check=False
        )
        return Ran(command, done.returncode, done.stdout, done.stderr)


class ClaudeCli(_Cli):
    """Claude Code."""

    @property
    def environ(self) -> dict[str, str]:
        """With the scripted model as its API, and every side business switched off."""
        return {
            **super().environ,
            "CLAUDE_CONFIG_DIR": str(self.home / ".claude"),
            "ANTHROPIC_BASE_URL": self.url,
            "ANTHROPIC_API_KEY": KEY,
            "ANTHROPIC_MODEL": CLAUDE_MODEL,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_TELEMETRY": "1",
            "DISABLE_ERROR_REPORTING": "1",
            "DISABLE_AUTOUPDATER": "1",
        }

    @property
    def folder(self) -> Path:
        """Where it keeps the sessions of its project."""
        return self.home / ".claude" / "projects" / _unsafe.sub("-", str(self.project.resolve()))

    def session_file(self, session_id: str) -> Path:
        """The file of a session, there or not."""
        return self.folder / f"{session_id}.jsonl"

    def place(self, session_id: str, content: bytes) -> Path:
        """Put a session's file where ``--resume`` looks for it."""
        path = self.session_file(session_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def ask(self, prompt: str, *, resume: str | None = None, more: Sequence[str] = ()) -> Ran:
        """Run one prompt to its end."""
        arguments = ["-p", "--output-format", "json", "--allowedTools", CLAUDE_TOOLS, *more]
        if resume is not None:
            arguments += ["--resume", resume]
        return self._run(arguments, stdin=prompt)

    def ask_with(self, content: Sequence[dict[str, Any]], *, resume: str) -> Ran:
        """Run a prompt of several blocks to its end."""
        arguments = ["-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose", "--resume", resume]
        return self._run(arguments, stdin=json.dumps({"type": "user", "message": {"role": "user", "content": list(content)}}) + "\n")

    def session_id(self, ran: Ran) -> str:
        """The session's id that a run reported."""
        return str(json.loads(ran.stdout)["session_id"])


class CodexCli(_Cli):
    """Codex."""

    def __init__(self, program: Path, home: Path, url: str, *, provider: str = "openai", compact_at_tokens: int = CODEX_TOKENS_MAX) -> None:
        """Write the configuration that leads to the scripted model.

        Args:
            program: The program.
            home: An empty folder.
            url: The scripted model's address.
            provider: Codex's name for where the model is. A thread that names its own goes on with that one alone, so the built-in name
                is the one that real threads can be resumed with; ``scripted`` and ``mock`` lead to the same place.
            compact_at_tokens: Where it compacts by itself.
        """
        super().__init__(program, home, url)
        self.codex_home = home / ".codex"
        self.codex_home.mkdir(exist_ok=True)
        settings = f"""
model = "{CODEX_MODEL}"
model_provider = "{provider}"
openai_base_url = "{url}/v1"
model_context_window = {CODEX_TOKENS_MAX}
model_auto_compact_token_limit = {compact_at_tokens}
tool_output_token_limit = {CODEX_TOKENS_MAX}
approval_policy = "never"
sandbox_mode = "danger-full-access"
check_for_update_on_startup = false
features = {{ apps = false, plugins = false, remote_plugin = false }}
analytics = {{ enabled = false }}
"""
        for name in ("scripted", "mock"):
            settings += f"""
[model_providers.{name}]
name = "{name}"
base_url = "{url}/v1"
wire_api = "responses"
env_key = "CODEX_API_KEY"
supports_websockets = false
"""
        (self.codex_home / "config.toml").write_text(settings, encoding="utf-8")

    @property
    def environ(self) -> dict[str, str]:
        """With a home and a key of its own."""
        return {**super().environ, "CODEX_HOME": str(self.codex_home), "CODEX_API_KEY": KEY}

    def place(self, name: str, content: bytes) -> Path:
        """Put a rollout where ``resume`` looks for it; ``name`` is a rollout's file name with its date."""
        match = re.match(r"rollout-(\d{4})-(\d\d)-(\d\d)T", name)
        year, month, day = match.groups() if match else ("1970", "01", "01")
        path = self.codex_home / "sessions" / year / month / day / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def rollouts(self) -> list[Path]:
        """Every rollout of this home, oldest name first."""
        return sorted((self.codex_home / "sessions").rglob("rollout-*.jsonl"))

    def ask(self, prompt: str, *, resume: str | None = None, images: Sequence[Path] = (), more: Sequence[str] = ()) -> Ran:
        """Run one prompt to its end."""
        arguments = ["exec", "--json", "--skip-git-repo-check", *more]
        if resume is not None:
            arguments.append("resume")
        arguments += (word for image in images for word in ("--image", str(image)))
        arguments += ["--", *([] if resume is None else [resume]), prompt]
        return self._run(arguments)

    def thread_id(self, ran: Ran) -> str:
        """The thread's id that a run reported."""
        return str(json.loads(ran.stdout.splitlines()[0])["thread_id"])

    def threads(self) -> list[dict[str, Any]]:
        """The threads that Codex itself lists, by its app server.

        Raises:
            RuntimeError: It gave no list.
        """
        asked: list[dict[str, Any]] = [
            {"id": 1, "method": "initialize", "params": {"clientInfo": {"name": "turnfold-tests", "version": "0"}}},
            {"method": "initialized"},
            {"id": 2, "method": "thread/list", "params": {"limit": 100, "modelProviders": [], "sourceKinds": _SOURCES}},
        ]
        with AppServer(self) as server:
            return list(server.ask(asked)["data"])


class AppServer:
    """Codex's app server: JSON lines by its standard input and output."""

    def __init__(self, cli: CodexCli) -> None:
        """Start it."""
        self._process = subprocess.Popen(
            [str(cli.program), "app-server"],
            cwd=cli.project,
            env=cli.environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, messages: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Send messages, and return the result of the last one.

        Raises:
            RuntimeError: It answered with an error, or ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        for message in messages:
            self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            said = json.loads(line)
            if said.get("id") == messages[-1]["id"]:
                if "error" in said:
                    raise RuntimeError(f"{messages[-1]['method']}: {said['error']}")
                return dict(said["result"])
        raise RuntimeError(f"{messages[-1]['method']}: the app server ended")
