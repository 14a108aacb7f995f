"""The contract of artifact stores as a test suite.

A new artifact store's whole test file::

    from turnfold.testing.contract import ArtifactContract


    class TestMyArtifacts(ArtifactContract):
        def make_artifacts(self):
            return MyArtifacts(f"my://{self.tmp_path}")
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from turnfold.codec.residual import part_ref
from turnfold.errors import InvalidInput, NotFound, StoreClosed
from turnfold.model.artifact import ArtifactName
from turnfold.model.session import SessionKey
from turnfold.ports.artifacts import ArtifactStore


def named(content: bytes, session_id: str = "s1", tenant: str = "default") -> ArtifactName:
    """The name of these bytes in a session."""
    return ArtifactName(tenant, session_id, part_ref(content))


class ArtifactContract:
    """One artifact store per test. Subclasses say how it is made."""

    tmp_path: Path
    artifacts: ArtifactStore

    def make_artifacts(self) -> ArtifactStore:
        """Return a new, empty artifact store."""
        raise NotImplementedError(f"{type(self).__name__}.make_artifacts")

    @pytest.fixture(autouse=True)
    def _with_artifacts(self, tmp_path: Path) -> Iterator[None]:
        self.tmp_path = tmp_path
        self.artifacts = self.make_artifacts()
        try:
            yield
        finally:
            self.artifacts.close()

    def keep(self, content: bytes, session_id: str = "s1", tenant: str = "default") -> ArtifactName:
        """Put bytes into a session; return their name."""
        name = named(content, session_id, tenant)
        self.artifacts.put(name, content)
        return name

    def names(self, key: SessionKey | None = None) -> list[ArtifactName]:
        """The names of a list, sorted."""
        return sorted(found.name for found in self.artifacts.list(key))

    @pytest.mark.parametrize("content", [b"", b"x", b"\n", b"\n{}\n\x00\xff", bytes(range(256)) * 8_000], ids=len)
    def test_bytes_come_back(self, content: bytes) -> None:
        name = self.keep(content)
        assert self.artifacts.get(name) == content
        assert self.artifacts.has(name)

    def test_missing(self) -> None:
        name = named(b"x")
        with pytest.raises(NotFound):
            self.artifacts.get(name)
        assert not self.artifacts.has(name)
        self.artifacts.delete(name)

    def test_put_again_is_no_harm_and_newer(self) -> None:
        name = self.keep(b"x")
        (before,) = self.artifacts.list()
        self.keep(b"x")
        (after,) = self.artifacts.list()
        assert (self.artifacts.get(name), after.name, after.size_bytes) == (b"x", name, before.size_bytes)
        assert after.modified_us >= before.modified_us

    def test_deleted(self) -> None:
        name, other = self.keep(b"x"), self.keep(b"y")
        self.artifacts.delete(name)
        with pytest.raises(NotFound):
            self.artifacts.get(name)
        assert self.names() == [other]
        self.keep(b"x")
        assert self.artifacts.get(name) == b"x"

    def test_sessions_and_tenants_have_their_own(self) -> None:
        names = [self.keep(b"x", *place) for place in (("a", "t"), ("b", "t"), ("a", "u"), ("ta", ""), ("", "ta"))]
        assert self.names() == sorted(names)
        for name in names:
            assert self.names(name.key) == [name]
        self.artifacts.delete(names[0])
        assert self.names() == sorted(names[1:])
        assert all(self.artifacts.get(name) == b"x" for name in names[1:])

    def test_names_of_any_kind(self) -> None:
        ids = ["a/b", "../..", "ä", "a\u0308", "A", "a", "%", "\x00", "x" * 1024, " ", "a\nb"]
        names = [self.keep(b"x", session_id, tenant) for session_id in ids for tenant in ("t", "x" * 256)]
        assert self.names() == sorted(names)
        assert all(self.artifacts.get(name) == b"x" for name in names)

    @pytest.mark.parametrize("ref", ["", "sha256:", "sha256:../../x", "sha256:" + "A" * 64, "md5:" + "0" * 64, "0" * 64])
    def test_what_is_no_reference(self, ref: str) -> None:
        name = ArtifactName("default", "s1", ref)
        with pytest.raises(InvalidInput):
            self.artifacts.put(name, b"x")

    def test_many_at_once(self) -> None:
        contents = [b"%d" % (index % 20) for index in range(100)]
        with ThreadPoolExecutor(8) as pool:
            names = list(pool.map(self.keep, contents))
        assert self.names() == sorted(set(names))
        assert all(self.artifacts.get(name) == content for name, content in zip(names, contents, strict=True))

    def test_one_list_while_others_put_and_delete(self) -> None:
        kept = [self.keep(b"kept %d" % index) for index in range(20)]
        seen = []
        for found in self.artifacts.list():
            seen.append(found.name)
            self.artifacts.delete(self.keep(b"passing"))
        assert set(kept) <= set(seen)

    def test_closed(self) -> None:
        name = self.keep(b"x")
        self.artifacts.close()
        self.artifacts.close()
        with pytest.raises(StoreClosed):
            self.artifacts.get(name)
