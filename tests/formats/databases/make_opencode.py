"""Makes a database with the genuine OpenCode: runs its program against a model on this machine that answers by a script.

Usage: ``make_opencode.py <program> <folder>``; the folder becomes the program's home, the database is written below it.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "total_tokens": 120,
    "prompt_tokens_details": {"cached_tokens": 40},
    "completion_tokens_details": {"reasoning_tokens": 5},
}


def call(index: int, name: str, tool: str, arguments: dict[str, str]) -> dict[str, Any]:
    function = {"name": tool, "arguments": json.dumps(arguments)}
    return {"tool_calls": [{"index": index, "id": name, "type": "function", "function": function}]}


def answer(body: dict[str, Any], work: Path) -> list[dict[str, Any]]:
    """Say what the scripted model says to a request, as deltas."""
    last = body["messages"][-1]
    content = last["content"]
    text = content if isinstance(content, str) else " ".join(block.get("text", "") for block in content)
    if not body.get("tools"):
        return [{"content": "Scripted title"}]
    if last["role"] == "user" and "look" in text:
        return [
            {"reasoning_content": "I should look."},
            {"content": "I will look."},
            call(0, "call_a", "read", {"filePath": str(work / "a.txt")}),
            call(1, "call_b", "bash", {"command": "ls", "description": "list files"}),
            call(2, "call_c", "read", {"filePath": str(work / "missing.txt")}),
        ]
    if last["role"] == "user" and "delegate" in text:
        return [call(0, "call_t", "task", {"description": "small task", "prompt": "Say hi", "subagent_type": "general"})]
    return [{"content": "All "}, {"content": "done."}]


class Model(BaseHTTPRequestHandler):
    """Serves chat completions, streamed."""

    work = Path()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for chunk in self.chunks(body):
            self.wfile.write(b"data: " + chunk + b"\n\n")

    def chunks(self, body: dict[str, Any]) -> Iterator[bytes]:
        base = {"id": "chat-1", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": body["model"]}
        deltas = answer(body, self.work)
        finish = "tool_calls" if "tool_calls" in deltas[-1] else "stop"
        for delta in deltas:
            yield json.dumps({**base, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}).encode()
        yield json.dumps({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}).encode()
        yield json.dumps({**base, "choices": [], "usage": USAGE}).encode()
        yield b"[DONE]"


def config(port: int) -> dict[str, Any]:
    model = {
        "name": "Scripted",
        "cost": {"input": 1, "output": 2, "cache_read": 0.5},
        "limit": {"context": 100_000, "output": 4_000},
        "reasoning": True,
        "tool_call": True,
        "attachment": True,
    }
    options = {"baseURL": f"http://127.0.0.1:{port}/v1", "apiKey": "none"}
    provider = {"npm": "@ai-sdk/openai-compatible", "name": "Loopback", "options": options, "models": {"scripted": model}}
    return {
        "provider": {"loop": provider},
        "model": "loop/scripted",
        "small_model": "loop/scripted",
        "autoupdate": False,
        "share": "disabled",
        "permission": "allow",
    }


def make(program: str, home: Path) -> None:
    work = home / "work"
    work.mkdir(parents=True)
    (work / "a.txt").write_text("content of a\n", encoding="utf-8")
    (work / "dot.png").write_bytes(base64.b64decode(PNG))
    Model.work = work
    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (work / "opencode.json").write_text(json.dumps(config(server.server_port)), encoding="utf-8")
    names = {"XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"}
    environ = {key: value for key, value in os.environ.items() if key not in names} | {"HOME": str(home)}
    environ |= {
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_CONFIG": str(work / "opencode.json"),
        "PWD": str(work),
    }
    for arguments in (["look around"], ["--continue", "what is this", "--file", "dot.png"], ["--continue", "delegate this"]):
        subprocess.run([program, "run", *arguments], cwd=work, env=environ, check=True, timeout=120)
    server.shutdown()


if __name__ == "__main__":
    make(sys.argv[1], Path(sys.argv[2]))
