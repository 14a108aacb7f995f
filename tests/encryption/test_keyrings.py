"""Where keys are: files, the environment, the system's keyring, a KMS; what is no keyring, and which one a URL means."""

import base64
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import keyring as system_keyring
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keyring.backend import KeyringBackend

import turnfold as tf
from tests.encryption.conftest import QUIET, Place
from tests.support import ROOT
from turnfold.codec.keyring import make_master, unwrap, wrap
from turnfold.errors import (
    AlreadyExists,
    IntegrityError,
    InvalidInput,
    KeyUnavailable,
    MissingExtra,
    NotSupported,
    PermissionDenied,
    TurnfoldError,
)
from turnfold.limits import KEY_CACHE_SESSIONS_MAX
from turnfold.model.query import EventQuery
from turnfold.model.session import SessionKey
from turnfold.ports.keyring import Keyring, Kms
from turnfold.stores.encrypted import EncryptedStore
from turnfold.stores.encrypted.derived import DerivedKeyring
from turnfold.stores.encrypted.filering import FileKeyring
from turnfold.stores.memory import MemoryStore

S = SessionKey("default", "s")


def texts(client: tf.Client, session_id: str = "s") -> list[str]:
    return [message.text for message in client.open(session_id, create=False).messages()]


# ---- the file -------------------------------------------------------------------------------------------------------------------------


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    FileKeyring.create_file(path)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(AlreadyExists):
        FileKeyring.create_file(path)
    keyring = FileKeyring(path)
    keyring.create(S, "i")
    keyring.forget(S)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    with pytest.raises(PermissionDenied, match="can be read"):
        FileKeyring(path)


@pytest.mark.parametrize("content", [b"", b"{}\n", b"nonsense\n", b'{"turnfold_keyring":1}\n', b'{"master":"x"}\n', b"\xff\xfe\n"])
def test_what_is_no_keyring(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "keys"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(IntegrityError):
        FileKeyring(path)


def test_no_damage_gives_another_key(tmp_path: Path) -> None:
    """Whatever byte of a keyring is changed: the key is the same, or an error says that there is none."""
    path = tmp_path / "keys"
    keyring = FileKeyring.create_file(path)
    secret, index, raw = keyring.create(S, "i").secret, keyring.index_secret(), path.read_bytes()

    @given(st.integers(0, len(raw) - 1), st.integers(1, 255))
    def damage(at: int, change: int) -> None:
        path.write_bytes(raw[:at] + bytes([raw[at] ^ change]) + raw[at + 1 :])
        with suppress(TurnfoldError):
            damaged = FileKeyring(path)
            assert (damaged.current(S, "i").secret, damaged.index_secret()) == (secret, index)

    damage()


def test_what_a_killed_process_left_goes_with_a_forgotten_key(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    keyring = FileKeyring.create_file(path)
    keyring.create(S, "i")
    left = tmp_path / "keys.1.2.tmp"
    left.write_bytes(path.read_bytes())
    keyring.forget(S)
    assert not left.exists()


def _make_and_forget(path: str) -> None:
    keyring = FileKeyring(path)
    number = 0
    while True:
        key = SessionKey("default", f"s{number}")
        keyring.create(key, "i")
        os.write(1, f"made {number}\n".encode())
        if number % 3 == 0:
            keyring.forget(key)
            os.write(1, f"forgot {number}\n".encode())
        number += 1


def test_killed_at_any_time_it_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    for turn in range(3):
        path = tmp_path / f"keys{turn}"
        FileKeyring.create_file(path)
        code = f"from tests.encryption.test_keyrings import _make_and_forget; _make_and_forget({str(path)!r})"
        with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            heard = [process.stdout.readline() for _ in range(2 + 4 * turn)]
            process.kill()
            heard += process.stdout.read().splitlines(keepends=True)
        said = [line.split() for line in heard if line.endswith("\n")]
        made, forgot = ({int(number) for word, number in said if word == what} for what in ("made", "forgot"))
        assert made
        keyring = FileKeyring(path)
        kept = {info.session_id for info in keyring.list_keys() if info.state == "current" and info.kind == "session"}
        assert {f"s{number}" for number in made - forgot - {max(made)}} <= kept
        assert not kept & {f"s{number}" for number in forgot}
        for name in kept:
            keyring.current(SessionKey("default", str(name)), "i")
        keyring.create(S, "goes on")


def test_a_newer_keyring_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_bytes(b'{"turnfold_keyring":2}\n')
    path.chmod(0o600)
    with pytest.raises(tf.SchemaTooNew, match="version 2"):
        FileKeyring(path)


def test_a_torn_line_is_no_key_and_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    keyring = FileKeyring.create_file(path)
    first = keyring.create(S, "i")
    with path.open("ab") as file:
        file.write(b'{"kid":"half')
    again = FileKeyring(path)
    assert again.current(S, "i").secret == first.secret
    other = again.create(SessionKey("default", "t"), "j")
    assert keyring.current(SessionKey("default", "t"), "j").secret == other.secret


def test_a_wrapped_key_is_bound_to_its_session(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    keyring = FileKeyring.create_file(path)
    key = keyring.create(S, "i")
    lines = path.read_bytes().replace(b'"session":"s"', b'"session":"t"')
    path.write_bytes(lines)
    with pytest.raises(IntegrityError, match=key.kid):
        FileKeyring(path).current(SessionKey("default", "t"), "i")


def test_a_missing_keyring_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(KeyUnavailable, match="no keyring") as caught:
        tf.connect(f"encrypted+sqlite:///{tmp_path}/a.db", keyring=str(tmp_path / "none"))
    assert "turnfold keys new" in caught.value.hint
    assert not (tmp_path / "a.db").exists()


def test_another_keyring(place: Place, tmp_path: Path) -> None:
    with place.client() as client:
        client.open("s", tags=["x"]).append(tf.user("x"))
    other = EncryptedStore(place.inner(), FileKeyring.create_file(tmp_path / "other"))
    with tf.Client(other, settings=QUIET) as client:
        for call in (
            lambda: client.open("s", create=False),
            lambda: client.open("s").append(tf.user("y")),
            client.sessions,
            lambda: client.sessions(tags=["x"]),
            lambda: other.read_events(EventQuery(key=S)),
        ):
            with pytest.raises(KeyUnavailable, match="other"):
                call()


# ---- held keys are bounded ------------------------------------------------------------------------------------------------------------


def test_held_keys_are_bounded_and_forgotten_on_close() -> None:
    store = EncryptedStore(MemoryStore(), DerivedKeyring([secrets.token_bytes(32)], "a test"))
    with tf.Client(store, settings=QUIET) as client:
        for index in range(KEY_CACHE_SESSIONS_MAX + 10):
            client.open(f"s{index}").append(tf.user("x"))
        assert len(store._keys._held) == KEY_CACHE_SESSIONS_MAX
        assert texts(client, "s0") == ["x"]
    assert (store._keys._held, store._keys._openers) == ({}, {})


# ---- the environment ------------------------------------------------------------------------------------------------------------------


def test_a_master_key_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"encrypted+sqlite:///{tmp_path}/a.db"
    monkeypatch.setenv("TURNFOLD_KEYRING", "env:MASTER")
    monkeypatch.setenv("MASTER", make_master())
    with tf.connect(url, upkeep=False) as client:
        client.open("s", title="t").append(tf.user("x"))
        with pytest.raises(NotSupported, match="derives"):
            client.forget_key("s")
        client.open("gone").append(tf.user("x"))
        client.delete("gone")
    with tf.connect(url, upkeep=False) as client:
        assert texts(client) == ["x"]
    old = os.environ["MASTER"]
    monkeypatch.setenv("MASTER", f"{make_master()},{old}")  # rotated: the new one first
    with tf.connect(url, upkeep=False) as client:
        client.open("s").append(tf.user("y"))
        assert texts(client) == ["x", "y"]
        assert client.open("s").info().title == "t"
    monkeypatch.setenv("MASTER", make_master())
    with tf.connect(url, upkeep=False) as client:
        for call in (lambda: texts(client), lambda: client.open("s").append(tf.user("z")), client.sessions):
            with pytest.raises(KeyUnavailable, match="env:MASTER"):
                call()


@pytest.mark.parametrize("value", ["", "short", "=" * 44, "zz" * 32, base64.b64encode(b"x" * 31).decode()])
def test_what_is_no_master_key_is_never_shown(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("MASTER", value)
    with pytest.raises(KeyUnavailable) as caught:
        DerivedKeyring.from_environment("MASTER")
    assert not value or value not in str(caught.value)


def test_master_keys_in_either_notation() -> None:
    key = secrets.token_bytes(32)
    os.environ["TF_TEST_MASTER"] = key.hex()
    first = DerivedKeyring.from_environment("TF_TEST_MASTER").current(S, "i")
    os.environ["TF_TEST_MASTER"] = base64.urlsafe_b64encode(key).decode()
    assert DerivedKeyring.from_environment("TF_TEST_MASTER").current(S, "i") == first
    del os.environ["TF_TEST_MASTER"]


# ---- the system's keyring and a KMS ---------------------------------------------------------------------------------------------------


class KeptInMemory(KeyringBackend):
    """A backend of the real ``keyring`` library that forgets at the end of the test."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


@pytest.fixture
def backend() -> Iterator[KeptInMemory]:
    before = system_keyring.get_keyring()
    backend = KeptInMemory()
    system_keyring.set_keyring(backend)
    yield backend
    system_keyring.set_keyring(before)


def test_master_keys_in_the_systems_keyring(backend: KeptInMemory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    made = tf.new_keyring("os:mine")
    kept = next(iter(backend.kept.values()))
    path = Path(made.describe())
    assert path.is_relative_to(tmp_path)
    with pytest.raises(AlreadyExists):
        tf.new_keyring("os:mine")
    url = f"encrypted+sqlite:///{tmp_path}/a.db"
    with tf.connect(url, keyring="os:mine", upkeep=False) as client:
        client.open("s").append(tf.user("x"))
    made.rotate(eager=True)
    assert next(iter(backend.kept.values())) != kept
    with tf.connect(url, keyring="os:mine", upkeep=False) as client:
        assert texts(client) == ["x"]
        client.forget_key("s")
        with pytest.raises(KeyUnavailable, match="forgotten"):
            texts(client)
    with pytest.raises(KeyUnavailable, match="os:mine"):
        tf.open_keyring(str(path))
    backend.kept.clear()
    with pytest.raises(KeyUnavailable, match="no master key"):
        tf.open_keyring("os:mine")


@pytest.mark.parametrize("name", ["os:", "os:../x", "os:a b"])
def test_names_in_the_systems_keyring_make_no_paths(name: str) -> None:
    with pytest.raises(InvalidInput):
        tf.open_keyring(name)


class Vault:
    """A key management service as the port has it: each of its keys has an id, and the newest wraps."""

    def __init__(self) -> None:
        self._keys = {"vault/1": secrets.token_bytes(32)}
        self.calls: list[str] = []

    @property
    def key_id(self) -> str:
        return list(self._keys)[-1]

    def wrap(self, secret: bytes, context: bytes) -> bytes:
        self.calls.append("wrap")
        return wrap(self._keys[self.key_id], secret, context)

    def unwrap(self, key_id: str, wrapped: bytes, context: bytes) -> bytes:
        self.calls.append("unwrap")
        if key_id not in self._keys:
            raise KeyUnavailable(f"the vault has no key {key_id}")
        return unwrap(self._keys[key_id], wrapped, context, "a key of the vault")

    def add(self) -> None:
        self._keys[f"vault/{len(self._keys) + 1}"] = secrets.token_bytes(32)

    def destroy(self, key_id: str) -> None:
        del self._keys[key_id]


def test_a_kms_wraps_the_keys(tmp_path: Path) -> None:
    vault = Vault()
    assert isinstance(vault, Kms)
    path = str(tmp_path / "keys")
    keyring = tf.new_keyring(path, kms=vault)
    assert isinstance(keyring, Keyring)
    url = f"encrypted+sqlite:///{tmp_path}/a.db"
    with tf.connect(url, keyring=keyring, upkeep=False) as client:
        session = client.open("s")
        for index in range(10):
            session.append(tf.user(f"{index}"))
        assert vault.calls.count("unwrap") <= 3, "keys are held, not asked for with every append"
    with pytest.raises(KeyUnavailable, match="KMS"):
        tf.open_keyring(path)
    vault.add()
    with tf.connect(url, keyring=tf.open_keyring(path, kms=vault), upkeep=False) as client:
        client.open("s").append(tf.user("under the vault's new key"))
    assert tf.open_keyring(path, kms=vault).rotate(eager=True).kid == "vault/2"
    vault.destroy("vault/1")
    with tf.connect(url, keyring=tf.open_keyring(path, kms=vault), upkeep=False) as client:
        assert len(texts(client)) == 11
    vault.destroy("vault/2")
    vault.add()
    with tf.connect(url, keyring=tf.open_keyring(path, kms=vault), upkeep=False) as client, pytest.raises(KeyUnavailable, match="vault/2"):
        texts(client)


# ---- by URL ---------------------------------------------------------------------------------------------------------------------------


def test_urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = tmp_path / "keys"
    tf.new_keyring(str(keys))
    url = f"encrypted+sqlite:///{tmp_path}/a.db"
    with tf.connect(f"{url}?durability=normal&search=tokens&keyring={keys}") as client:
        client.open("s").append(tf.user("found by its words"))
        assert len(client.search("words")) == 1
        assert client.store.url.startswith("encrypted+sqlite:///")
        assert "keyring" not in client.store.url
    monkeypatch.setenv("TURNFOLD_KEYRING", str(keys))
    with tf.connect(url) as client:
        assert texts(client) == ["found by its words"]
    with pytest.raises(InvalidInput, match="no search"):
        tf.connect(f"{url}?search=fuzzy")
    with pytest.raises(InvalidInput, match="unknown option"):
        tf.connect(f"{url}?colour=red")
    with pytest.raises(InvalidInput, match="would not be encrypted"):
        tf.connect(f"composite:?sessions=encrypted%2Bsqlite%3A%2F%2F%2F{tmp_path}%2Fb.db&artifacts=files%3A%2F%2F%2F{tmp_path}%2Fx")
    monkeypatch.delenv("TURNFOLD_KEYRING")
    with pytest.raises(KeyUnavailable, match="no keyring is named"):
        tf.connect(url)


def test_the_library_may_be_absent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers", None)
    with pytest.raises(MissingExtra, match="cryptography") as caught:
        tf.new_keyring(str(tmp_path / "keys"))
    assert "turnfold[crypto]" in caught.value.hint


def test_a_follower_with_another_keyring_moves_past_nothing(place: Place) -> None:
    with place.client(search="tokens") as client:
        for name in ("a", "b", "c"):
            client.open(name).append(tf.user(f"hello {name}"))
        client.store.changed_sessions("search", 10)
        client.open("gone").append(tf.user("hello"))
        client.forget_key("gone")
    stranger = EncryptedStore(place.inner(), FileKeyring.create_file(place.folder / "other"), search="tokens")
    assert stranger.changed_sessions("search", 2) == []
    stranger.close()
    with place.client(search="tokens") as client:
        assert {item.key.session_id for item in client.store.changed_sessions("search", 10)} == {"a", "b", "c"}
        assert {hit.session_id for hit in client.search("hello").items} == {"a", "b", "c"}
