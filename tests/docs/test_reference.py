"""The reference is complete: what is public is on its page, and the committed pages are those of the code."""

import re

import click
import msgspec
import pytest
from tools.make_reference import FOLDER, stale
from tools.reference import cli as cli_page
from tools.reference import lifecycle, tables

import turnfold
from tests.support import ROOT
from turnfold import limits
from turnfold.cli.root import cli
from turnfold.config import PREFIX
from turnfold.core.lifecycle import RUN, SESSION
from turnfold.model.event_types import ALIASES, KNOWN_TYPES, PAYLOADS
from turnfold.model.settings import Settings


def page(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def test_the_committed_pages_are_those_of_the_code() -> None:
    assert list(stale()) == [], "run: python -m tools.make_reference"


@pytest.mark.parametrize("name", turnfold.__all__)
def test_every_public_name_is_described(name: str) -> None:
    described = any(f":: turnfold.{name}\n" in page(file) for file in ("python-api.md", "message-parts.md")) or f"## {name}\n" in page(
        "errors.md"
    )
    assert described
    assert getattr(turnfold, name).__doc__, f"{name} has no docstring"


def test_every_public_method_has_a_docstring() -> None:
    for kind in (turnfold.Client, turnfold.AsyncClient, turnfold.Session, turnfold.AsyncSession):
        bare = [name for name in dir(kind) if not name.startswith("_") and not (getattr(kind, name).__doc__ or "").strip()]
        assert bare == []


@pytest.mark.parametrize(("path", "command"), [(" ".join(path), command) for path, command in cli_page.commands(cli)])
def test_every_command_and_option_is_described(path: str, command: click.Command) -> None:
    section = re.search(rf"^#+ {path}\n(.*?)(?=^#|\Z)", page("command-line.md"), re.MULTILINE | re.DOTALL)
    assert section is not None
    assert command.help, f"{path} has no help"
    everywhere = page("command-line.md").split("\n## ", maxsplit=1)[0]
    missing = [name for name in cli_page.option_names(command) if name not in section[1] and name not in everywhere]
    assert missing == []


@pytest.mark.parametrize("name", sorted(PAYLOADS))
def test_every_typed_event_is_described_with_its_fields(name: str) -> None:
    section = re.search(rf"^### {re.escape(name)}\n(.*?)(?=^#|\Z)", page("event-types.md"), re.MULTILINE | re.DOTALL)
    assert section is not None
    assert [field.name for field in msgspec.structs.fields(PAYLOADS[name]) if f"| `{field.encode_name}` |" not in section[1]] == []


def test_every_other_event_type_and_alias_is_named() -> None:
    text = page("event-types.md")
    assert [name for name in KNOWN_TYPES - PAYLOADS.keys() if f"- `{name}`\n" not in text] == []
    assert [name for name in ALIASES if f"| `{name}` |" not in text] == []


def test_every_error_is_described_and_no_code_is_used_twice() -> None:
    text = page("errors.md")
    kinds = tables.error_classes()
    assert len(kinds) > 20
    assert [kind.code for kind in kinds if f"| `{kind.code}` | {kind.fault} |" not in text] == []
    assert len({kind.code for kind in kinds}) == len(kinds)


def test_every_error_is_a_public_name() -> None:
    assert [kind.__name__ for kind in tables.error_classes() if kind.__name__ not in turnfold.__all__] == []


def test_every_limit_is_described() -> None:
    text = page("limits.md")
    names = [name for name in vars(limits) if name.isupper() and name not in {"KIB", "MIB"}]
    assert len(names) > 30
    assert [name for name in names if f"| `{name}` | " not in text] == []
    assert [limit.name for limit in tables.all_limits() if not limit.text] == [], "say in limits.py what it bounds"


def test_every_setting_is_described() -> None:
    text = page("configuration.md")
    names = ["store", "tenant", "owner", "integrity_key", *Settings.__struct_fields__]
    assert [name for name in names if f"| `{name}` | `{PREFIX}{name.upper()}` |" not in text] == []


def test_the_pictures_show_every_state_and_every_step() -> None:
    for picture, transitions in ((lifecycle.session_picture(), SESSION), (lifecycle.run_picture(), RUN)):
        assert [state for state in transitions if f">{state}</text>" not in picture] == []
        steps = {f"{state} to {target}" for state, targets in transitions.items() for target in targets}
        assert set(re.findall(r"<title>(\w+ to \w+)</title>", picture)) == steps


def test_a_state_without_a_place_in_the_picture_is_noticed() -> None:
    with pytest.raises(AssertionError, match="sleeping"):
        lifecycle.draw({"sleeping": frozenset()}, {}, "")


def test_the_reference_index_lists_every_page() -> None:
    index = (FOLDER / "index.md").read_text(encoding="utf-8")
    assert ":glob:" in index
    assert (ROOT / "docs/index.md").read_text(encoding="utf-8").count("reference/index") > 0
