"""A session of each program that makes it write as many kinds of lines as a scripted model can.

Calls alone and in parallel, errors, images, edits, subagents, hooks, a tool that was searched for and one that there is not, a compaction and
a prompt after it.
"""

from __future__ import annotations

import base64
import json
import struct
import zlib
from pathlib import Path

from tools.genuine.clis import ClaudeCli, CodexCli
from tools.genuine.script import Answer, Call, Script, Search, Shell

COMPACT_AT_TOKENS = 50_000
"""Where the scripted Codex compacts; the scenario once claims to be past it."""
FAILING = "echo no luck >&2; exit 3"


def picture(side: int = 16) -> bytes:
    """Return a small grey PNG."""
    rows = b"".join(b"\0" + bytes([120 + row] * side) for row in range(side))
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    packed = b"".join(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks)
    return b"\x89PNG\r\n\x1a\n" + packed


def _prepare(project: Path) -> tuple[Path, Path]:
    """Put the files of the scenario there; return a picture and a text."""
    image, text = project / "picture.png", project / "notes.txt"
    image.write_bytes(picture())
    text.write_text("one\ntwo\n", encoding="utf-8")
    return image, text


# ---- Claude Code -------------------------------------------------------------------------------------------------------------------------


def claude_script(project: Path) -> Script:
    """Return the scenes of Claude Code in a folder."""
    image, text = str(project / "picture.png"), str(project / "notes.txt")
    agent = {"description": "look aside", "prompt": "Do the [side] work.", "subagent_type": "general-purpose", "run_in_background": False}
    return Script(
        {
            "[main]": [
                Answer("I look at two things at once.", (Shell("echo one"), Call("Read", {"file_path": image})), reasoning="Two at once."),
                Answer("", (Shell(FAILING), Call("Read", {"file_path": f"{text}.missing"}))),
                Answer("", (Call("Read", {"file_path": text}),)),
                Answer("", (Call("Edit", {"file_path": text, "old_string": "two", "new_string": "three"}),)),
                Answer("", (Call("Glob", {"pattern": "*.txt"}), Call("Grep", {"pattern": "three", "output_mode": "content"}))),
                Answer("", (Call("Agent", agent),)),
                Answer("", (Call("NoSuchTool", {"a": 1}),)),
                Answer("", (Call("ToolSearch", {"query": "select:TaskCreate,TaskUpdate"}),)),
                Answer("", (Call("TaskCreate", {"subject": "a task", "description": "to be done"}),)),
                Answer("All of it is done."),
            ],
            "[side]": [Answer("", (Shell("echo aside"),)), Answer("Aside is done.")],
            "[aside]": [
                Answer("", (Call("Agent", {**agent, "prompt": "Do the [far] work.", "run_in_background": True}),)),
                Answer("It runs."),
            ],
            "[far]": [Answer("Far is done.")],
            "[picture]": [Answer("I see a grey square.")],
            "[after]": [Answer("", (Shell("echo after"),)), Answer("And that was that.")],
        }
    )


def play_claude(cli: ClaudeCli) -> list[Path]:
    """Run the scenario; return the session files that there are then, the main one first."""
    image, _ = _prepare(cli.project)
    (cli.project / "CLAUDE.md").write_text("Be brief.\n", encoding="utf-8")
    hook = {"hooks": [{"type": "command", "command": "echo seen"}]}
    settings = {"hooks": {"PreToolUse": [{"matcher": "Bash", **hook}], "UserPromptSubmit": [hook], "Stop": [hook]}}
    folder = cli.home / ".claude"
    folder.mkdir(exist_ok=True)
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    session_id = cli.session_id(cli.ask("Run the [main] scene with @notes.txt please.").check())
    data = base64.b64encode(image.read_bytes()).decode()
    source = {"type": "base64", "media_type": "image/png", "data": data}
    cli.ask_with([{"type": "text", "text": "What is in this [picture]?"}, {"type": "image", "source": source}], resume=session_id).check()
    cli.ask("Now [aside], please.", resume=session_id).check()
    cli.ask("/compact", resume=session_id).check()
    cli.ask("What comes [after] it?", resume=session_id).check()
    return [cli.session_file(session_id), *sorted((cli.folder / session_id).rglob("*.jsonl"))]


# ---- Codex -------------------------------------------------------------------------------------------------------------------------------


def codex_script(project: Path) -> Script:
    """Return the scenes of Codex in a folder."""
    patch = "*** Begin Patch\n*** Update File: notes.txt\n@@\n one\n-two\n+three\n*** End Patch\n"
    spawn = Call("spawn_agent", {"message": "Do the [side] work."}, namespace="multi_agent_v1")
    return Script(
        {
            "[main]": [
                Answer("I do two things at once.", (Shell("echo one"), Shell(FAILING)), reasoning="Two at once."),
                Answer("", (Call("apply_patch", patch),)),
                Answer("", (Call("view_image", {"path": str(project / "picture.png")}),)),
                Answer("", (Call("no_such_tool", {"a": 1}),)),
                Answer("", (Search("spawn an agent, wait for it"),)),
                Answer("", (spawn,)),
                Answer("", (Shell("sleep 1"),)),  # for the other to end
                Answer("", (Call("create_goal", {"objective": "end this"}),)),
                Answer("All of it is done.", input_tokens=COMPACT_AT_TOKENS + 10_000),
            ],
            "[side]": [Answer("", (Shell("echo aside"),)), Answer("Aside is done.")],
            "[after]": [Answer("", (Shell("echo after"),)), Answer("And that was that.")],
        }
    )


def play_codex(cli: CodexCli) -> list[Path]:
    """Run the scenario; return the rollouts that there are then."""
    image, _ = _prepare(cli.project)
    (cli.project / "AGENTS.md").write_text("Be brief.\n", encoding="utf-8")
    thread_id = cli.thread_id(cli.ask("Run the [main] scene.", images=[image]).check())
    cli.ask("What comes [after] it?", resume=thread_id).check()
    return cli.rollouts()
