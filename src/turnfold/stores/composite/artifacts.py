"""The parts of a composite store: put before the commit that names them, erased after the commit that forgets them.

Theory of operation. For each part the session store keeps a *marker*, a part of a few bytes whose content is the part's name, in the very
commit that names the part. So the session store alone decides, in its own transaction, whether a session has a part, and the artifact store
holds bytes. A crash before the commit leaves bytes without a marker: an orphan, which is found by listing and swept once it is older than
``ORPHAN_AGE_S`` (a commit that names it may be on its way until then).

Erasing and putting the same bytes of one session at the same time must not leave a marker without bytes. Both sides therefore act first and
look afterwards: who put looks, after its commit, whether the bytes are there, and puts them again if not; who erases looks, after erasing,
whether a marker is there, and puts back what it read before. Whatever the order, the one who acts last sees the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from turnfold.codec.residual import part_ref
from turnfold.errors import NotFound, SessionNotFound, StoreCorrupt
from turnfold.model.artifact import Artifact, ArtifactName
from turnfold.model.commit import Commit
from turnfold.model.session import SessionKey
from turnfold.ports.artifacts import ArtifactStore
from turnfold.ports.store import Store

_MARK = b"turnfold/artifact/1\0"
_replace = msgspec.structs.replace


def marker_of(ref: str) -> tuple[str, bytes]:
    """Return the part that the session store keeps in place of a part."""
    content = _MARK + ref.encode()
    return part_ref(content), content


def inner_of(commit: Commit) -> Commit:
    """Return the commit as the session store gets it: markers for parts."""
    if not has_parts(commit):
        return commit
    return _replace(
        commit,
        parts=tuple(marker_of(ref) for ref, _ in commit.parts),
        # A part may stand in the session store itself: it was there before the two were put together.
        redacts=tuple(_replace(item, parts=(*item.parts, *(marker_of(ref)[0] for ref in item.parts))) for item in commit.redacts),
        also=tuple(inner_of(item) for item in commit.also),
    )


def has_parts(commit: Commit) -> bool:
    """Whether a commit keeps or erases parts, or one in its ``also`` does."""
    return bool(commit.parts or any(item.parts for item in commit.redacts) or any(has_parts(item) for item in commit.also))


def kept_by(commit: Commit) -> Iterator[tuple[ArtifactName, bytes]]:
    """Yield the parts that a commit keeps, and those of its ``also``."""
    for ref, content in commit.parts:
        yield ArtifactName(*commit.key, ref), content
    for item in commit.also:
        yield from kept_by(item)


def erased_by(commit: Commit) -> Iterator[ArtifactName]:
    """Yield the parts that a commit erases, and those of its ``also``."""
    for redact in commit.redacts:
        for ref in redact.parts:
            yield ArtifactName(*commit.key, ref)
    for item in commit.also:
        yield from erased_by(item)


class Parts:
    """What a session store and an artifact store hold together."""

    def __init__(self, sessions: Store, artifacts: ArtifactStore) -> None:
        """Bind the two."""
        self._sessions = sessions
        self._artifacts = artifacts

    def put(self, commit: Commit) -> None:
        """Keep the bytes that a commit is about to name."""
        for name, content in kept_by(commit):
            self._artifacts.put(name, content)

    def settle(self, commit: Commit, *, repeated: bool) -> None:
        """Look after a commit that was written: what it names is there, what it forgets is gone.

        Args:
            commit: As the caller gave it.
            repeated: It was written before; bytes that were erased since go again.
        """
        for name, content in kept_by(commit):
            if repeated and not self.is_named(name):
                self.erase(name)
            elif not self._artifacts.has(name):
                self._artifacts.put(name, content)
        for name in erased_by(commit):
            self.erase(name)

    def read(self, key: SessionKey, ref: str, owner: str | None) -> bytes:
        """Return a part; see ``ports.store.Store.read_part``."""
        name = ArtifactName(*key, ref)
        try:
            self._sessions.read_part(key, marker_of(ref)[0], owner=owner)
        except NotFound:
            return self._sessions.read_part(key, ref, owner=owner)
        try:
            return self._artifacts.get(name)
        except NotFound as error:
            if not self.is_named(name):  # erased between the two reads
                raise
            raise StoreCorrupt(
                f"the artifact {ref} of session {key.session_id!r} is missing in {self._artifacts.url}",
                hint="put the artifacts back from a backup, or open the sessions with the artifact store that they were written with",
                ref=ref,
            ) from error

    def is_named(self, name: ArtifactName) -> bool:
        """Whether the session has that part."""
        try:
            self._sessions.read_part(name.key, marker_of(name.ref)[0])
        except (NotFound, SessionNotFound):
            return False
        return True

    def erase(self, name: ArtifactName) -> bool:
        """Erase bytes that no session names; False where one does, or there are none."""
        if self.is_named(name):
            return False
        try:
            content = self._artifacts.get(name)
        except NotFound:
            return False
        except StoreCorrupt:
            content = None
        self._artifacts.delete(name)
        if content is not None and self.is_named(name):  # named again while it was erased
            self._artifacts.put(name, content)
            return False
        return True

    def erase_session(self, key: SessionKey) -> None:
        """Erase all bytes of a session that is gone."""
        for found in list(self._artifacts.list(key)):
            self.erase(found.name)

    def orphans(self, older_than_us: int | None = None) -> Iterator[Artifact]:
        """Yield the artifacts that no session names.

        Args:
            older_than_us: Only those put before this time; None yields all.
        """
        return self._unnamed(self._artifacts.list(), older_than_us)

    def _unnamed(self, artifacts: Iterable[Artifact], older_than_us: int | None) -> Iterator[Artifact]:
        for found in artifacts:
            if (older_than_us is None or found.modified_us < older_than_us) and not self.is_named(found.name):
                yield found
