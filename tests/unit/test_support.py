from pathlib import Path

import pytest

from tests.support import shared_dir_or_stop


def test_the_folder_beside_the_repository_is_the_default(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    assert shared_dir_or_stop({}, tmp_path / "repo") == (tmp_path / "shared").resolve()


def test_the_environment_names_another_folder(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "elsewhere").mkdir()
    environ = {"TURNFOLD_SHARED_DIR": str(tmp_path / "elsewhere"), "CI": "true"}
    assert shared_dir_or_stop(environ, tmp_path / "repo") == (tmp_path / "elsewhere").resolve()


def test_absence_skips_with_a_line_that_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(pytest.skip.Exception, match="set TURNFOLD_SHARED_DIR"):
        shared_dir_or_stop({}, tmp_path / "repo")


def test_absence_fails_in_ci(tmp_path: Path) -> None:
    with pytest.raises(pytest.fail.Exception, match="CI=true"):
        shared_dir_or_stop({"CI": "true"}, tmp_path / "repo")
