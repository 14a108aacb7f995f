"""Makes USF documents with genuine converters, and takes ours through them: ``python make_usf.py FOLDER``.

Needs ``agent-session-linker``. Writes ``made.json``; reads ``ours.json`` where there is one, and writes what becomes of it by way of LangChain.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from agent_session_linker.portable.exporters import LangChainExporter
from agent_session_linker.portable.importers import LangChainImporter
from agent_session_linker.portable.usf import UniversalSession, USFEntity, USFMessage, USFTaskState

AT = datetime(2026, 3, 4, 5, 6, 7, 890, tzinfo=UTC)


def make() -> UniversalSession:
    return UniversalSession(
        session_id="made",
        created_at=AT,
        updated_at=AT,
        framework_source="langchain",
        messages=[
            USFMessage("system", "Be brief.", AT, {}),
            USFMessage("user", "Grüße, what is 2+2?", AT, {"channel": "web"}),
            USFMessage("assistant", "4", AT, {"tool_calls": [{"id": "c1", "function": {"name": "add", "arguments": '{"a": 2}'}}]}),
            USFMessage("tool", "four", AT, {"tool_call_id": "c1"}),
        ],
        working_memory={"topic": "sums", "count": 1.5},
        entities=[USFEntity("Ada", "person", "Ada L.", 0.5)],
        task_state=[USFTaskState("t", "completed", 1.0, None)],
        metadata={"origin": "a test"},
    )


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "made.json").write_text(make().to_json())
    if (folder / "ours.json").exists():
        ours = UniversalSession.from_json((folder / "ours.json").read_text())
        assert ours.verify_checksum()
        (folder / "again.json").write_text(ours.to_json())
        chain = LangChainExporter().export(ours)
        (folder / "langchain.json").write_text(json.dumps(chain))
        (folder / "back.json").write_text(LangChainImporter().import_session(chain).to_json())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
