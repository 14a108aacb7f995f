"""What a tool's own file says, counted from its raw JSON: nothing here uses the code under test but for two names."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from turnfold.formats.carrying.calls import UNKNOWN_TOOL
from turnfold.formats.carrying.media import ERROR_MARK
from turnfold.formats.carrying.note import CLOSE, OPEN

Result = tuple[str, tuple[str, ...], bool]


@dataclass
class Said:
    """The content of a session as multisets.

    Attributes:
        texts: Who (``user``, ``assistant``, ``injected``) and what.
        calls: Id, name, arguments as canonical JSON.
        native_calls: Id and arguments exactly as the line has them, with the kind of its line.
        results: Id, then texts and hashes of images in order, then whether it is marked as an error.
        images: Hashes of all images.
        summaries: Texts that stand for what was compacted.
        searches: Calls of the provider's own tools.
        notes: Notes of origin.
    """

    texts: Counter[tuple[str, str]] = field(default_factory=Counter)
    calls: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    native_calls: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    results: Counter[Result] = field(default_factory=Counter)
    images: Counter[str] = field(default_factory=Counter)
    summaries: Counter[str] = field(default_factory=Counter)
    searches: int = 0
    notes: int = 0
    unreadable_compactions: int = 0

    def say(self, who: str, text: str) -> None:
        """Count a text; notes of origin are none."""
        if text.startswith(OPEN) and text.endswith(CLOSE):
            self.notes += 1
        elif text:
            self.texts[who, text] += 1

    @property
    def all_texts(self) -> Counter[str]:
        """The texts, whoever said them."""
        out: Counter[str] = Counter()
        for (_, text), count in self.texts.items():
            out[text] += count
        return out

    @property
    def real_calls(self) -> Counter[tuple[str, str, str]]:
        """The calls without those that stand for missing ones."""
        return Counter({call: count for call, count in self.calls.items() if call[1] != UNKNOWN_TOOL})

    def result(self, call_id: str, content: list[str], *, is_error: bool) -> None:
        """Count a result; the mark that stands for an error flag is the flag."""
        if content and content[0].startswith(ERROR_MARK):
            rest = content[0].removeprefix(ERROR_MARK)
            content, is_error = [*([rest] if rest else []), *content[1:]], True
        self.results[call_id, tuple(part for part in content if part), is_error] += 1

    def image(self, data: str) -> str:
        """Count an image by its base64 text (some are broken)."""
        digest = "image:" + hashlib.sha256(data.encode()).hexdigest()
        self.images[digest] += 1
        return digest


def canonical(value: Any) -> str:
    """Return arguments as text that does not depend on spaces or the order of keys; what is no object stands in one."""
    return json.dumps(value if isinstance(value, dict) else {"input": value}, sort_keys=True)


def lines_of(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a file, also of lines with two of them."""
    decoder, found = json.JSONDecoder(), []
    for raw in path.read_text("utf-8", "surrogateescape").split("\n"):
        line = raw.strip()
        while line:
            try:
                value, end = decoder.raw_decode(line)
            except ValueError:
                break
            found.append(value)
            line = line[end:].lstrip()
    return found


def read(path: Path) -> Said:
    """Read either tool's file."""
    lines = lines_of(path)
    return codex(lines) if any("payload" in line or "record_type" in line for line in lines[:3]) else claude(lines)


# ---- Claude Code -----------------------------------------------------------------------------------------------------------------------


def claude(lines: list[dict[str, Any]]) -> Said:
    """Read the messages of the main conversation; of a subagent's file all."""
    said, seen = Said(), set()
    own = [line for line in lines if line.get("type") in {"user", "assistant"} and "uuid" in line]
    own = [line for line in own if not line.get("isApiErrorMessage")]  # a notice for people, which the CLI never sends
    for line in lines:
        if line.get("subtype") == "local_command":  # sent to the model as the user's text
            said.say("user", line["content"])
    side = all(line.get("isSidechain") is True for line in own)
    for line in own:
        if (line.get("isSidechain") is True and not side) or json.dumps(line, sort_keys=True) in seen:
            continue
        seen.add(json.dumps(line, sort_keys=True))
        content = line["message"].get("content")
        for block in [{"type": "text", "text": content}] if isinstance(content, str) else content or []:
            _claude_block(said, line, block)
    return said


def _claude_block(said: Said, line: dict[str, Any], block: dict[str, Any]) -> None:
    kind = block["type"]
    if kind == "text" and line.get("isCompactSummary"):
        said.summaries[block["text"]] += 1
    elif kind == "text":
        said.say("injected" if line.get("isMeta") else line["type"], block["text"])
    elif kind == "tool_use":
        name = line.get("turnfold", {}).get("name", block["name"])
        said.calls[block["id"], name, canonical(block["input"])] += 1
    elif kind == "tool_result":
        said.result(block["tool_use_id"], _claude_content(said, block.get("content")), is_error=block.get("is_error") is True)
    elif kind == "image" and block["source"]["type"] == "base64":
        said.image(block["source"]["data"])


def _claude_content(said: Said, content: Any) -> list[str]:
    if not isinstance(content, list):
        return [content or ""]
    return [
        said.image(item["source"]["data"]) if item["type"] == "image" else item["text"] if item["type"] == "text" else json.dumps(item)
        for item in content
    ]


# ---- Codex -----------------------------------------------------------------------------------------------------------------------------


def codex(lines: list[dict[str, Any]]) -> Said:
    """Read the response items; twins and everything else say nothing to the model."""
    said = Said()
    typed = [line["payload"]["message"] for line in lines if line.get("payload", {}).get("type") == "user_message"]
    for line in lines:
        payload = line.get("payload", line)
        if line.get("type") == "compacted":
            _compacted(said, payload)
        elif "payload" not in line or line.get("type") == "response_item":
            _codex_item(said, payload, typed, line.get("turnfold", {}).get("name"))
    return said


def _compacted(said: Said, payload: dict[str, Any]) -> None:
    history = payload.get("replacement_history")
    if history is None:
        said.summaries[payload["message"]] += 1
    elif not payload["message"]:  # sealed for its provider, in some files of the corpus with the sealed item taken out
        said.unreadable_compactions += 1
    else:
        for item in history:
            for block in item.get("content", ()):
                if block.get("text"):
                    said.summaries[block["text"]] += 1


def _codex_item(said: Said, item: dict[str, Any], typed: list[str], name: str | None) -> None:
    kind = item.get("type")
    if name is not None:
        item = {**item, "name": name}
    if kind == "message":
        texts = [block.get("text", "") for block in item["content"]]
        role = item["role"]
        who = (
            role
            if role == "assistant" or "\n".join(filter(None, texts)) in typed or any(text in typed for text in texts if text)
            else "injected"
        )
        for block in item["content"]:
            _codex_block(said, who, block)
    elif kind == "function_call":
        try:
            arguments = json.loads(item["arguments"])
        except ValueError:
            arguments = item["arguments"]
        said.calls[item["call_id"], item["name"], canonical(arguments)] += 1
        said.native_calls[kind, item["call_id"], item["arguments"]] += 1
    elif kind == "custom_tool_call":
        said.calls[item["call_id"], item["name"], canonical(item["input"])] += 1
        said.native_calls[kind, item["call_id"], item["input"]] += 1
    elif kind == "tool_search_call":
        said.calls[item["call_id"], "tool_search", canonical(item["arguments"])] += 1
    elif kind in {"function_call_output", "custom_tool_call_output"}:
        said.result(item["call_id"], _codex_content(said, item["output"]), is_error=False)
    elif kind == "tool_search_output":
        said.result(item["call_id"], [json.dumps(item["tools"], separators=(",", ":"), ensure_ascii=False)], is_error=False)
    elif kind in {"web_search_call", "image_generation_call"}:
        said.searches += 1


def _codex_block(said: Said, who: str, block: dict[str, Any]) -> None:
    if block.get("image_url", "").startswith("data:"):
        said.image(block["image_url"].partition(",")[2])
    else:
        said.say(who, block.get("text", ""))


def _codex_content(said: Said, output: Any) -> list[str]:
    if not isinstance(output, list):
        return [output if isinstance(output, str) else json.dumps(output)]
    return [said.image(block["image_url"].partition(",")[2]) if "image_url" in block else block["text"] for block in output]


def corpus(shared_dir: Path, tool: str) -> list[Path]:
    """Return all session files of a tool; those of trimmed shapes are no conversations (their images, ids and parents are cut out)."""
    folder = shared_dir / "data" / "transcripts" / tool
    return [path for path in sorted(folder.rglob("*.jsonl")) if path.name != "agent-sessions-shapes.jsonl"]
