"""Bring in sessions of Claude Code and Codex, twice, and write one out again byte for byte."""

import tempfile
from pathlib import Path

import turnfold as tf
from turnfold.data.sample import folders


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch, folders() as sample, tf.connect("memory://") as client:
        # The sample ships with Turnfold. Without paths, import_files takes what the tools left on this machine.
        first = client.import_files(sample)
        for file in first.files:
            print(f"{file.outcome}: {file.format}, {file.line_count} lines, {file.event_count} events, {file.problem_count} problems")
        print("again:", client.import_files(sample).outcomes(), "\n")

        for info in client.sessions():
            print(f"{info.agent:<12} {info.message_count:>3} messages  {info.title}")

        # A session and its subagents come out as the tool's own files, named as the tool names them.
        session_id = next(info.id for info in client.sessions(agent="claude-code") if info.parent is None)
        originals = {path.name: path for folder in sample for path in folder.rglob("*.jsonl")}
        print("\nexported:")
        for written in client.export(session_id, Path(scratch), format="claude-code"):
            path = Path(written.path)
            if path.name in originals:
                same = path.read_bytes() == originals[path.name].read_bytes()
                print(f"  {path.name}: {written.byte_count} bytes, identical: {same}")

        # A bundle is lossless and checked. Another store takes it in, digests and seals included.
        bundle = Path(scratch) / "session.turnfold.zip"
        client.export(session_id, bundle, format="bundle")
        with tf.connect("memory://") as other:
            print("\nbundle:", other.import_files([bundle]).outcomes(), other.verify(session_id).event_count, "events verified")


if __name__ == "__main__":
    main()
