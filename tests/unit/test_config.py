from __future__ import annotations

from pathlib import Path

import pytest

import turnfold as tf
from turnfold.config import data_dir, load_config


def test_defaults_and_their_origin(tmp_path: Path) -> None:
    config = load_config(environ={"XDG_DATA_HOME": str(tmp_path)}, directory=tmp_path)
    assert config.store == f"sqlite:///{data_dir({'XDG_DATA_HOME': str(tmp_path)})}/turnfold.db"
    assert (config.tenant, config.owner, config.integrity_key, config.settings) == ("default", None, None, tf.Settings())
    assert set(config.origin.values()) == {"default"}


def test_arguments_win_over_environment_over_file(tmp_path: Path) -> None:
    file = tmp_path / "turnfold.toml"
    file.write_text('store = "files:///f"\ntenant = "file"\nturns_max = 3\nowner = "file"\n', encoding="utf-8")
    environ = {"TURNFOLD_TENANT": "env", "TURNFOLD_OWNER": "env", "TURNFOLD_VERIFY_ON_READ": "yes", "TURNFOLD_SESSION_TTL_S": "1.5"}
    config = load_config(environ=environ, directory=tmp_path, owner="argument")
    assert (config.store, config.tenant, config.owner) == ("files:///f", "env", "argument")
    assert config.settings == tf.Settings(turns_max=3, verify_on_read=True, session_ttl_s=1.5)
    assert config.origin["owner"] == "argument"
    assert config.origin["tenant"] == "environment TURNFOLD_TENANT"
    assert config.origin["store"] == str(file)


@pytest.mark.parametrize(
    ("environ", "text", "words"),
    [
        ({"TURNFOLD_TURNS_MAX": "many"}, "", "TURNFOLD_TURNS_MAX cannot be 'many'"),
        ({}, "turns_max = 'x'", "turns_max in .*turnfold.toml cannot be 'x'"),
        ({}, "colour = 1", "no setting is named colour"),
        ({}, "tenant = ", "is not TOML"),
        ({"TURNFOLD_CONFIG": "missing.toml"}, "", "there is no configuration file missing.toml"),
    ],
)
def test_what_cannot_be_understood_is_named(tmp_path: Path, environ: dict[str, str], text: str, words: str) -> None:
    (tmp_path / "turnfold.toml").write_text(text, encoding="utf-8")
    with pytest.raises(tf.InvalidInput, match=words):
        load_config(environ=environ, directory=tmp_path)


def test_the_key_never_reaches_a_repr(tmp_path: Path) -> None:
    config = load_config(environ={}, directory=tmp_path, integrity_key="hush", store="memory://")
    assert config.integrity_key == b"hush"
    assert "hush" not in repr(config)
    with tf.connect("memory://", integrity_key="hush") as client:
        assert "hush" not in repr(client)


@pytest.mark.parametrize(
    "url", ["agent.db", "nosuch://x", "sqlite://", "sqlite:///x.db?colour=red", "sqlite://host/x.db", "files:///x?durability=maybe"]
)
def test_urls_that_name_no_store_say_so(url: str) -> None:
    with pytest.raises(tf.InvalidInput):
        tf.connect(url)


def test_three_slashes_are_relative_and_four_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tf.connect("sqlite:///a%20b.db").close()
    tf.connect(f"sqlite:///{tmp_path}/deep/c.db").close()
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.db")} == {"a b.db", "deep/c.db"}


def test_override_holds_for_its_context_alone() -> None:
    with tf.connect("memory://") as client:
        with tf.override(turns_max=1):
            session = client.open("s")
            session.append(tf.user("1"))
            with pytest.raises(tf.LimitExceeded), tf.override(branches_max=1):
                session.append(tf.user("2"))
        session.append(tf.user("2"))
        with pytest.raises(tf.InvalidInput), tf.override(colour=1):
            pass
