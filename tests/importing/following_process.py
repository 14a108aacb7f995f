"""Writes to session files as a tool does, in a process of its own. Arguments: FOLDER FILE_COUNT LINE_COUNT LINES_PER_SECOND."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from uuid import UUID

from tests.importing.sessions import codex_line, codex_session


def main(folder: Path, file_count: int, line_count: int, rate: float) -> None:
    paths = [folder / f"rollout-2026-03-01T10-00-00-{UUID(int=number)}.jsonl" for number in range(1, file_count + 1)]
    for number, path in enumerate(paths, 1):
        path.write_bytes(codex_session(str(UUID(int=number)), []))
    begun = time.monotonic()
    for number in range(line_count):
        time.sleep(max(0.0, begun + number / rate - time.monotonic()))
        content = [{"type": "input_text", "text": f"written at {time.time():.6f}"}]
        line = codex_line("response_item", {"type": "message", "role": "user", "content": content})
        with paths[number % file_count].open("ab", buffering=0) as file:
            file.write(line)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
