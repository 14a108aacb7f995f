"""Hold for an installed wheel: run by `nox -s wheel` in an environment that cannot see the source."""

import importlib.metadata
import sys
from pathlib import Path

import turnfold

PACKAGE = Path(turnfold.__file__).parent


def test_the_package_comes_from_the_wheel() -> None:
    assert PACKAGE.is_relative_to(sys.prefix)


def test_the_versions_agree() -> None:
    assert importlib.metadata.version("turnfold") == turnfold.__version__


def test_type_checkers_may_read_it() -> None:
    assert (PACKAGE / "py.typed").is_file()


def test_the_license_travels_with_it() -> None:
    files = importlib.metadata.files("turnfold") or []
    assert any(file.name == "LICENSE" for file in files)


def test_nothing_but_the_package_is_installed() -> None:
    files = importlib.metadata.files("turnfold") or []
    tops = {file.parts[0] for file in files if ".." not in file.parts}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"turnfold"}


def test_the_migrations_travel_with_it(tmp_path: Path) -> None:
    assert sorted((PACKAGE / "stores" / "sqlite" / "migrations").glob("*.sql"))
    assert sorted((PACKAGE / "stores" / "postgres" / "migrations").glob("*.sql"))
    with turnfold.connect(f"sqlite:///{tmp_path / 's.db'}") as client:
        client.open("s").append(turnfold.user("hello"))
        assert client.store.migrate(post=True, dry_run=True).applied == ()
