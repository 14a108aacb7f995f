"""The sample that ships: well formed, small, found through the package, and in the shape that the tools write."""

import json
import zipfile
from pathlib import Path

from turnfold.data import sample
from turnfold.data.sample import folders


def lines_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_both_tools_are_there_and_small() -> None:
    with folders() as found:
        assert [folder.name for folder in found] == ["claude-code", "codex"]
        files = [path for folder in found for path in folder.rglob("*.jsonl")]
    assert len(files) == 3
    assert sum(path.stat().st_size for path in files) < 64 * 1024


def test_lines_are_written_as_the_tools_write_them() -> None:
    with folders() as found:
        for path in (path for folder in found for path in folder.rglob("*.jsonl")):
            for line in path.read_text("utf-8").splitlines(keepends=True):
                assert json.dumps(json.loads(line), ensure_ascii=False, separators=(",", ":")) + "\n" == line


def test_every_parent_exists_and_there_is_a_branch() -> None:
    with folders() as found:
        lines = lines_of(next(found[0].glob("*.jsonl")))
    seen: set[object] = set()
    for line in lines:
        assert line.get("parentUuid") in seen | {None}
        seen.add(line.get("uuid"))
    prompts = [line["parentUuid"] for line in lines if line["type"] == "user" and "toolUseResult" not in line]
    assert len(prompts) - len(set(prompts)) == 1  # one prompt was asked again in other words


def test_a_package_in_a_zip_is_copied_out(tmp_path: Path) -> None:
    archive = tmp_path / "package.zip"
    root = Path(sample.__file__).parent
    with zipfile.ZipFile(archive, "w") as made:
        for path in (path for path in root.rglob("*") if path.is_file() and path.suffix != ".pyc"):
            made.write(path, str(Path("turnfold/data/sample") / path.relative_to(root)))
    target = tmp_path / "out"
    sample._copy(zipfile.Path(archive, "turnfold/data/sample/codex/"), target)
    with folders() as found:
        assert [path.read_bytes() for path in target.glob("*.jsonl")] == [path.read_bytes() for path in found[1].glob("*.jsonl")]
