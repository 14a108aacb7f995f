"""Carry a Claude Code session over to Codex, and a Codex session over to Claude Code, with calls, results and images."""

import json
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import turnfold as tf
from turnfold.data.sample import folders


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch, folders() as sample, tf.connect("memory://") as client:
        client.import_files(sample)
        for agent, tool in (("claude-code", "codex"), ("codex", "claude")):
            session_id = next(info.id for info in client.sessions(agent=agent) if info.parent is None)

            # Without ``home`` and ``cwd`` the file goes where the tool looks for it, and the session's own folder is used.
            done = client.resume_with(session_id, tool, home=Path(scratch, tool), cwd=scratch)
            print(f"{agent} → {tool}: {Path(done.path).name}")
            print("  go on with:", " ".join(done.arguments))

            # What the file says, by the types of its lines.
            lines = [json.loads(line) for line in Path(done.path).read_bytes().splitlines()]
            kinds = Counter(kind_of(line) for line in lines)
            print("  in it:", ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())))
            for kind, loss in done.losses.items():
                print(f"  not in it: {loss['count']} × {kind}")

            # The session says where it went on; the file is not imported again until the tool has added to it.
            (link,) = client.open(session_id).events(types=["link"]).items
            print("  link:", link.data["tool"], link.data["native_id"] == done.native_id)
            print("  import:", client.import_files([done.path]).files[0].reason, "\n")


def kind_of(line: dict[str, Any]) -> str:
    """Name what a line is in either tool's format."""
    if "payload" in line:
        return str(line["payload"].get("type", line["type"]))
    content = line.get("message", {}).get("content", line["type"])
    return str(content[0]["type"]) if isinstance(content, list) else str(line["type"])


if __name__ == "__main__":
    main()
